//! The log lines about a session from outside its task: how it begins, and how it ends.
//!
//! These lines stand outside the session's span: no limit for repetitive lines ever leaves them out.

use crate::message_id;
use crate::protocol::{Cause, Failure, HistoryEntry, UserId};
use crate::store::StoreError;

/// A session begins: somebody said `connect`, and there was none.
pub(super) fn begun(user: &UserId, owner: u32) {
    tracing::info!(
        message_id = message_id::SESSION_BEGUN,
        wasession_user = %user,
        peer_uid = owner,
        "a session begins, for uid {owner}"
    );
}

/// A session could not begin.
pub(super) fn not_begun(user: &UserId, failure: &Failure) {
    tracing::error!(
        message_id = message_id::STORE_FAILED,
        wasession_user = %user,
        "{failure}"
    );
}

/// A session's task does not answer.
pub(super) fn hung(user: &UserId) {
    tracing::error!(
        message_id = message_id::TASK_FAILED,
        wasession_user = %user,
        "its task does not answer and is ended"
    );
}

/// A session's task failed.
pub(super) fn failed(user: &UserId, error: &str) {
    tracing::error!(
        message_id = message_id::TASK_FAILED,
        wasession_user = %user,
        wasession_cause = %Cause::TaskFailed,
        "{error}"
    );
}

/// A session's directory is gone, and this daemon did not remove it.
pub(super) fn vanished(line: &HistoryEntry) {
    tracing::error!(
        message_id = message_id::TASK_FAILED,
        wasession_user = %line.user,
        wasession_cause = %line.cause,
        "somebody else removed its directory. The session ends; if it was paired, the phone may still list the device, and only the phone can remove it"
    );
}

/// The line of a session's end could not be written. Logged inside the session's span.
pub(super) fn end_not_written(error: &StoreError) {
    tracing::error!(
        message_id = message_id::STORE_FAILED,
        "the end of the session could not be written into the history: {error}. The daemon tries again by itself"
    );
}

/// A session ended, and nothing of it is left.
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
