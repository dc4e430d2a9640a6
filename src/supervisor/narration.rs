//! The log lines about a session from outside its task: how it begins, and how it ends. And those about the
//! master key, which concerns all sessions.
//!
//! These lines stand outside the session's span: no limit for repetitive lines ever leaves them out.

use crate::message_id;
use crate::protocol::{Cause, Failure, HistoryEntry, UserId};
use crate::store::{MasterKeys, Rotated, SpaceError, StoreError};

/// How many users whose keys were not wrapped anew get a line.
const NAMED: usize = 100;

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

/// The master key cannot be read.
pub(super) fn master_key_unusable(error: &SpaceError) {
    tracing::error!(
        message_id = message_id::MASTER_KEY_UNUSABLE,
        "the master key {error}. Sessions that need it say so; nothing of them is overwritten"
    );
}

/// A rotation of the master key did what it could.
pub(super) fn rotated(rotated: &Rotated, keys: &MasterKeys, who: &str) {
    let (id, wrapped) = (keys.id(), rotated.wrapped);
    let source = if keys.is_credential() {
        "a credential"
    } else {
        "a file"
    };
    if rotated.is_over() {
        tracing::info!(
            message_id = message_id::MASTER_KEY_ROTATED,
            "the rotation of the master key is over ({who}): {wrapped} session keys were wrapped anew by {id}, {source}, \
             and the daemon needs no other one any more"
        );
        return;
    }
    for (user, why) in rotated.unusable.iter().take(NAMED) {
        tracing::warn!(
            wasession_user = %user,
            "its key could not be wrapped by the new master key: {why}"
        );
    }
    tracing::warn!(
        message_id = message_id::MASTER_KEY_KEPT,
        "the rotation of the master key is not over ({who}): {wrapped} session keys were wrapped anew by {id}, {source}, \
         and {} could not be. So the old master key is kept. Give these sessions their keys back from a backup, or \
         `wactl force-logout` them; then `wactl daemon rotate-key`, or a restart, finishes it",
        rotated.unusable.len()
    );
}

/// A rotation of the master key failed.
pub(super) fn not_rotated(error: &SpaceError, who: &str) {
    tracing::error!(
        message_id = message_id::MASTER_KEY_KEPT,
        "the rotation of the master key is not over ({who}): it {error}. No key is lost, and the next start goes on \
         with it"
    );
}
