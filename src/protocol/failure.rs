//! Why a request could not be done.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::HistoryEntry;
use super::limits::{MAX_MESSAGE, cut};

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

/// The kinds of failure. Closed within a version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureCode {
    /// A request could not be read. As a reply: only that request, and the connection goes on (JSON
    /// can tell whose request it was). As a goodbye: the message could not be read at all, or broke a
    /// limit of the protocol, and the daemon closes after it.
    InvalidRequest,
    /// The user id is not one.
    InvalidUser,
    /// A phone number, a JID or another argument is not usable.
    InvalidArgument,
    /// The user has no session (or one that the caller may not see).
    NotFound,
    /// The caller may not do this.
    NotAllowed,
    /// A limit of the configuration is reached: sessions, connections, requests.
    QuotaExceeded,
    /// WhatsApp asks to slow down.
    RateLimited,
    /// It needs a session that is online, and this one is not.
    NotOnline,
    /// It did not finish within its deadline, or before the connection ended. What was begun goes on.
    DeadlineExceeded,
    /// The data could not be removed: the message says what is left and why.
    PurgeFailed,
    /// What is on the disk cannot be read.
    StoreCorrupt,
    /// The disk refused: full, read-only, not permitted.
    StoreFailed,
    /// WhatsApp refused the question.
    Refused,
    /// The configuration could not be read; the old one stays.
    ConfigInvalid,
    /// The daemon is stopping, and what was asked was not begun.
    Stopping,
    /// A fault of the daemon.
    Internal,
    /// The daemon knows no such command: it is older than the client. The connection goes on.
    UnknownCommand,
    /// The answer would not fit into a frame.
    TooLarge,
}

impl FailureCode {
    /// The name as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidUser => "invalid_user",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::NotAllowed => "not_allowed",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RateLimited => "rate_limited",
            Self::NotOnline => "not_online",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::PurgeFailed => "purge_failed",
            Self::StoreCorrupt => "store_corrupt",
            Self::StoreFailed => "store_failed",
            Self::Refused => "refused",
            Self::ConfigInvalid => "config_invalid",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
            Self::UnknownCommand => "unknown_command",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
