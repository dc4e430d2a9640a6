//! What is said of a session in the place of its task, which failed.

use jiff::Timestamp;
use tokio::task::JoinError;

use crate::protocol::{Cause, HistoryEntry, Phase, Removed, Status, Unlink, UserId};

/// What is told of a session whose task failed before it could tell anything itself.
pub(super) fn unheard_status(
    user: &UserId,
    owner: u32,
    known: Option<Status>,
    error: &str,
    now: Timestamp,
    retry_at: Timestamp,
) -> Status {
    let (account, targets, last_activity) = match known {
        Some(known) => (known.account, known.targets, known.last_activity),
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
    }
}

/// What is said of a session whose directory vanished without a line in the history: somebody removed
/// it by hand.
pub(super) fn lost_entry(user: &UserId, owner: u32) -> HistoryEntry {
    HistoryEntry {
        at: Timestamp::now(),
        user: user.clone(),
        cause: Cause::TaskFailed,
        account: None,
        owner,
        requested_by: None,
        unlink: Unlink::Unreachable,
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
