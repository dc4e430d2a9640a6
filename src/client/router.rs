//! The reading half of a connection: passes every message to the request or the watch that waits for it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio_util::bytes::BytesMut;

use crate::protocol::codec::Encoding;
use crate::protocol::{Answer, Message, Reply};

use super::ClientError;
use super::error::End;
use super::feed::Feed;

/// Which requests and which watch wait for messages.
#[derive(Debug, Default)]
pub(super) struct Router {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    answered: bool,
    pending: HashMap<u64, Pending>,
    feed: Weak<Feed>,
    end: Option<End>,
}

#[derive(Debug)]
struct Pending {
    reply: oneshot::Sender<Result<Answer, ClientError>>,
    feed: Option<Arc<Feed>>,
}

/// A request that waits for its reply. When it is dropped, the reply is not waited for any more.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pub(super) id: u64,
    router: &'a Router,
    reply: oneshot::Receiver<Result<Answer, ClientError>>,
}

impl Router {
    /// A number for a new request. With a feed, the request is a watch.
    pub(super) fn register(&self, feed: Option<Arc<Feed>>) -> Result<Ticket<'_>, End> {
        let mut state = self.lock();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        state.last_id += 1;
        let id = state.last_id;
        let (sender, reply) = oneshot::channel();
        state.pending.insert(
            id,
            Pending {
                reply: sender,
                feed,
            },
        );
        Ok(Ticket {
            id,
            router: self,
            reply,
        })
    }

    /// Whether any reply came.
    pub(super) fn was_answered(&self) -> bool {
        self.lock().answered
    }

    /// Reads until the connection ends.
    pub(super) async fn run(
        &self,
        mut frames: impl Stream<Item = io::Result<BytesMut>> + Unpin,
        encoding: Encoding,
    ) {
        let mut closing = None;
        let end = loop {
            let frame = match frames.next().await {
                Some(Ok(frame)) => frame,
                // A length over the limit: the stream cannot be trusted any more.
                Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    break End::Protocol(error.to_string());
                }
                Some(Err(_)) | None => break End::Closed(closing),
            };
            match encoding.decode(&frame) {
                Ok(Message::Reply(reply)) => {
                    if let Err(end) = self.reply(reply) {
                        break end;
                    }
                }
                Ok(Message::Closing(failure)) => closing = Some(failure),
                Ok(of_watch) => {
                    if let Some(feed) = self.feed() {
                        feed.accept(of_watch);
                    }
                }
                Err(error) => break End::Protocol(error.to_string()),
            }
        };
        self.finish(&end);
    }

    fn reply(&self, Reply { id, result }: Reply) -> Result<(), End> {
        let mut state = self.lock();
        if id == 0 || id > state.last_id {
            return Err(End::Protocol(format!(
                "a reply to request {id}, which was never sent"
            )));
        }
        state.answered = true;
        let Some(pending) = state.pending.remove(&id) else {
            // Its request was given up.
            return Ok(());
        };
        if let (Some(feed), Ok(Answer::Watching(watching))) = (pending.feed, &result) {
            // Here, and not where the reply is awaited: the state of the new watch follows at once.
            feed.begin(*watching);
            if let Some(replaced) = state.feed.upgrade() {
                replaced.finish(End::Replaced);
            }
            state.feed = Arc::downgrade(&feed);
        }
        // Nobody waits any more: as above.
        let _ = pending.reply.send(result.map_err(ClientError::Failure));
        Ok(())
    }

    fn feed(&self) -> Option<Arc<Feed>> {
        self.lock().feed.upgrade()
    }

    fn finish(&self, end: &End) {
        let mut state = self.lock();
        state.end = Some(end.clone());
        for (_, pending) in state.pending.drain() {
            let _ = pending.reply.send(Err(end.clone().into()));
        }
        if let Some(feed) = state.feed.upgrade() {
            feed.finish(end.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    pub(super) async fn reply(&mut self) -> Result<Answer, ClientError> {
        match (&mut self.reply).await {
            Ok(result) => result,
            // The reader was stopped with the runtime.
            Err(_) => Err(ClientError::Closed(None)),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.router.lock().pending.remove(&self.id);
    }
}
