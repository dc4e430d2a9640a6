//! What the registry publishes for a session whose task has failed.

use jiff::Timestamp;
use tokio::task::JoinError;

use crate::protocol::{Cause, HistoryEntry, Phase, Removed, Status, Unlink, UserId};

/// The status of a session whose task failed before it could publish one itself.
pub(super) fn stand_in_status(
    user: &UserId,
    owner: u32,
    known: Option<&Status>,
    error: &str,
    now: Timestamp,
    retry_at: Timestamp,
) -> Status {
    let (account, targets, last_activity) = match known {
        Some(known) => (
            known.account.clone(),
            known.targets.clone(),
            known.last_activity,
        ),
        None => (None, Vec::new(), None),
    };
    Status {
        user: user.clone(),
        phase: Phase::BackingOff,
        since: now,
        next_action: format!(
            "Wait: it begins again by itself; `wactl connect {user}` tries at once. The daemon's log says where it failed."
        ),
        owner,
        account,
        connecting: None,
        qr: None,
        pair_code: None,
        retry_at: Some(retry_at),
        held_until: None,
        reason: Some(Cause::TaskFailed),
        error: Some(error.to_owned()),
        targets,
        last_activity,
        appeal_token: known.and_then(|known| known.appeal_token.clone()),
    }
}

/// The line in the history of a session whose directory somebody has removed. The credentials are gone, so
/// the daemon cannot log in to unlink the device.
pub(super) fn vanished_entry(user: &UserId, owner: u32, known: Option<&Status>) -> HistoryEntry {
    let account = known.and_then(|known| known.account.clone());
    let was_never_paired = known.is_some_and(|known| known.account.is_none());
    HistoryEntry {
        at: Timestamp::now(),
        user: user.clone(),
        cause: Cause::TaskFailed,
        account,
        owner,
        requested_by: None,
        unlink: if was_never_paired {
            Unlink::NotLinked
        } else {
            Unlink::Unreachable
        },
        removed: Removed::default(),
        text: None,
        appeal_token: None,
    }
}

pub(super) fn panic_message(error: JoinError) -> String {
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
