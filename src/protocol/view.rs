//! The state of all sessions that a client keeps, and how it stays the daemon's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Event, Message, Reply, Status, UserId};

/// The state of the sessions, as a watch tells it.
///
/// A client that gives every message it reads to [`follow`](Self::follow) has the daemon's state whenever
/// the view [is in sync](Self::is_in_sync). A clone shares the statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    sessions: BTreeMap<UserId, Arc<Status>>,
    seq: u64,
    /// Whether a state is on its way, and not complete.
    arriving: bool,
}

impl View {
    /// The state with these sessions, which includes all events up to this number.
    #[cfg(test)]
    pub(crate) fn new(seq: u64, sessions: impl IntoIterator<Item = Status>) -> Self {
        let mut view = Self::default();
        view.begin();
        for status in sessions {
            view.present(status);
        }
        view.complete(seq);
        view
    }

    /// Takes in whatever the daemon sends.
    pub fn follow(&mut self, message: &Message) {
        match message {
            Message::Reply(Reply {
                result: Ok(Answer::Watching(_)),
                ..
            })
            | Message::Lagged { .. } => self.begin(),
            Message::Present(status) => self.present(Status::clone(status)),
            Message::InSync { seq } => self.complete(*seq),
            Message::Event(event) => self.apply(event),
            // What is replayed is in the state already.
            Message::Reply(_)
            | Message::Replayed(_)
            | Message::Closing(_)
            | Message::Unknown(_) => {}
        }
    }

    /// Drops the state: a new one follows.
    pub(crate) fn begin(&mut self) {
        self.sessions.clear();
        self.arriving = true;
    }

    /// Takes in one session of a state that arrives.
    fn present(&mut self, status: Status) {
        self.sessions.insert(status.user.clone(), Arc::new(status));
    }

    /// The state has arrived, and includes all events up to this number.
    fn complete(&mut self, seq: u64) {
        self.seq = seq;
        self.arriving = false;
    }

    /// Takes in an event.
    pub fn apply(&mut self, event: &Event) {
        self.seq = event.seq;
        match &event.status {
            Some(status) => {
                let status = Arc::new(status.clone());
                self.sessions.insert(event.user.clone(), status);
            }
            None => drop(self.sessions.remove(&event.user)),
        }
    }

    /// Whether the state is complete: false while a new one arrives.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        !self.arriving
    }

    /// The number of the last event it includes.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// One session.
    #[must_use]
    pub fn get(&self, user: &UserId) -> Option<&Status> {
        self.sessions.get(user).map(Arc::as_ref)
    }

    /// Every session, by user.
    pub fn sessions(&self) -> impl Iterator<Item = &Status> {
        self.sessions.values().map(Arc::as_ref)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}
