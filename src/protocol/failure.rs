//! Why a request could not be done.

use serde::{Deserialize, Serialize};

use super::HistoryEntry;
use super::limits::{MAX_MESSAGE, cut};
use super::name::open_names;

/// A request that could not be done: a code for programs, a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is: branch on this.
    pub code: FailureCode,
    /// What happened, to what, why, and what to do next.
    pub message: String,
    /// When it makes sense to ask again, in seconds from now.
    pub retry_after: Option<u64>,
    /// With [`FailureCode::NotFound`]: how the user's last session ended, if the history knows.
    pub last_logout: Option<Box<HistoryEntry>>,
}

impl Failure {
    /// A failure with a code and a message, which is cut at [`MAX_MESSAGE`].
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: cut(message.into(), MAX_MESSAGE),
            retry_after: None,
            last_logout: None,
        }
    }
}

open_names! {
    /// The kinds of failure.
    pub enum FailureCode {
        /// A request could not be read. As a reply: only that request, and the connection goes on (JSON
        /// can tell whose request it was). As the last message: a message could not be read at all, or broke a
        /// limit of the protocol, and the daemon closes after it.
        InvalidRequest = "invalid_request",
        /// The user id is not one.
        InvalidUser = "invalid_user",
        /// A phone number, a JID or another argument is not usable.
        InvalidArgument = "invalid_argument",
        /// The user has no session (or one that the caller may not see).
        NotFound = "not_found",
        /// The caller may not do this.
        NotAllowed = "not_allowed",
        /// A limit is reached: of sessions, of connections, or of commands that wait for one session.
        QuotaExceeded = "quota_exceeded",
        /// Too much in a short time: WhatsApp asks to slow down, or the caller begins sessions faster than
        /// it may. [`Failure::retry_after`] says when to ask again.
        RateLimited = "rate_limited",
        /// It needs a session that is online, and this one is not.
        NotOnline = "not_online",
        /// What was handed in belongs to a step that is not due: WhatsApp wants no passkey now, or another
        /// step of it comes first.
        NotAwaited = "not_awaited",
        /// The session is linked to another account than the one that is expected.
        WrongAccount = "wrong_account",
        /// It did not finish within its deadline, or before the connection ended. What was begun goes on.
        DeadlineExceeded = "deadline_exceeded",
        /// The data could not be removed, or not in time: the message says what is left and why. The daemon
        /// goes on removing it.
        PurgeFailed = "purge_failed",
        /// What is on the disk cannot be used: its bytes are wrong.
        StoreCorrupt = "store_corrupt",
        /// The disk refused for now: no room, read-only, no permission, no descriptors. The data is as it was.
        StoreFailed = "store_failed",
        /// WhatsApp refused the question.
        Refused = "refused",
        /// The configuration could not be read; the old one stays.
        ConfigInvalid = "config_invalid",
        /// The daemon is stopping, and what was asked was not begun.
        Stopping = "stopping",
        /// A fault of the daemon.
        Internal = "internal",
        /// The daemon knows no such command: it is older than the client. The connection goes on.
        UnknownCommand = "unknown_command",
        /// The answer would not fit into a frame.
        TooLarge = "too_large",
        /// It cannot be done as things are: one of its kind is under way, or something else comes first. The
        /// message says what.
        NotNow = "not_now",
    }
}
