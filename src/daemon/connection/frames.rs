//! Reads frames from a client that may be slow, hostile, or gone.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio::time::{Sleep, sleep};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::length_delimited::LengthDelimitedCodecError;
use tokio_util::codec::{Decoder, FramedRead, LengthDelimitedCodec};

/// Frames of more bytes than this are rare.
const LARGE: usize = 64 * 1024;

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("a frame claims more than the {0} bytes that one may have here")]
    TooLarge(usize),
    #[error("a frame was begun and not finished within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the client is gone: {0}")]
    Gone(io::Error),
}

/// The frames of one client. Between frames it may be silent as long as it likes; a frame that was
/// begun must be finished in time.
pub(super) struct Frames<R> {
    inner: FramedRead<R, Noticing>,
    within: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The frames of the protocol, up to a length.
pub(crate) fn codec(max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_type::<u32>()
        .big_endian()
        .max_frame_length(max)
        .new_codec()
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(read: R, max: usize, within: Duration) -> Self {
        let codec = Noticing {
            inner: codec(max),
            begun: false,
        };
        Self {
            inner: FramedRead::new(read, codec),
            within,
            deadline: None,
        }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.inner.decoder_mut().inner.set_max_frame_length(max);
    }

    /// The next frame; `None`: the client sends no more. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<BytesMut, ReadError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// To be called when nobody waits for a frame: that time is not the client's fault.
    pub(super) fn pause(&mut self) {
        self.deadline = None;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<BytesMut, ReadError>>> {
        if let Poll::Ready(frame) = self.inner.poll_next_unpin(cx) {
            self.deadline = None;
            // What one large frame needed is not kept for the small ones that follow.
            let large = matches!(&frame, Some(Ok(frame)) if frame.len() > LARGE);
            if large && self.inner.read_buffer().is_empty() {
                *self.inner.read_buffer_mut() = BytesMut::new();
            }
            return Poll::Ready(frame.map(|result| result.map_err(|e| self.explain(e))));
        }
        if !self.inner.decoder().begun {
            return Poll::Pending;
        }
        let within = self.within;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(within)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(ReadError::TooSlow(within))))
    }

    fn explain(&self, error: io::Error) -> ReadError {
        // The codec wraps its own error into one of I/O.
        let source = error.get_ref();
        if source.is_some_and(<dyn Error + Send + Sync>::is::<LengthDelimitedCodecError>) {
            return ReadError::TooLarge(self.inner.decoder().inner.max_frame_length());
        }
        ReadError::Gone(error)
    }
}

/// The codec, which also notices whether a frame is begun: after it took a frame's head, nothing of
/// the frame need be left in the buffer.
struct Noticing {
    inner: LengthDelimitedCodec,
    begun: bool,
}

impl Decoder for Noticing {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let any = !bytes.is_empty();
        let frame = self.inner.decode(bytes)?;
        // After a whole frame it is called again, with what follows.
        self.begun = frame.is_none() && (self.begun || any);
        Ok(frame)
    }
}
