//! Why the daemon did not start, or did not end well, and the exit status for it.

use std::io;

use super::places::NoPlace;
use super::socket::SocketError;
use crate::service::config::ConfigError;
use crate::service::logging::LoggingError;
use crate::service::status;
use crate::store::StoreError;
use crate::whatsapp::GatewayError;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something has no place.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// Logging could not be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A build for rehearsals does not know where its simulator is.
    #[error(
        "`whatsapp.endpoint` is not set, and this is a simulator build: it does not check WhatsApp's certificate, so it connects to a simulator and to nothing else. Start one with `wasim serve` and set the key to the URL that it prints, or build without `--features simulator`"
    )]
    NoEndpoint,
    /// What the configuration says about WhatsApp cannot be used.
    #[error("[whatsapp]: {0}")]
    Gateway(#[from] GatewayError),
    /// The operating system does not give what every program needs.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A fault of the daemon.
    #[error("a part of the daemon failed, which is a fault of its own: {0}")]
    Internal(String),
}

impl DaemonError {
    /// The exit status for it.
    #[must_use]
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NoPlace(_)
            | Self::NoEndpoint
            | Self::Logging(LoggingError::Filter(_))
            | Self::Gateway(_)
            | Self::Socket(SocketError::TooLong { .. } | SocketError::NoGroup(_)) => status::CONFIG,
            Self::Store(StoreError::Locked { .. }) | Self::Socket(SocketError::Live(_)) => {
                status::TEMPFAIL
            }
            Self::Store(StoreError::Foreign { .. }) => status::NOPERM,
            Self::Store(StoreError::Unavailable { source, .. }) => by_kind(source, status::IOERR),
            Self::Store(_) => status::IOERR,
            Self::Socket(SocketError::Io { source, .. }) => by_kind(source, status::CANTCREAT),
            Self::Socket(_) => status::CANTCREAT,
            Self::System { .. } => status::OSERR,
            Self::Logging(_) | Self::Internal(_) => status::SOFTWARE,
        }
    }
}

/// A file system that is read-only now may be writable later: after an error of the disk the kernel makes
/// it so, and an administrator undoes it. So that is tried again, as any error of the disk is.
fn by_kind(error: &io::Error, otherwise: u8) -> u8 {
    match error.kind() {
        io::ErrorKind::PermissionDenied => status::NOPERM,
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_error_has_its_status() {
        let path = || PathBuf::from("/x");
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let read_only = || io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let store = |source| StoreError::Unavailable {
            action: "open",
            path: path(),
            source,
        };
        let socket = |source| SocketError::Io {
            action: "make",
            path: path(),
            source,
        };
        let locked = StoreError::Locked {
            path: path(),
            holder: String::new(),
        };
        let foreign = StoreError::Foreign {
            path: path(),
            owner: 998,
            uid: 0,
        };
        let wrong = ConfigError { faults: Vec::new() };
        let too_long = SocketError::TooLong {
            path: path(),
            length: 200,
        };
        for (error, status) in [
            (DaemonError::from(wrong), 78),
            (too_long.into(), 78),
            (SocketError::NoGroup("g".to_owned()).into(), 78),
            (SocketError::Live(path()).into(), 75),
            (SocketError::NotASocket(path()).into(), 73),
            (SocketError::Inherited("x".to_owned()).into(), 73),
            (socket(denied()).into(), 77),
            (socket(full()).into(), 73),
            (locked.into(), 75),
            (store(denied()).into(), 77),
            (store(full()).into(), 74),
            (store(read_only()).into(), 74),
            (foreign.into(), 77),
            (DaemonError::NoEndpoint, 78),
            (DaemonError::Internal("x".to_owned()), 70),
        ] {
            assert_eq!(error.exit_status(), status, "{error}");
        }
    }
}
