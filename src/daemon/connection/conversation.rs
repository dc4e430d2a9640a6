//! The messages between the preface and the end.
//!
//! One task reads, answers and writes: most requests are answered from memory, in less time than a
//! second task would need to wake up. What takes longer is a task of its own.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::AsyncWrite;
use tokio::task::{self, JoinError, JoinSet, coop, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::envelope;
use super::frames::{Frame, Frames, ReadError};
use super::hang_up::ReadHalf;
use super::limits::{CLOSE_WITHIN, MAX_IN_FLIGHT, STOP_GRACE, grace_of};
use super::outbox::{Outbox, WriteError};
use super::requests::{Begun, Requests, failed};
use super::watch::Watch;
use crate::daemon::allowance::SMALL;
use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::{Answer, Failure, FailureCode, Message, Reply, Request};

/// As many answers to short requests are written in one go.
const TOGETHER: usize = 64;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client sends no more. It may have closed only its own half, and still read.
    #[error("it left")]
    Left,
    /// The client is gone altogether.
    #[error("it is gone")]
    Gone,
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
    under_way: JoinSet<Result<Answer, Failure>>,
    /// The numbers of the requests that are under way.
    unanswered: HashMap<task::Id, u64>,
    watch: Option<Watch>,
    /// Answers since something was last written.
    unwritten: usize,
}

impl<R: ReadHalf, W: AsyncWrite + Unpin> Conversation<R, W> {
    pub(super) fn new(
        frames: Frames<R>,
        outbox: Outbox<W>,
        encoding: Encoding,
        requests: Requests,
    ) -> Self {
        Self {
            frames,
            outbox,
            encoding,
            requests,
            under_way: JoinSet::new(),
            unanswered: HashMap::new(),
            watch: None,
            unwritten: 0,
        }
    }

    /// Talks until one side has enough, and says goodbye.
    pub(super) async fn hold(mut self, stop: &CancellationToken) -> End {
        let end = self.talk(stop).await;
        if matches!(end, End::Unwritten(_) | End::Gone) {
            return end;
        }
        if let Err(why) = self.answer_the_rest(&end, stop).await {
            return why;
        }
        self.say_goodbye(&end).await;
        end
    }

    /// Reads and answers. Replies and requests come first, then messages of the watch, then writing, so
    /// that as much as possible is written in one go.
    async fn talk(&mut self, stop: &CancellationToken) -> End {
        loop {
            let room = self.outbox.has_room();
            let more = room && self.under_way.len() < MAX_IN_FLIGHT;
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopping,
                Some(done) = self.under_way.join_next_with_id(), if room => {
                    self.reply_with(done).map_err(End::from)
                }
                frame = self.frames.next_if(more) => match frame {
                    Some(Ok(frame)) => self.take(frame).await,
                    None | Some(Err(ReadError::Failed(_))) => return End::Left,
                    Some(Err(ReadError::HungUp)) => return End::Gone,
                    Some(Err(error)) => return End::Broke(error.to_string()),
                },
                message = next(&mut self.watch), if room => {
                    self.tell(message).map_err(End::from)
                }
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
    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        // A client that always has another request ready must let the other clients run: after so
        // many requests that are short, and after each one that is long.
        self.unwritten += 1;
        if frame.bytes.len() > SMALL {
            self.unwritten = TOGETHER;
            yield_now().await;
        } else {
            coop::consume_budget().await;
        }
        let request = match self.encoding.decode::<Request>(&frame.bytes) {
            Ok(request) => request,
            Err(error) => {
                return match envelope::refusal(self.encoding, &frame.bytes, &error) {
                    Some((id, failure)) => Ok(self.reply(id, Err(failure))?),
                    None => Err(End::Unreadable(self.encoding, error)),
                };
            }
        };
        let id = request.id;
        match self.requests.begin(request, frame) {
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
            Begun::UnderWay(result) => {
                let task = self.under_way.spawn(result);
                self.unanswered.insert(task.id(), id);
            }
        }
        Ok(())
    }

    fn reply(&mut self, id: u64, result: Result<Answer, Failure>) -> Result<(), WriteError> {
        let reply = Message::Reply(Reply { id, result });
        self.outbox.put(reply, self.encoding)
    }

    /// Answers a request that is not under way any more.
    fn reply_with(&mut self, done: Done) -> Result<(), WriteError> {
        let (task, result) = match done {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(unfinished(&error))),
        };
        match self.unanswered.remove(&task) {
            Some(id) => self.reply(id, result),
            None => Ok(()),
        }
    }

    fn tell(&mut self, message: Message) -> Result<(), WriteError> {
        self.outbox.put(message, self.encoding)
    }

    /// Waits for the replies to requests that came before the end, and passes them on. What takes too
    /// long is answered, too: a client that reads the goodbye knows that nothing else was begun.
    async fn answer_the_rest(&mut self, end: &End, stop: &CancellationToken) -> Result<(), End> {
        // A client that closed only its own half may wait for the rest.
        let patience = match end {
            End::Left => Duration::MAX,
            _ => STOP_GRACE,
        };
        if matches!(end, End::Left) {
            self.watch = None;
        }
        let enough = async {
            tokio::select! {
                () = sleep(patience) => {}
                () = grace_of(stop) => {}
            }
        };
        tokio::pin!(enough);
        while !self.under_way.is_empty() {
            let room = self.outbox.has_room();
            tokio::select! {
                biased;
                () = &mut enough => break,
                // Requests that wait are dropped with their client; what was begun goes on.
                () = self.frames.hung_up() => return Err(End::Gone),
                Some(done) = self.under_way.join_next_with_id(), if room => self.reply_with(done)?,
                message = next(&mut self.watch), if room => self.tell(message)?,
                flushed = self.outbox.flush(), if !self.outbox.is_empty() => flushed?,
            }
        }
        self.under_way.abort_all();
        while let Some(done) = self.under_way.join_next_with_id().await {
            self.reply_with(done)?;
        }
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
            End::Left | End::Gone | End::Unwritten(_) => None,
        };
        if let Some(failure) = goodbye {
            // A failure is short, and can always be encoded.
            let _ = self.outbox.put(Message::Closing(failure), self.encoding);
        }
        // An error, or no end of it: the client is gone, or does not read.
        let _ = timeout(CLOSE_WITHIN, self.outbox.close()).await;
    }
}

/// A request that is not under way any more.
type Done = Result<(task::Id, Result<Answer, Failure>), JoinError>;

/// The answer to a request whose task ended without a result.
fn unfinished(why: &JoinError) -> Failure {
    if why.is_cancelled() {
        return Failure::new(
            FailureCode::DeadlineExceeded,
            "The connection ends before this is done. Ask for the status to see what became of it",
        );
    }
    failed(why)
}

/// The next message of a watch; without one, none comes.
async fn next(watch: &mut Option<Watch>) -> Message {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
