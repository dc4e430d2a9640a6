//! Reads frames from a client that may be slow, hostile, or gone.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Sleep, sleep};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::length_delimited::LengthDelimitedCodecError;
use tokio_util::codec::{Decoder, FramedRead, LengthDelimitedCodec};

use super::hang_up::{HangUp, ReadHalf};
use crate::daemon::allowance::SMALL;
use crate::daemon::budget::{Budgets, Charge};

/// Frames of more bytes than this are rare.
const LARGE: usize = 64 * 1024;

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("a frame claims more than the {0} bytes that one may have here")]
    TooLarge(usize),
    #[error("a frame was begun and not finished within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("the client sends no more: {0}")]
    Failed(io::Error),
    #[error("the client is gone")]
    HungUp,
}

/// A frame, and what it was charged for: nothing if it is small.
pub(super) struct Frame {
    pub(super) bytes: BytesMut,
    pub(super) charge: Option<Charge>,
}

/// The frames of one client. Between frames it may be silent as long as it likes; a frame that was
/// begun must be finished in time. From its length on a frame that is not small is charged: while there
/// is no room for it, nothing of it is read.
pub(super) struct Frames<R> {
    inner: FramedRead<R, Announcing>,
    budgets: Budgets,
    room: Room,
    within: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    hang_up: Option<HangUp>,
}

/// The room for the frame that is read.
enum Room {
    /// The frame needs none, or no frame is read.
    NotAsked,
    /// There is no room yet.
    Asked(Pin<Box<dyn Future<Output = Charge> + Send>>),
    /// The frame is charged.
    Taken(Charge),
}

/// The frames of the protocol, up to a length.
pub(crate) fn codec(max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_type::<u32>()
        .big_endian()
        .max_frame_length(max)
        .new_codec()
}

impl<R: ReadHalf> Frames<R> {
    pub(super) fn new(read: R, max: usize, within: Duration, budgets: Budgets) -> Self {
        let codec = Announcing {
            inner: codec(max),
            part: Progress::Between,
        };
        Self {
            inner: FramedRead::new(read, codec),
            budgets,
            room: Room::NotAsked,
            within,
            deadline: None,
            hang_up: None,
        }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.inner.decoder_mut().inner.set_max_frame_length(max);
    }

    /// The next frame; `None`: the client sends no more. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<Frame, ReadError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Frames::next`] where `more` may be read, else the end of a client that is gone. The time in
    /// which nothing is read is not the client's fault.
    pub(super) async fn next_if(&mut self, more: bool) -> Option<Result<Frame, ReadError>> {
        if more {
            return self.next().await;
        }
        self.deadline = None;
        self.hung_up().await;
        Some(Err(ReadError::HungUp))
    }

    /// Waits until the client is gone altogether.
    pub(super) async fn hung_up(&mut self) {
        poll_fn(|cx| self.poll_hung_up(cx)).await;
    }

    fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let read = self.inner.get_ref();
        let hang_up = self.hang_up.get_or_insert_with(|| read.hang_up());
        ready!(hang_up.as_mut().poll(cx));
        self.hang_up = None;
        Poll::Ready(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, ReadError>>> {
        loop {
            if let Room::Asked(asked) = &mut self.room {
                let Poll::Ready(charge) = asked.as_mut().poll(cx) else {
                    return self.poll_hung_up(cx).map(|()| Some(Err(ReadError::HungUp)));
                };
                self.room = Room::Taken(charge);
            }
            match self.inner.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Part::Length(length)))) => {
                    // Waiting for room is not the client's fault.
                    self.deadline = None;
                    self.room = Room::Asked(Box::pin(self.budgets.clone().take(length)));
                }
                Poll::Ready(Some(Ok(Part::Whole(bytes)))) => {
                    return Poll::Ready(Some(Ok(self.finish(bytes))));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(self.explain(error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if self.inner.decoder().part == Progress::Between {
            return Poll::Pending;
        }
        let within = self.within;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(within)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(ReadError::TooSlow(within))))
    }

    fn finish(&mut self, bytes: BytesMut) -> Frame {
        self.deadline = None;
        if bytes.len() > LARGE {
            // The memory of a large frame is not kept for the small ones that follow. The beginning of
            // the next frame may share it, so that is copied.
            let rest = BytesMut::from(&self.inner.read_buffer()[..]);
            *self.inner.read_buffer_mut() = rest;
        }
        let charge = match mem::replace(&mut self.room, Room::NotAsked) {
            Room::Taken(charge) => Some(charge),
            Room::NotAsked | Room::Asked(_) => None,
        };
        Frame { bytes, charge }
    }

    fn explain(&self, error: io::Error) -> ReadError {
        // The codec wraps its own error into one of I/O.
        let source = error.get_ref();
        if source.is_some_and(<dyn Error + Send + Sync>::is::<LengthDelimitedCodecError>) {
            return ReadError::TooLarge(self.inner.decoder().inner.max_frame_length());
        }
        ReadError::Failed(error)
    }
}

/// A part of a frame.
enum Part {
    /// The length of one that is not small. Its memory is reserved when the next part is asked for.
    Length(usize),
    /// All of it.
    Whole(BytesMut),
}

/// How much of a frame is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    Between,
    /// Some of its length.
    InLength,
    /// Its length, which was announced and is still in the buffer.
    Announced,
    /// Its length; some of its bytes.
    InBytes,
}

/// The codec, which also announces the length of a frame that is not small, and knows whether a frame
/// is begun: after it took a frame's length, nothing of the frame need be left in the buffer.
struct Announcing {
    inner: LengthDelimitedCodec,
    part: Progress,
}

impl Announcing {
    /// The length at the head of these bytes, if it is one to announce.
    fn to_announce(&self, bytes: &[u8]) -> Option<usize> {
        let head = bytes.first_chunk().copied().map(u32::from_be_bytes)?;
        let length = usize::try_from(head).ok()?;
        let announced = length > SMALL && length <= self.inner.max_frame_length();
        announced.then_some(length)
    }
}

impl Decoder for Announcing {
    type Item = Part;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Part>> {
        if matches!(self.part, Progress::Between | Progress::InLength)
            && let Some(length) = self.to_announce(bytes)
        {
            self.part = Progress::Announced;
            return Ok(Some(Part::Length(length)));
        }
        let before = bytes.len();
        if let Some(whole) = self.inner.decode(bytes)? {
            // The decoder is called again, with the bytes that follow.
            self.part = Progress::Between;
            return Ok(Some(Part::Whole(whole)));
        }
        if bytes.len() < before {
            self.part = Progress::InBytes;
        } else if self.part == Progress::Between && before > 0 {
            self.part = Progress::InLength;
        }
        Ok(None)
    }
}
