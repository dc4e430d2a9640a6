//! What is said between the preface and the end.
//!
//! One task reads, answers and writes: most requests are answered from memory, in less time than a
//! second task would need to wake up. What takes longer is a task of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, coop, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::bytes::BytesMut;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::envelope;
use super::frames::{Frames, ReadError};
use super::outbox::{Outbox, WriteError};
use super::requests::{Begun, Requests};
use super::watch::Watch;
use super::{CLOSE_WITHIN, MAX_IN_FLIGHT, STOP_GRACE};
use crate::daemon::access::Peer;
use crate::daemon::state::Daemon;
use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::{Answer, Failure, FailureCode, Message, Reply, Request};

/// Requests of no more bytes than this are read in microseconds.
const SHORT: usize = 1024;

/// As many answers to short requests are written in one go.
const TOGETHER: usize = 64;

/// How a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("it left")]
    Left,
    #[error("the daemon is stopping")]
    Stopping,
    #[error("{0}")]
    Broke(String),
    /// The error repeats what was sent. It is for the client; in a log a secret may be among it.
    #[error("it sent a message that is none of this protocol in {0}, and was told what is wrong")]
    Unreadable(Encoding, CodecError),
    #[error(transparent)]
    Unwritten(#[from] WriteError),
}

/// A client that was welcomed.
pub(super) struct Conversation<R, W> {
    frames: Frames<R>,
    outbox: Outbox<W>,
    encoding: Encoding,
    requests: Requests,
    under_way: JoinSet<Reply>,
    watch: Option<Watch>,
    /// Answers since something was last written.
    unwritten: usize,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Conversation<R, W> {
    pub(super) fn new(
        frames: Frames<R>,
        outbox: Outbox<W>,
        encoding: Encoding,
        peer: Peer,
        daemon: Daemon,
        turns: Arc<Semaphore>,
    ) -> Self {
        Self {
            frames,
            outbox,
            encoding,
            requests: Requests::new(peer, daemon, turns),
            under_way: JoinSet::new(),
            watch: None,
            unwritten: 0,
        }
    }

    /// Talks until one side has enough, and says goodbye.
    pub(super) async fn hold(mut self, stop: &CancellationToken) -> End {
        let end = self.talk(stop).await;
        if matches!(end, End::Unwritten(_)) {
            return end;
        }
        if let Err(error) = self.answer_the_rest(&end, stop).await {
            return error.into();
        }
        self.say_goodbye(&end).await;
        end
    }

    /// Reads and answers, in this order of precedence: what was asked for, then what is told unasked,
    /// then the writing of it, so that as much as possible is written in one go.
    async fn talk(&mut self, stop: &CancellationToken) -> End {
        loop {
            let room = self.outbox.has_room();
            let more = room && self.under_way.len() < MAX_IN_FLIGHT;
            if !more {
                self.frames.pause();
            }
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopping,
                Some(done) = self.under_way.join_next(), if room => self.reply_with(done),
                frame = self.frames.next(), if more => match frame {
                    Some(Ok(frame)) => self.take(&frame).await,
                    None | Some(Err(ReadError::Gone(_))) => return End::Left,
                    Some(Err(error)) => return End::Broke(error.to_string()),
                },
                message = next(&mut self.watch), if room => self.tell(message),
                flushed = self.outbox.flush(), if !self.outbox.is_empty() => {
                    flushed.map_err(End::from)
                }
            };
            if let Err(end) = done {
                return end;
            }
            // Nobody waits for an answer because more was asked.
            if self.unwritten >= TOGETHER {
                self.unwritten = 0;
                if let Some(Err(error)) = self.outbox.flush().now_or_never() {
                    return error.into();
                }
            }
        }
    }

    /// Takes a request.
    async fn take(&mut self, frame: &BytesMut) -> Result<(), End> {
        // A client that always has another one ready must let others have their turn: after so many
        // requests that are short, and after each one that is long.
        self.unwritten += 1;
        if frame.len() > SHORT {
            self.unwritten = TOGETHER;
            yield_now().await;
        } else {
            coop::consume_budget().await;
        }
        let request = match self.encoding.decode::<Request>(frame) {
            Ok(request) => request,
            Err(error) => {
                return match envelope::refusal(self.encoding, frame, &error) {
                    Some((id, failure)) => self.reply(id, Err(failure)),
                    None => Err(End::Unreadable(self.encoding, error)),
                };
            }
        };
        let id = request.id;
        match self.requests.begin(request) {
            Begun::Answered(result) => {
                let long = matches!(result, Ok(Answer::Sessions(_) | Answer::History(_)));
                self.reply(id, result)?;
                if long {
                    self.unwritten = TOGETHER;
                    yield_now().await;
                }
            }
            Begun::Watch(watching, watch) => {
                self.watch = None;
                self.reply(id, Ok(Answer::Watching(watching)))?;
                self.watch = Some(watch);
            }
            Begun::UnderWay(reply) => {
                self.under_way.spawn(reply);
            }
        }
        Ok(())
    }

    fn reply(&mut self, id: u64, result: Result<Answer, Failure>) -> Result<(), End> {
        let reply = Message::Reply(Reply { id, result });
        Ok(self.outbox.put(reply, self.encoding)?)
    }

    fn reply_with(&mut self, done: Result<Reply, tokio::task::JoinError>) -> Result<(), End> {
        match done {
            Ok(Reply { id, result }) => self.reply(id, result),
            Err(error) => {
                // What a request does is guarded; this is the waiting for it.
                error!("the task of a request failed: {error}");
                Ok(())
            }
        }
    }

    fn tell(&mut self, message: Option<Message>) -> Result<(), End> {
        if let Some(message) = message {
            self.outbox.put(message, self.encoding)?;
        } else {
            self.watch = None;
        }
        Ok(())
    }

    /// Waits for the replies to requests that came before the end, and passes them on.
    async fn answer_the_rest(
        &mut self,
        end: &End,
        stop: &CancellationToken,
    ) -> Result<(), WriteError> {
        // It may have closed only its own half, and wait for the rest.
        let patience = match end {
            End::Left => Duration::MAX,
            _ => STOP_GRACE,
        };
        if matches!(end, End::Left) {
            self.watch = None;
        }
        let stopped = async {
            stop.cancelled().await;
            sleep(STOP_GRACE).await;
        };
        let enough = async {
            tokio::select! {
                () = sleep(patience) => {}
                () = stopped => {}
            }
        };
        tokio::pin!(enough);
        while !self.under_way.is_empty() {
            let room = self.outbox.has_room();
            tokio::select! {
                biased;
                () = &mut enough => break,
                Some(done) = self.under_way.join_next(), if room => {
                    if let Err(End::Unwritten(error)) = self.reply_with(done) {
                        return Err(error);
                    }
                }
                message = next(&mut self.watch), if room => {
                    if let Err(End::Unwritten(error)) = self.tell(message) {
                        return Err(error);
                    }
                }
                flushed = self.outbox.flush(), if !self.outbox.is_empty() => flushed?,
            }
        }
        self.under_way.shutdown().await;
        Ok(())
    }

    /// Says why, where something can still be said, and closes.
    async fn say_goodbye(mut self, end: &End) {
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
        if let Some(failure) = goodbye {
            // It is short, and can always be encoded.
            let _ = self.outbox.put(Message::Closing(failure), self.encoding);
        }
        // An error, or no end of it: the client is gone, or does not read.
        let _ = timeout(CLOSE_WITHIN, self.outbox.close()).await;
    }
}

/// The next message of a watch; without one, none comes.
async fn next(watch: &mut Option<Watch>) -> Option<Message> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
