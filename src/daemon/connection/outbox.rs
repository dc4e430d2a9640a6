//! Writes messages to a client that may not read them.
//!
//! Everybody who has something to say to the client waits for room in one bounded queue, and one
//! task writes it out. A client that does not read costs the queue and what waits for it, which is
//! bounded too, and after a while its connection.

use std::io;
use std::time::Duration;

use futures_util::SinkExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedWrite, LengthDelimitedCodec};
use tracing::warn;

use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::{Failure, FailureCode, Message, Reply};

/// Messages that wait for the writer.
const QUEUE: usize = 16;

/// Messages that are written in one go, if as many wait.
const BATCH: usize = 32;

/// What is said to one client.
pub(super) type Outbox = mpsc::Sender<Message>;

/// Where it is written.
pub(super) type Sink<W> = FramedWrite<W, LengthDelimitedCodec>;

/// Why the writer gave up.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the client did not read for {} s", .0.as_secs())]
    NotRead(Duration),
    #[error("the client is gone: {0}")]
    Gone(#[from] io::Error),
    #[error("a message to the client could not be written: {0}")]
    Unwritable(#[from] CodecError),
}

pub(super) fn channel() -> (Outbox, mpsc::Receiver<Message>) {
    mpsc::channel(QUEUE)
}

/// Writes until nobody has anything to say any more, then closes.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    mut messages: mpsc::Receiver<Message>,
    mut sink: Sink<W>,
    encoding: Encoding,
    within: Duration,
) -> Result<(), WriteError> {
    let mut batch = Vec::new();
    while messages.recv_many(&mut batch, BATCH).await > 0 {
        let written = timeout(within, write_batch(&mut sink, &mut batch, encoding)).await;
        written.map_err(|_| WriteError::NotRead(within))??;
    }
    // The frames are flushed; this only says that none follow.
    sink.get_mut().shutdown().await?;
    Ok(())
}

async fn write_batch<W: AsyncWrite + Unpin>(
    sink: &mut Sink<W>,
    batch: &mut Vec<Message>,
    encoding: Encoding,
) -> Result<(), WriteError> {
    for message in batch.drain(..) {
        sink.feed(encode(message, encoding)?).await?;
    }
    SinkExt::<Bytes>::flush(sink).await?;
    Ok(())
}

fn encode(message: Message, encoding: Encoding) -> Result<Bytes, CodecError> {
    match (encoding.encode(&message), message) {
        // The client asked for more than fits: its connection need not end for it.
        (Err(error @ CodecError::TooLarge(_)), Message::Reply(Reply { id, .. })) => {
            warn!("a reply does not fit into a frame: {error}");
            let why = format!("The answer is too large: {error}. Ask for less at a time");
            let result = Err(Failure::new(FailureCode::TooLarge, why));
            encoding
                .encode(&Message::Reply(Reply { id, result }))
                .map(Bytes::from)
        }
        (encoded, _) => encoded.map(Bytes::from),
    }
}
