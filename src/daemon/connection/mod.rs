//! One client, from its first byte to its last.
//!
//! One task reads, answers and writes; a request that takes time is a task of its own, so that it
//! blocks no other. Everything has a limit: how long a client may take to say what it wants, how much
//! it may say at once, how many requests it may have in flight, how much it may leave unread, and how
//! long. Breaking one costs the client its connection, and nobody else anything.

mod conversation;
mod envelope;
mod frames;
mod hang_up;
mod limits;
mod outbox;
mod requester;
mod requests;
mod watch;

#[cfg(test)]
mod tests;

use tokio::io::AsyncWrite;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::access::Peer;
use super::allowance::Allowance;
use super::state::Daemon;
use crate::protocol::MAX_FRAME;
use crate::protocol::preface::{self, Hello, PrefaceError, Welcome};
use conversation::{Conversation, End};
#[cfg(test)]
pub(crate) use frames::codec;
use frames::{Frames, ReadError};
pub use hang_up::{HangUp, ReadHalf};
use limits::{CLOSE_WITHIN, grace_of};
pub use limits::{FRAME_WITHIN, MAX_IN_FLIGHT, PREFACE_WITHIN, READ_WITHIN, STOP_GRACE};
use outbox::{Outbox, WriteError};
use requester::Requester;
use requests::Requests;

/// Serves one client, on the two halves of its stream, until it leaves, breaks a rule, or the daemon
/// stops.
pub async fn serve(
    read: impl ReadHalf,
    write: impl AsyncWrite + Unpin,
    peer: Peer,
    daemon: Daemon,
    allowance: Allowance,
    stop: CancellationToken,
) {
    // A token of its own: asking it must not touch the lock that all connections share.
    let stop = stop.child_token();
    let who = describe(&peer);
    let uid = peer.uid;
    let mut frames = Frames::new(read, preface::MAX_LEN, FRAME_WITHIN, allowance.frames());
    let mut outbox = Outbox::new(write, READ_WITHIN);
    // At a stop a client is welcomed all the same: only then can a message tell it of the stop.
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
            // Another daemon that asks whether this one is alive connects and leaves.
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
    let requests = Requests::new(Requester::new(peer, daemon), encoding, allowance);
    let conversation = Conversation::new(frames, outbox, encoding, requests);
    let end = conversation.hold(&stop).await;
    match &end {
        End::Left | End::Gone | End::Stopping | End::Unwritten(WriteError::Gone(_)) => {
            debug!(peer_uid = uid, "{who} is disconnected: {end}");
        }
        End::Broke(_) | End::Unreadable(..) | End::Unwritten(_) => {
            warn!(peer_uid = uid, "{who} is disconnected: {end}");
        }
    }
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

async fn hello<R: ReadHalf>(frames: &mut Frames<R>) -> Result<Hello, HandshakeFailure> {
    match frames.next().await {
        Some(Ok(frame)) => Ok(Hello::parse(&frame.bytes)?),
        None | Some(Err(ReadError::Failed(_) | ReadError::HungUp)) => Err(HandshakeFailure::Gone),
        Some(Err(ReadError::TooSlow(_))) => Err(HandshakeFailure::TooLate),
        // The first bytes of another protocol, read as a length, are a huge one.
        Some(Err(ReadError::TooLarge(_))) => Err(PrefaceError::NotThisProtocol.into()),
    }
}
