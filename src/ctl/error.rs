//! What ends a command early, for people and for programs.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::client::ClientError;
use crate::protocol::{Cause, Failure, HistoryEntry, RotatedKey, Status};

use super::exit::Exit;
use super::render::{self, cause, plain};

/// What ends a command early.
#[derive(Debug)]
pub(crate) enum Error {
    /// Between here and the daemon, or by the daemon.
    Client(ClientError),
    /// Something else that is worth a sentence.
    Problem(Box<Problem>),
    /// What was to be written could not be. A closed pipe is not an error: the reader has enough.
    Output(io::Error),
}

/// A sentence for people, a code for programs, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Problem {
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// The daemon's failure code, or a name of wactl's own: `usage`, `no_daemon`, `closed`, `timeout`,
    /// `protocol`, `version_mismatch`, `refused_connection`, `logged_out`, `pairing_expired`,
    /// `passkey_required`, `wrong_account`, `no_qr_code`, `not_finished`, `input`, `output`, `declined`, `quit`,
    /// `interrupted`; from `connect` also the phase where the session stays.
    pub(crate) code: Box<str>,
    /// What happened, for a person.
    pub(crate) message: Box<str>,
    /// When it makes sense to ask again, in seconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// Why the session ended, or why it does not get online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
    /// The session that ended while `connect` waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<Box<HistoryEntry>>,
    /// With `not_found`: how the user's last session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_logout: Option<Box<HistoryEntry>>,
    /// The session as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Box<Status>>,
    /// With `not_finished`: what the rotation of the master key did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<Box<RotatedKey>>,
}

impl Problem {
    pub(crate) fn new(exit: Exit, code: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self {
            exit,
            code: code.into(),
            message: message.into(),
            retry_after: None,
            cause: None,
            entry: None,
            last_logout: None,
            status: None,
            rotated: None,
        }
    }

    pub(crate) fn usage(message: impl Into<Box<str>>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// The rotation of the master key is not over.
    pub(crate) fn not_finished(rotated: RotatedKey) -> Self {
        let message = render::info::not_finished(&rotated);
        Self {
            rotated: Some(Box::new(rotated)),
            ..Self::new(Exit::Refused, "not_finished", message)
        }
    }

    /// The session ended while somebody waited for it.
    pub(crate) fn ended(code: &'static str, entry: Box<HistoryEntry>) -> Self {
        let user = &entry.user;
        let words = cause::why(&entry);
        let mut message = match code {
            "pairing_expired" | "passkey_required" | "wrong_account" => {
                format!("{user} is not linked: {words}.")
            }
            _ => format!("{user} was logged out ({}): {words}.", entry.cause),
        };
        if let Some(said) = cause::said(&entry) {
            message = format!("{message} {said}");
        }
        if entry.unlink.device_may_remain() {
            message.push_str(
                " The device may still be in the phone's list of linked devices: remove it there.",
            );
        }
        message = format!(
            "{message}\nNothing of the session is left; `wactl connect {user}` begins a new one."
        );
        Self {
            cause: Some(entry.cause),
            entry: Some(entry),
            ..Self::new(Exit::Ended, code, message)
        }
    }

    fn from_failure(failure: Failure) -> Self {
        let mut message = plain(&failure.message);
        if let Some(seconds) = failure.retry_after {
            message = format!("{message} (try again in {seconds} s)");
        }
        if let Some(last) = &failure.last_logout {
            message = format!("{message}\n{}", cause::last_logout(last));
        }
        Self {
            retry_after: failure.retry_after,
            last_logout: failure.last_logout,
            ..Self::new(
                Exit::from_failure(failure.code),
                failure.code.to_string(),
                message,
            )
        }
    }

    /// What a person should know of an error of the connection.
    pub(crate) fn from_client(error: ClientError, socket: &Path) -> Self {
        let exit = Exit::from_client(&error);
        let text = plain(&error.to_string());
        let socket = socket.display();
        let (code, message) = match error {
            ClientError::Failure(failure) => return Self::from_failure(failure),
            ClientError::NoDaemon { .. } if exit == Exit::NotAllowed => ("not_allowed", text),
            // The end of the message says how to name another socket.
            ClientError::NoDaemon { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ("no_daemon", format!("{text} (or with --socket)"))
            }
            ClientError::NoDaemon { .. } => ("no_daemon", text),
            ClientError::Closed(_) => (
                "closed",
                format!("{socket}: {text}\nThe daemon's log says more; ask again when it runs"),
            ),
            ClientError::Timeout(_) => (
                "timeout",
                format!("{socket}: {text}. It may still do what was asked: look with `wactl list`"),
            ),
            ClientError::VersionMismatch(_) | ClientError::OtherRevision(_) => {
                ("version_mismatch", format!("{socket}: {text}"))
            }
            ClientError::Refused(_) => ("refused_connection", format!("{socket}: {text}")),
            ClientError::Protocol(_) | ClientError::Replaced => {
                ("protocol", format!("{socket}: {text}"))
            }
        };
        Self::new(exit, code, message)
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
