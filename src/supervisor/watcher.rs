//! One watch: the present state, then every change.

use std::collections::HashSet;
use std::sync::Arc;
use std::vec::IntoIter;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::board::{Board, StampedEvent, StateSnapshot};
use super::caller::Caller;
use crate::protocol::{Message, Since, Status, UserId, Watching};

/// One watch. It tells one message at a time, as they are asked for: a reader that is slow costs what
/// the cut of the state costs, and then loses events.
pub struct Watcher {
    board: Arc<Board>,
    scope: WatchScope,
    // What is still to be told of the state, in this order.
    replayed: IntoIter<Arc<StampedEvent>>,
    present: IntoIter<Arc<Status>>,
    in_sync: Option<u64>,
    events: broadcast::Receiver<Arc<StampedEvent>>,
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
    users: HashSet<UserId>,
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
        users: HashSet<UserId>,
        since: Option<Since>,
    ) -> (Watching, Self) {
        let scope = WatchScope { caller, users };
        let cut = board.snapshot(|user, owner| scope.wants(user, owner), since);
        let watcher = Self {
            board: Arc::clone(board),
            scope,
            replayed: cut.replayed.into_iter(),
            present: cut.sessions.into_iter(),
            in_sync: Some(cut.watching.seq),
            events: cut.events,
        };
        (cut.watching, watcher)
    }

    /// What is to be told next: of the state, then each event, or that some were lost, and the state
    /// anew. `None`: the daemon has stopped. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.next_of_state() {
            return Some(message);
        }
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    if let Some(event) = event.seen_by(|user, owner| self.scope.wants(user, owner))
                    {
                        return Some(Message::Event(Box::new(event)));
                    }
                }
                Err(RecvError::Lagged(missed)) => return Some(self.begin_again(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// What the watcher may see may have changed. If it has, the watch begins anew, and this is what is
    /// to be told first.
    pub fn judge(&mut self, caller: Caller) -> Option<Message> {
        if caller == self.scope.caller {
            return None;
        }
        self.scope.caller = caller;
        Some(self.begin_again(0))
    }

    fn next_of_state(&mut self) -> Option<Message> {
        let wants = |user: &UserId, owner| self.scope.wants(user, owner);
        if let Some(event) = self.replayed.find_map(|event| event.seen_by(wants)) {
            return Some(Message::Replayed(Box::new(event)));
        }
        if let Some(status) = self.present.next() {
            return Some(Message::Present(Box::new(Arc::unwrap_or_clone(status))));
        }
        let seq = self.in_sync.take()?;
        Some(Message::InSync { seq })
    }

    fn begin_again(&mut self, missed: u64) -> Message {
        let scope = &self.scope;
        let StateSnapshot {
            watching,
            sessions,
            events,
            ..
        } = self
            .board
            .snapshot(|user, owner| scope.wants(user, owner), None);
        self.present = sessions.into_iter();
        self.in_sync = Some(watching.seq);
        self.events = events;
        Message::Lagged { missed }
    }
}
