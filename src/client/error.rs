//! What can go wrong between a client and the daemon.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::protocol::Failure;
use crate::protocol::preface::{BINCODE_REVISION, VERSION};

use super::SOCKET_VARIABLE;

/// What can go wrong between a client and the daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection to the socket: no daemon there, or not for this user.
    #[error("{}", NoDaemon(path, source))]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What came is not this protocol, or does not follow it.
    #[error("the other end does not keep to the protocol: {0}")]
    Protocol(String),
    /// The daemon speaks another version of the protocol.
    #[error(
        "the daemon speaks version {0} of the protocol, this client version {VERSION}: use a client and a daemon of the same release"
    )]
    VersionMismatch(u32),
    /// The daemon speaks another revision of bincode, and there is only this stream: a client that
    /// [connects](super::Client::connect) by itself speaks JSON then.
    #[error(
        "the daemon speaks revision {0} of bincode, this client revision {BINCODE_REVISION}: connect again with the encoding JSON, which has no revisions"
    )]
    OtherRevision(u32),
    /// The daemon did not take the connection, in its own words.
    #[error("the daemon refused the connection: {0}")]
    Refused(String),
    /// The daemon answered that it cannot be done.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The connection ended, and what the daemon said about it. With
    /// [`FailureCode::Stopping`](crate::protocol::FailureCode::Stopping), a request that gets this has
    /// not been begun.
    #[error("the daemon closed the connection{}", Why(.0.as_ref()))]
    Closed(Option<Failure>),
    /// No answer in time. What was asked may still be done.
    #[error("the daemon did not answer within {0:?}")]
    Timeout(Duration),
    /// A newer watch on the same connection took the place of this one.
    #[error("another watch on the same connection replaced this one")]
    Replaced,
}

struct NoDaemon<'a>(&'a Path, &'a io::Error);

impl fmt::Display for NoDaemon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, source) = *self;
        let path = path.display();
        match source.kind() {
            io::ErrorKind::NotFound => write!(
                f,
                "no daemon: there is no socket {path}. Start wasessiond, or name its socket in ${SOCKET_VARIABLE}"
            ),
            io::ErrorKind::ConnectionRefused => write!(
                f,
                "no daemon: nobody listens on {path}. If a wasessiond made this socket, it is gone: start it again"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{path}: permission denied. The socket is for root and the members of its group (wasession, where nothing else is configured)"
            ),
            _ => write!(f, "no daemon at {path}: {source}"),
        }
    }
}

struct Why<'a>(Option<&'a Failure>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(failure) => write!(f, ": {failure}"),
            None => f.write_str(" without a word: it has stopped or is starting again"),
        }
    }
}

/// How a connection ended. Unlike the error it can be sent to everybody who waits.
#[derive(Debug, Clone)]
pub(super) enum End {
    Closed(Option<Failure>),
    Protocol(String),
    Replaced,
}

impl From<End> for ClientError {
    fn from(end: End) -> Self {
        match end {
            End::Closed(failure) => Self::Closed(failure),
            End::Protocol(what) => Self::Protocol(what),
            End::Replaced => Self::Replaced,
        }
    }
}
