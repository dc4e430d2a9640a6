//! One client, from its first byte to its last.
//!
//! One task reads, one writes, and each request is a task of its own, so that a slow one blocks no
//! other. Everything has a limit: how long a client may take to say what it wants, how much it may
//! say at once, how many requests it may have in flight, and how long it may leave what it is told
//! unread. Breaking one costs the client its connection, and nobody else anything.

mod envelope;
mod frames;
mod outbox;
mod requests;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::bytes::Bytes;
use tokio_util::codec::FramedWrite;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::access::Peer;
use super::state::Daemon;
use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::preface::{self, Hello, PrefaceError, Welcome};
use crate::protocol::{Failure, FailureCode, MAX_FRAME, Message, Request};
pub(crate) use frames::codec;
use frames::{Frames, ReadError};
use outbox::{Sink, WriteError};
use requests::Requests;

/// The preface must be here this long after the connection.
pub const PREFACE_WITHIN: Duration = Duration::from_secs(5);

/// A frame must be finished this long after it was begun.
pub const FRAME_WITHIN: Duration = Duration::from_secs(10);

/// The client must read what it is told within this time.
pub const READ_WITHIN: Duration = Duration::from_secs(30);

/// Requests of one client that may be under way; then nothing more is read.
pub const MAX_IN_FLIGHT: usize = 32;

/// How long requests that are under way at a stop may still take to be answered.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Serves one client until it leaves, breaks a rule, or the daemon stops.
pub async fn serve<S>(stream: S, peer: Peer, daemon: Daemon, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let who = describe(&peer);
    let uid = peer.uid;
    let (read, write) = tokio::io::split(stream);
    let mut frames = Frames::new(read, preface::MAX_LEN, FRAME_WITHIN);
    let mut sink = FramedWrite::new(write, codec(MAX_FRAME));
    let hello = tokio::select! {
        biased;
        () = stop.cancelled() => Err(NoHello::Stopping),
        hello = timeout(PREFACE_WITHIN, hello(&mut frames)) => {
            hello.unwrap_or(Err(NoHello::TooLate))
        }
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
        Err(NoHello::Gone) => {
            // Another daemon that asks whether this one is alive does just that.
            debug!(peer_uid = uid, "{who} left without a word");
            return;
        }
        Err(NoHello::Stopping) => (Welcome::Error(NoHello::Stopping.to_string()), None),
        Err(error) => {
            warn!(peer_uid = uid, "{who} is disconnected: {error}");
            (Welcome::Error(error.to_string()), None)
        }
    };
    let welcomed = timeout(CLOSE_WITHIN, sink.send(Bytes::from(welcome.to_string()))).await;
    let (Ok(Ok(())), Some(encoding)) = (welcomed, encoding) else {
        return;
    };
    frames.set_max(MAX_FRAME);
    let end = converse(frames, sink, encoding, peer, daemon, stop).await;
    match &end {
        End::Left | End::Stopping | End::Unwritten(Ok(()) | Err(WriteError::Gone(_))) => {
            debug!(peer_uid = uid, "{who} is disconnected: {end}");
        }
        End::Broke(_) | End::Unreadable(..) | End::Unwritten(Err(_)) => {
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
enum NoHello {
    #[error("no preface came within {} s", PREFACE_WITHIN.as_secs())]
    TooLate,
    #[error(transparent)]
    Wrong(#[from] PrefaceError),
    #[error("the daemon is stopping: try again when it is back")]
    Stopping,
    #[error("it left")]
    Gone,
}

async fn hello<R: AsyncRead + Unpin>(frames: &mut Frames<R>) -> Result<Hello, NoHello> {
    match frames.next().await {
        Some(Ok(frame)) => Ok(Hello::parse(&frame)?),
        None | Some(Err(ReadError::Gone(_))) => Err(NoHello::Gone),
        Some(Err(ReadError::TooSlow(_))) => Err(NoHello::TooLate),
        // The first bytes of another protocol, read as a length, are a huge one.
        Some(Err(ReadError::TooLarge(_))) => Err(PrefaceError::NotThisProtocol.into()),
    }
}

/// How a conversation ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it left")]
    Left,
    #[error("the daemon is stopping")]
    Stopping,
    #[error("{0}")]
    Broke(String),
    /// The error repeats what was sent. It is for the client; in a log a secret may be among it.
    #[error("it sent a message that is none of this protocol in {0}, and was told what is wrong")]
    Unreadable(Encoding, CodecError),
    #[error("{}", match .0 { Ok(()) => "it was told everything".to_owned(), Err(e) => e.to_string() })]
    Unwritten(Result<(), WriteError>),
}

async fn converse<R, W>(
    mut frames: Frames<R>,
    sink: Sink<W>,
    encoding: Encoding,
    peer: Peer,
    daemon: Daemon,
    stop: CancellationToken,
) -> End
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outbox, messages) = outbox::channel();
    let mut writer = tokio::spawn(outbox::write(messages, sink, encoding, READ_WITHIN));
    let requests = Requests::new(peer, daemon, outbox);
    let mut under_way = JoinSet::new();
    let end = loop {
        let room = under_way.len() < MAX_IN_FLIGHT;
        if !room {
            frames.pause();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break End::Stopping,
            written = &mut writer => return unwritten(written),
            Some(done) = under_way.join_next() => note(done),
            frame = frames.next(), if room => match frame {
                Some(Ok(frame)) => match encoding.decode::<Request>(&frame) {
                    Ok(request) => {
                        under_way.spawn(requests.clone().handle(request));
                    }
                    Err(error) => match envelope::refusal(encoding, &frame, &error) {
                        Some((id, failure)) => {
                            under_way.spawn(requests.clone().refuse(id, failure));
                        }
                        None => break End::Unreadable(encoding, error),
                    },
                },
                None | Some(Err(ReadError::Gone(_))) => break End::Left,
                Some(Err(error)) => break End::Broke(error.to_string()),
            },
        }
    };
    // What remains to be said: replies to requests that came before the end.
    let patience = match end {
        // It may have closed only its own half, and wait for the rest.
        End::Left => Duration::MAX,
        _ => STOP_GRACE,
    };
    if matches!(end, End::Left) {
        requests.end_watch().await;
    }
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let answering = async { while under_way.join_next().await.map(note).is_some() {} };
    tokio::select! {
        biased;
        written = &mut writer => return unwritten(written),
        () = answering => {}
        () = tokio::time::sleep(patience) => {}
        () = stopped => {}
    }
    under_way.shutdown().await;
    say_goodbye(requests, &end, &mut writer).await;
    end
}

/// Says why, where something can still be said, and lets the writer finish.
async fn say_goodbye(
    requests: Requests,
    end: &End,
    writer: &mut JoinHandle<Result<(), WriteError>>,
) {
    let invalid = |why: &dyn std::fmt::Display| {
        let message = format!("The connection is closed: {why}");
        Failure::new(FailureCode::InvalidRequest, message)
    };
    let goodbye = match end {
        End::Broke(why) => Some(invalid(why)),
        End::Unreadable(_, why) => Some(invalid(why)),
        End::Stopping => Some(Failure::new(
            FailureCode::Stopping,
            "The daemon is stopping. Sessions stay linked; connect again when it is back",
        )),
        End::Left | End::Unwritten(_) => None,
    };
    let finish = async {
        requests.end_watch().await;
        if let Some(failure) = goodbye {
            // An error: the writer is gone already.
            let _ = requests.outbox.send(Message::Closing(failure)).await;
        }
        drop(requests);
        let _ = (&mut *writer).await;
    };
    if timeout(CLOSE_WITHIN, finish).await.is_err() {
        writer.abort();
    }
}

fn unwritten(written: Result<Result<(), WriteError>, tokio::task::JoinError>) -> End {
    match written {
        Ok(result) => End::Unwritten(result),
        Err(error) => End::Broke(format!("the writer failed: {error}")),
    }
}

/// A request's task ended. Its reply, if any, is written already.
fn note(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        error!("the task of a request failed: {error}");
    }
}
