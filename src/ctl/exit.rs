//! The exit statuses: an interface that scripts rely on.

use crate::client::ClientError;
use crate::protocol::FailureCode;

/// Exit statuses. The numbers from 69 on are those of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The daemon said no, or the person did.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The user has no session.
    NoSession = 3,
    /// The session was logged out, or its pairing ended, while the program waited for it.
    Ended = 4,
    /// No daemon there, or it went away.
    NoDaemon = 69,
    /// The other end does not keep to the protocol.
    Protocol = 76,
    /// The caller may not do this.
    NotAllowed = 77,
    /// Ctrl-C, as a shell counts it.
    Interrupted = 130,
}

impl Exit {
    pub(crate) fn from_failure(code: FailureCode) -> Self {
        match code {
            FailureCode::NotFound => Self::NoSession,
            FailureCode::NotAllowed => Self::NotAllowed,
            FailureCode::InvalidRequest | FailureCode::UnknownCommand => Self::Protocol,
            FailureCode::Stopping => Self::NoDaemon,
            _ => Self::Refused,
        }
    }

    pub(crate) fn from_client(error: &ClientError) -> Self {
        match error {
            ClientError::NoDaemon { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied => Self::NotAllowed,
                _ => Self::NoDaemon,
            },
            ClientError::Failure(failure) => Self::from_failure(failure.code),
            ClientError::Closed(Some(farewell)) => match farewell.code {
                FailureCode::InvalidRequest => Self::Protocol,
                FailureCode::NotAllowed => Self::NotAllowed,
                FailureCode::QuotaExceeded => Self::Refused,
                _ => Self::NoDaemon,
            },
            ClientError::Closed(None) | ClientError::Timeout(_) => Self::NoDaemon,
            ClientError::Refused(_) => Self::Refused,
            ClientError::Protocol(_)
            | ClientError::VersionMismatch(_)
            | ClientError::OtherRevision(_)
            | ClientError::Replaced => Self::Protocol,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::protocol::Failure;

    #[test]
    fn every_error_has_its_status() {
        let no_daemon = |kind: io::ErrorKind| ClientError::NoDaemon {
            path: "/run/x".into(),
            source: kind.into(),
        };
        let failure = |code| ClientError::Failure(Failure::new(code, ""));
        let closed = |code| ClientError::Closed(Some(Failure::new(code, "")));
        for (error, status) in [
            (no_daemon(io::ErrorKind::NotFound), 69),
            (no_daemon(io::ErrorKind::ConnectionRefused), 69),
            (no_daemon(io::ErrorKind::PermissionDenied), 77),
            (ClientError::Closed(None), 69),
            (closed(FailureCode::Stopping), 69),
            (closed(FailureCode::QuotaExceeded), 1),
            (closed(FailureCode::InvalidRequest), 76),
            (ClientError::Timeout(Duration::ZERO), 69),
            (ClientError::Refused(String::new()), 1),
            (ClientError::Protocol(String::new()), 76),
            (ClientError::VersionMismatch(2), 76),
            (ClientError::Replaced, 76),
            (failure(FailureCode::InvalidRequest), 76),
            (failure(FailureCode::InvalidUser), 1),
            (failure(FailureCode::InvalidArgument), 1),
            (failure(FailureCode::NotFound), 3),
            (failure(FailureCode::NotAllowed), 77),
            (failure(FailureCode::QuotaExceeded), 1),
            (failure(FailureCode::RateLimited), 1),
            (failure(FailureCode::NotOnline), 1),
            (failure(FailureCode::DeadlineExceeded), 1),
            (failure(FailureCode::PurgeFailed), 1),
            (failure(FailureCode::StoreCorrupt), 1),
            (failure(FailureCode::StoreFailed), 1),
            (failure(FailureCode::Refused), 1),
            (failure(FailureCode::ConfigInvalid), 1),
            (failure(FailureCode::Stopping), 69),
            (failure(FailureCode::Internal), 1),
            (failure(FailureCode::UnknownCommand), 76),
            (failure(FailureCode::TooLarge), 1),
            (failure(FailureCode::NotNow), 1),
        ] {
            assert_eq!(Exit::from_client(&error) as u8, status, "{error:?}");
        }
    }
}
