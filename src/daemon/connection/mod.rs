//! One client, from its first byte to its last.
//!
//! One task reads, answers and writes; a request that takes time is a task of its own, so that it
//! blocks no other. Everything has a limit: how long a client may take to say what it wants, how much
//! it may say at once, how many requests it may have in flight, how much it may leave unread, and how
//! long. Breaking one costs the client its connection, and nobody else anything.

mod conversation;
mod envelope;
mod frames;
mod outbox;
mod requests;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::access::Peer;
use super::state::Daemon;
use crate::protocol::MAX_FRAME;
use crate::protocol::preface::{self, Hello, PrefaceError, Welcome};
use conversation::{Conversation, End};
#[cfg(test)]
pub(crate) use frames::codec;
use frames::{Frames, ReadError};
use outbox::{Outbox, WriteError};

/// The preface must be here this long after the connection.
pub const PREFACE_WITHIN: Duration = Duration::from_secs(5);

/// A frame must be finished this long after it was begun.
pub const FRAME_WITHIN: Duration = Duration::from_secs(10);

/// The client must read what it is told within this time.
pub const READ_WITHIN: Duration = Duration::from_secs(30);

/// Requests of one client that may be under way; then nothing more is read.
pub const MAX_IN_FLIGHT: usize = 32;

/// How long requests that are under way at a stop may still take to be answered, and a client that has
/// just connected to say hello.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Serves one client until it leaves, breaks a rule, or the daemon stops. What all clients of its uid
/// have under way takes its turn at `turns`.
pub async fn serve<S>(
    stream: S,
    peer: Peer,
    daemon: Daemon,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // One of its own: asking it must not touch what all connections share.
    let stop = stop.child_token();
    let who = describe(&peer);
    let uid = peer.uid;
    let (read, write) = tokio::io::split(stream);
    let mut frames = Frames::new(read, preface::MAX_LEN, FRAME_WITHIN);
    let mut outbox = Outbox::new(write, READ_WITHIN);
    // At a stop it is welcomed all the same: only then can it be told so in a message.
    let hello = tokio::select! {
        biased;
        hello = timeout(PREFACE_WITHIN, hello(&mut frames)) => {
            hello.unwrap_or(Err(HandshakeFailure::TooLate))
        }
        () = grace_of(&stop) => Err(HandshakeFailure::Stopping),
    };
    let (welcome, encoding) = match hello {
        Ok(Hello { encoding, client }) => {
            debug!(
                peer_uid = uid,
                "{who} connected with {encoding}, as {client:?}"
            );
            let version = concat!("wasessiond/", env!("CARGO_PKG_VERSION"));
            (Welcome::Ok(version.to_owned()), Some(encoding))
        }
        Err(HandshakeFailure::Gone) => {
            // Another daemon that asks whether this one is alive does just that.
            debug!(peer_uid = uid, "{who} left without a word");
            return;
        }
        Err(HandshakeFailure::Stopping) => {
            (Welcome::Error(HandshakeFailure::Stopping.to_string()), None)
        }
        Err(HandshakeFailure::Wrong(error @ PrefaceError::Revision(_))) => {
            // It comes back at once, and speaks JSON.
            debug!(peer_uid = uid, "{who} is of another release: {error}");
            (Welcome::Error(error.to_string()), None)
        }
        Err(error) => {
            warn!(peer_uid = uid, "{who} is disconnected: {error}");
            (Welcome::Error(error.to_string()), None)
        }
    };
    outbox.put_frame(welcome.to_string().as_bytes());
    let welcomed = timeout(CLOSE_WITHIN, outbox.flush()).await;
    let (Ok(Ok(())), Some(encoding)) = (welcomed, encoding) else {
        return;
    };
    frames.set_max(MAX_FRAME);
    let conversation = Conversation::new(frames, outbox, encoding, peer, daemon, turns);
    let end = conversation.hold(&stop).await;
    match &end {
        End::Left | End::Stopping | End::Unwritten(WriteError::Gone(_)) => {
            debug!(peer_uid = uid, "{who} is disconnected: {end}");
        }
        End::Broke(_) | End::Unreadable(..) | End::Unwritten(_) => {
            warn!(peer_uid = uid, "{who} is disconnected: {end}");
        }
    }
}

/// Over when the stop began and its grace is used up.
async fn grace_of(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_GRACE).await;
}

fn describe(peer: &Peer) -> String {
    match peer.pid {
        Some(pid) => format!("the client of uid {}, pid {pid},", peer.uid),
        None => format!("the client of uid {}", peer.uid),
    }
}

/// Why a client did not get as far as its first request.
#[derive(Debug, thiserror::Error)]
enum HandshakeFailure {
    #[error("no preface came within {} s", PREFACE_WITHIN.as_secs())]
    TooLate,
    #[error(transparent)]
    Wrong(#[from] PrefaceError),
    #[error("the daemon is stopping: try again when it is back")]
    Stopping,
    #[error("it left")]
    Gone,
}

async fn hello<R: AsyncRead + Unpin>(frames: &mut Frames<R>) -> Result<Hello, HandshakeFailure> {
    match frames.next().await {
        Some(Ok(frame)) => Ok(Hello::parse(&frame)?),
        None | Some(Err(ReadError::Gone(_))) => Err(HandshakeFailure::Gone),
        Some(Err(ReadError::TooSlow(_))) => Err(HandshakeFailure::TooLate),
        // The first bytes of another protocol, read as a length, are a huge one.
        Some(Err(ReadError::TooLarge(_))) => Err(PrefaceError::NotThisProtocol.into()),
    }
}
