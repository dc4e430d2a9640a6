//! One watch: the present state, then every change.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::board::{Board, owner};
use super::caller::Caller;
use crate::protocol::{Event, Message, Since, UserId, Watching};

/// One watch.
pub struct Watcher {
    board: Arc<Board>,
    scope: WatchScope,
    events: broadcast::Receiver<Arc<Event>>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What a watcher wants and may see.
#[derive(Debug, Clone)]
struct WatchScope {
    caller: Caller,
    /// Empty: everyone.
    users: Vec<UserId>,
}

impl WatchScope {
    fn wants(&self, user: &UserId, owner: u32) -> bool {
        self.caller.may_see(owner) && (self.users.is_empty() || self.users.contains(user))
    }
}

impl Watcher {
    pub(super) fn begin(
        board: &Arc<Board>,
        caller: Caller,
        users: Vec<UserId>,
        since: Option<Since>,
    ) -> (Watching, Self) {
        let scope = WatchScope { caller, users };
        let (watching, events) = board.begin_watch(|user, owner| scope.wants(user, owner), since);
        let watcher = Self {
            board: Arc::clone(board),
            scope,
            events,
        };
        (watching, watcher)
    }

    /// The next event, or that some were lost and the present state; `None`: the daemon has stopped.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    let wanted =
                        owner(&event).is_some_and(|owner| self.scope.wants(&event.user, owner));
                    if wanted {
                        return Some(Message::Event(Box::new(Arc::unwrap_or_clone(event))));
                    }
                }
                Err(RecvError::Lagged(missed)) => return Some(self.begin_again(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn begin_again(&mut self, missed: u64) -> Message {
        let scope = self.scope.clone();
        let (state, events) = self
            .board
            .begin_watch(|user, owner| scope.wants(user, owner), None);
        self.events = events;
        Message::Lagged { missed, state }
    }
}
