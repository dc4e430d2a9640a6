//! Why the daemon did not start, or did not end well, and the exit status for it.

use std::io;

use super::config::ConfigError;
use super::environment::NoPlace;
use super::logging::LoggingError;
use super::socket::SocketError;
use crate::store::StoreError;
use crate::whatsapp::GatewayError;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
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

/// The exit statuses of `wasessiond`, besides 0 and the 2 of a wrong command line. They are those of
/// `sysexits.h`, as systemd knows them.
pub mod status {
    /// A fault of the daemon.
    pub const SOFTWARE: u8 = 70;
    /// The operating system refused something every program needs.
    pub const OSERR: u8 = 71;
    /// The control socket cannot be made.
    pub const CANTCREAT: u8 = 73;
    /// The state directory cannot be read or written.
    pub const IOERR: u8 = 74;
    /// A live daemon has the state directory, or the socket.
    pub const TEMPFAIL: u8 = 75;
    /// A directory or the socket is not this user's to use.
    pub const NOPERM: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

impl DaemonError {
    /// The exit status for it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NoPlace(_)
            | Self::Logging(LoggingError::Filter { .. })
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
            (DaemonError::Internal("x".to_owned()), 70),
        ] {
            assert_eq!(error.exit_status(), status, "{error}");
        }
    }
}
