//! For tests: a status and an ended session with nothing in them that need not be. Whoever needs more
//! says only that.

use jiff::Timestamp;

use super::{Cause, HistoryEntry, Phase, Removed, Status, Unlink};

/// A status with nothing in it that need not be.
pub(crate) fn bare_status(user: &str, phase: Phase) -> Status {
    Status {
        user: user.parse().expect("a user id"),
        phase,
        since: Timestamp::UNIX_EPOCH,
        next_action: String::new(),
        owner: 0,
        account: None,
        connecting: None,
        qr: None,
        pair_code: None,
        retry_at: None,
        held_until: None,
        reason: None,
        error: None,
        targets: Vec::new(),
        last_activity: None,
        appeal_token: None,
        restrictions: Vec::new(),
        warnings: Vec::new(),
        passkey: None,
        proxy: None,
        expect: None,
    }
}

/// An ended session with nothing in it that need not be.
pub(crate) fn bare_entry(user: &str, cause: Cause) -> HistoryEntry {
    HistoryEntry {
        at: Timestamp::UNIX_EPOCH,
        user: user.parse().expect("a user id"),
        cause,
        account: None,
        owner: 0,
        requested_by: None,
        unlink: Unlink::NotLinked,
        removed: Removed::default(),
        text: None,
        appeal_token: None,
        restrictions: Vec::new(),
        linked_at: None,
    }
}
