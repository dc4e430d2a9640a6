//! The bytes that a client has not read yet, and writing them.
//!
//! Callers check `has_room()` before `put()`. A client that stops reading pins at most 64 KiB plus one
//! message, and after a while it is disconnected.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep};
use tokio_util::bytes::{Buf, BufMut, BytesMut};
use tracing::warn;

use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::{Failure, FailureCode, Message, Reply};

/// With so many bytes waiting, nothing is added. A single message may be larger.
const FULL: usize = 64 * 1024;

/// Why nothing more can be written to a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the client did not read for {} s", .0.as_secs())]
    NotRead(Duration),
    #[error("the client is gone: {0}")]
    Gone(#[from] io::Error),
    #[error("a message to the client could not be written: {0}")]
    Unwritable(#[from] CodecError),
}

/// The bytes for one client that it has not taken yet.
pub(super) struct Outbox<W> {
    write: W,
    waiting: BytesMut,
    within: Duration,
    due: Option<Due>,
}

/// So many of the waiting bytes must be taken by then.
struct Due {
    bytes: usize,
    at: Pin<Box<Sleep>>,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    /// An empty one. The client must read the waiting bytes within this time, counted from the moment
    /// that it stops reading.
    pub(super) fn new(write: W, within: Duration) -> Self {
        Self {
            write,
            waiting: BytesMut::new(),
            within,
            due: None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < FULL
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a message.
    pub(super) fn put(&mut self, message: Message, encoding: Encoding) -> Result<(), WriteError> {
        self.put_frame(&encode(message, encoding)?);
        Ok(())
    }

    /// Adds a frame with this in it, which is no longer than a frame may be.
    pub(super) fn put_frame(&mut self, bytes: &[u8]) {
        // `Encoding::encode` lets nothing through that is longer than MAX_FRAME.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.waiting.reserve(size_of::<u32>() + bytes.len());
        self.waiting.put_u32(length);
        self.waiting.put_slice(bytes);
    }

    /// Writes until nothing waits. Cancelling it loses nothing.
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes everything, and says that nothing follows.
    pub(super) async fn close(&mut self) -> Result<(), WriteError> {
        self.flush().await?;
        self.write.shutdown().await?;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        while !self.waiting.is_empty() {
            match Pin::new(&mut self.write).poll_write(cx, &self.waiting) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                Poll::Ready(Ok(written)) => self.took(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    ready!(self.poll_due(cx));
                    return Poll::Ready(Err(WriteError::NotRead(self.within)));
                }
            }
        }
        // The memory of a large message is not kept for the small ones.
        if self.waiting.capacity() > FULL {
            self.waiting = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, written: usize) {
        self.waiting.advance(written);
        if let Some(due) = &mut self.due {
            due.bytes = due.bytes.saturating_sub(written);
            if due.bytes == 0 {
                self.due = None;
            }
        }
    }

    /// Ready when the client was too slow. A byte now and then buys no time: all that waits when the
    /// clock starts must be taken before it stops.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (bytes, within) = (self.waiting.len(), self.within);
        let due = self.due.get_or_insert_with(|| Due {
            bytes,
            at: Box::pin(sleep(within)),
        });
        due.at.as_mut().poll(cx)
    }
}

fn encode(message: Message, encoding: Encoding) -> Result<Vec<u8>, CodecError> {
    match (encoding.encode(&message), message) {
        // The client asked for more than fits into a frame: that does not end its connection.
        (Err(error @ CodecError::TooLarge(_)), Message::Reply(Reply { id, .. })) => {
            warn!("a reply does not fit into a frame: {error}");
            let why = format!("The answer is too large: {error}. Ask for less at a time");
            let result = Err(Failure::new(FailureCode::TooLarge, why));
            encoding.encode(&Message::Reply(Reply { id, result }))
        }
        (encoded, _) => encoded,
    }
}
