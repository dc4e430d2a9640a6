//! What of a session's life is told in the log from outside its task: how it begins, and how it ends.
//!
//! These lines stand outside the session's span: no limit for repetitive lines ever leaves them out.

use crate::message_id;
use crate::protocol::{Cause, Failure, HistoryEntry, UserId};

/// Somebody said `connect`, and nothing was there.
pub(super) fn begun(user: &UserId, owner: u32) {
    tracing::info!(
        message_id = message_id::SESSION_BEGUN,
        wasession_user = %user,
        peer_uid = owner,
        "a session begins, for uid {owner}"
    );
}

/// It could not begin.
pub(super) fn not_begun(user: &UserId, failure: &Failure) {
    tracing::error!(
        message_id = message_id::STORE_FAILED,
        wasession_user = %user,
        "{failure}"
    );
}

/// Its task was given a last chance to answer.
pub(super) fn hung(user: &UserId) {
    tracing::error!(
        message_id = message_id::TASK_FAILED,
        wasession_user = %user,
        "its task does not answer and is ended"
    );
}

/// Its task failed.
pub(super) fn failed(user: &UserId, error: &str) {
    tracing::error!(
        message_id = message_id::TASK_FAILED,
        wasession_user = %user,
        wasession_cause = %Cause::TaskFailed,
        "{error}"
    );
}

/// It ended, and nothing of it is left.
pub(super) fn ended(entry: &HistoryEntry) {
    let by = entry
        .requested_by
        .map_or_else(String::new, |uid| format!(", asked for by uid {uid}"));
    tracing::info!(
        message_id = message_id::SESSION_ENDED,
        wasession_user = %entry.user,
        wasession_cause = %entry.cause,
        wasession_unlink = %entry.unlink,
        peer_uid = entry.requested_by,
        "the session ended ({}{by}); nothing of it is left",
        entry.cause
    );
}
