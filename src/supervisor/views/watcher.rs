//! One watch: the present state, then every change.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Notify;

use super::super::caller::Caller;
use super::board::{Board, Next, Replay};
use super::scope::WatchScope;
use crate::protocol::{Message, Since, UserId, Watching};

/// One watch. It reads one message at a time from the board, when its client can take one, and keeps only
/// its place. So a slow client costs nothing, and loses events.
pub struct Watcher {
    board: Arc<Board>,
    /// The board's number for it.
    id: u64,
    scope: Arc<WatchScope>,
    /// Woken when there is an event for it.
    wake: Arc<Notify>,
    stage: Stage,
    /// The number of the last event that the state includes.
    in_sync: u64,
}

/// What comes next.
#[derive(Debug)]
enum Stage {
    /// Past events, up to the one with this number among all events.
    Replaying { replay: Replay, until: u64 },
    /// The sessions after this user.
    Presenting { after: Option<UserId> },
    /// What happens.
    Following,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher")
            .field("scope", &self.scope)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.board.forget(self.id, &self.scope);
    }
}

impl Watcher {
    pub(in super::super) fn begin(
        board: &Arc<Board>,
        caller: Caller,
        users: BTreeSet<UserId>,
        since: Option<Since>,
    ) -> (Watching, Self) {
        let scope = Arc::new(WatchScope { caller, users });
        let wake = Arc::new(Notify::new());
        let begun = board.begin(&scope, since, Arc::clone(&wake));
        let watcher = Self {
            board: Arc::clone(board),
            id: begun.id,
            scope,
            wake,
            stage: Stage::Replaying {
                replay: begun.replay,
                until: begun.moment,
            },
            in_sync: begun.watching.seq,
        };
        (begun.watching, watcher)
    }

    /// The next message: past events, the state, then each event; or that some were lost, and the
    /// state anew. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = match &mut self.stage {
                Stage::Replaying { .. } => self.replay(),
                Stage::Presenting { .. } => Some(self.present()),
                Stage::Following => self.follow(),
            };
            if let Some(message) = message {
                return message;
            }
            if matches!(self.stage, Stage::Following) {
                self.wake.notified().await;
            }
        }
    }

    /// Looks whether the watcher may see other sessions now. If so, the watch begins anew, and its first
    /// message is returned.
    pub fn judge(&mut self, caller: Caller) -> Option<Message> {
        if caller == self.scope.caller {
            return None;
        }
        let users = self.scope.users.clone();
        Some(self.begin_again(0, Arc::new(WatchScope { caller, users })))
    }

    fn replay(&mut self) -> Option<Message> {
        let Stage::Replaying { replay, until } = &mut self.stage else {
            return None;
        };
        let (board, scope) = (&self.board, &self.scope);
        match board.past(scope, replay, *until, self.in_sync) {
            Next::Item(stamped) => {
                let event = scope.show(&stamped)?;
                (replay.from, replay.read) = (stamped.seq + 1, event.seq);
                Some(Message::Replayed(Box::new(event)))
            }
            Next::Nothing => {
                self.stage = Stage::Presenting { after: None };
                None
            }
            Next::Lost(missed) => Some(self.begin_again(missed, Arc::clone(&self.scope))),
        }
    }

    fn present(&mut self) -> Message {
        let after = match &self.stage {
            Stage::Presenting { after } => after.as_ref(),
            _ => None,
        };
        match self.board.present(self.id, &self.scope, after) {
            Next::Item(status) => {
                let after = Some(status.user.clone());
                self.stage = Stage::Presenting { after };
                Message::Present(Box::new(Arc::unwrap_or_clone(status)))
            }
            Next::Nothing => {
                self.stage = Stage::Following;
                Message::InSync { seq: self.in_sync }
            }
            Next::Lost(missed) => self.begin_again(missed, Arc::clone(&self.scope)),
        }
    }

    fn follow(&mut self) -> Option<Message> {
        match self.board.unread(self.id, &self.scope) {
            Next::Item(event) => {
                let event = self.scope.show(&event)?;
                Some(Message::Event(Box::new(event)))
            }
            Next::Nothing => None,
            Next::Lost(missed) => Some(self.begin_again(missed, Arc::clone(&self.scope))),
        }
    }

    fn begin_again(&mut self, missed: u64, scope: Arc<WatchScope>) -> Message {
        self.in_sync = self.board.begin_again(self.id, &self.scope, &scope);
        self.scope = scope;
        self.stage = Stage::Presenting { after: None };
        Message::Lagged { missed }
    }
}
