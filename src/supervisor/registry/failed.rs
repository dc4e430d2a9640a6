//! What the registry publishes for a session whose task has failed.

use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinError;

use crate::protocol::{Cause, HistoryEntry, Phase, Removed, Status, Unlink, UserId};

/// A task that ran for this long was a good one: its failure counts as the first.
const LONG_LIFE: Duration = Duration::from_hours(1);
/// How long a session whose task failed waits before it begins again; it doubles.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_AFTER_FAILURE: Duration = Duration::from_mins(5);

/// Counts the failure of a task that ran for so long after so many failures. Returns how many there are now,
/// and how long the session waits before it begins again.
pub(super) fn count_failure(failures: u32, ran_for: Duration) -> (u32, Duration) {
    let before = if ran_for >= LONG_LIFE { 0 } else { failures };
    let wait = AFTER_FAILURE
        .saturating_mul(1 << before.min(16))
        .min(LONGEST_AFTER_FAILURE);
    (before.saturating_add(1), wait)
}

/// The status of a session whose task failed before it could publish one itself.
pub(super) fn stand_in_status(
    user: &UserId,
    owner: u32,
    known: Option<&Status>,
    error: &str,
    now: Timestamp,
    retry_at: Timestamp,
) -> Status {
    Status {
        user: user.clone(),
        phase: Phase::BackingOff,
        since: now,
        next_action: format!(
            "Wait: it begins again by itself; `wactl connect {user}` tries at once. The daemon's log says where it failed."
        ),
        owner,
        account: known.and_then(|known| known.account.clone()),
        connecting: None,
        qr: None,
        pair_code: None,
        retry_at: Some(retry_at),
        held_until: None,
        reason: Some(Cause::TaskFailed),
        error: Some(error.to_owned()),
        targets: known.map(|known| known.targets.clone()).unwrap_or_default(),
        last_activity: known.and_then(|known| known.last_activity),
        appeal_token: known.and_then(|known| known.appeal_token.clone()),
        restrictions: known
            .map(|known| known.restrictions.clone())
            .unwrap_or_default(),
        warnings: known
            .map(|known| known.warnings.clone())
            .unwrap_or_default(),
        passkey: None,
        proxy: known.and_then(|known| known.proxy.clone()),
        expect: None,
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
        appeal_token: known.and_then(|known| known.appeal_token.clone()),
        restrictions: known
            .map(|known| known.restrictions.clone())
            .unwrap_or_default(),
        linked_at: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Restriction, RestrictionKind, fixtures};

    #[test]
    fn failures_in_a_row_wait_longer_and_longer_and_one_after_a_long_life_is_the_first() {
        let fail = |failures: &mut u32, ran_for: Duration| {
            let (counted, wait) = count_failure(*failures, ran_for);
            *failures = counted;
            wait.as_secs()
        };
        let mut failures = 0;
        let short = LONG_LIFE.saturating_sub(Duration::from_secs(1));
        let waits: Vec<_> = (0..11).map(|_| fail(&mut failures, short)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(fail(&mut failures, LONG_LIFE), 1);
        assert_eq!(fail(&mut failures, short), 2);
        failures = u32::MAX;
        assert_eq!(fail(&mut failures, Duration::ZERO), 300);
    }

    #[test]
    fn what_whatsapp_said_once_outlives_the_task_and_the_directory() {
        let mut known = fixtures::bare_status("alice", Phase::Held);
        known.appeal_token = Some("once".into());
        known.restrictions = vec![Restriction {
            kind: RestrictionKind::ReachoutTimelock,
            since: Timestamp::UNIX_EPOCH,
            until: None,
            detail: None,
        }];
        let user = &known.user;
        let now = Timestamp::UNIX_EPOCH;
        let status = stand_in_status(user, 1000, Some(&known), "it failed", now, now);
        let line = vanished_entry(user, 1000, Some(&known));
        assert_eq!(status.appeal_token, known.appeal_token);
        assert_eq!(line.appeal_token, known.appeal_token);
        assert_eq!(status.restrictions, known.restrictions);
        assert_eq!(line.restrictions, known.restrictions);
        assert_eq!(vanished_entry(user, 1000, None).appeal_token, None);
    }
}
