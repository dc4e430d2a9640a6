//! What is known of all sessions: the present state, the last events, and who listens.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::caller::Caller;
use super::census::{Census, Counters};
use crate::protocol::{
    Event, EventKind, HistoryEntry, Phase, Since, Status, UserId, View, Watching,
};

/// How many events a watcher may fall behind before it is told that it lagged. An event is shared by
/// all watchers, so this bounds memory for all of them together.
const QUEUE: usize = 4096;
/// How many past events can be replayed.
const RING: usize = 4096;

/// What is known of all sessions.
pub(super) struct Board {
    epoch: u64,
    inner: Mutex<Inner>,
    events: broadcast::Sender<Arc<StampedEvent>>,
    changed: watch::Sender<u64>,
}

/// An event, and what decides who may see it.
#[derive(Debug)]
pub(super) struct StampedEvent {
    event: Event,
    /// Whose session it is now, or was when it ended.
    owner: Option<u32>,
    /// Whose it was before, where that is somebody else: a record that cannot be read is nobody's but
    /// the administrators', until it can be read again.
    was: Option<u32>,
}

impl StampedEvent {
    pub(super) fn seq(&self) -> u64 {
        self.event.seq
    }

    /// The event as a watcher sees it who wants these users' sessions of these owners; `None`: it is
    /// none of theirs. To whoever may not see the session any more, it is gone.
    pub(super) fn seen_by(&self, wants: impl Fn(&UserId, u32) -> bool) -> Option<Event> {
        let user = &self.event.user;
        let wanted = |owner: Option<u32>| owner.is_some_and(|owner| wants(user, owner));
        if wanted(self.owner) {
            Some(self.event.clone())
        } else if wanted(self.was) {
            Some(Event {
                status: None,
                ..self.event.clone()
            })
        } else {
            None
        }
    }
}

/// The state at one moment, cut so that nothing is between it and the events that follow.
///
/// It costs a pointer for each session and each event to be replayed. What it points to is shared with
/// the board and with all other watchers: one that reads slowly keeps alive at most one old status for
/// each session, and the events that the ring held when it began.
pub(super) struct StateSnapshot {
    pub(super) watching: Watching,
    pub(super) replayed: Vec<Arc<StampedEvent>>,
    pub(super) sessions: Vec<Arc<Status>>,
    pub(super) events: broadcast::Receiver<Arc<StampedEvent>>,
}

#[derive(Default)]
struct Inner {
    view: View,
    ring: VecDeque<Arc<StampedEvent>>,
    counters: Counters,
    /// Since when a session has been logging out.
    leaving: HashMap<UserId, Instant>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self::with_queue(QUEUE)
    }

    /// With another bound on how far a watcher may fall behind.
    pub(super) fn with_queue(queue: usize) -> Self {
        Self {
            // Random, so that numbers of two runs are not taken for one another; below 2^53, so that
            // every language's JSON can carry it.
            epoch: rand::random::<u64>() >> 11,
            inner: Mutex::default(),
            events: broadcast::channel(queue).0,
            changed: watch::channel(0).0,
        }
    }

    /// A session changed.
    pub(super) fn changed_to(&self, kind: EventKind, status: Status) {
        let mut inner = self.lock();
        match status.phase {
            Phase::LoggingOut => {
                inner
                    .leaving
                    .entry(status.user.clone())
                    .or_insert_with(Instant::now);
            }
            Phase::PurgeFailed => inner.counters.purge_failed(),
            // Its task failed before the removal was committed, and the session goes on.
            _ => drop(inner.leaving.remove(&status.user)),
        }
        self.publish(&mut inner, status.user.clone(), kind, Some(status));
    }

    /// A session ended; nothing of it is left.
    pub(super) fn ended(&self, kind: EventKind, entry: &HistoryEntry) {
        let mut inner = self.lock();
        let took = inner
            .leaving
            .remove(&entry.user)
            .map(|since| since.elapsed());
        inner.counters.logged_out(entry.cause, took);
        self.publish(&mut inner, entry.user.clone(), kind, None);
    }

    /// A session ended before this run, and that could be written down only now. Where the user has a
    /// new session meanwhile, nobody takes this end for that one's: it is in the history.
    pub(super) fn ended_before(&self, entry: &HistoryEntry) {
        let mut inner = self.lock();
        inner.counters.logged_out(entry.cause, None);
        if inner.view.get(&entry.user).is_none() {
            let kind = EventKind::from_end(entry.clone());
            self.publish(&mut inner, entry.user.clone(), kind, None);
        }
    }

    fn publish(&self, inner: &mut Inner, user: UserId, kind: EventKind, status: Option<Status>) {
        let event = Event {
            seq: inner.view.seq() + 1,
            at: Timestamp::now(),
            user,
            kind,
            status,
        };
        let owner = owner(&event);
        let before = inner.view.get(&event.user).map(|status| status.owner);
        inner.view.apply(&event);
        let event = Arc::new(StampedEvent {
            event,
            owner,
            was: before.filter(|before| Some(*before) != owner),
        });
        if inner.ring.len() == RING {
            inner.ring.pop_front();
        }
        inner.ring.push_back(Arc::clone(&event));
        // Under the lock, so that every watcher sees the order of the numbers. Nobody listening is
        // no error.
        let _ = self.events.send(event);
        self.changed.send_modify(|ticks| *ticks += 1);
    }

    pub(super) fn get(&self, user: &UserId) -> Option<Status> {
        self.lock().view.get(user).cloned()
    }

    /// The first of these whom the caller may not see.
    pub(super) fn hidden(
        &self,
        caller: Caller,
        mut users: impl Iterator<Item = UserId>,
    ) -> Option<UserId> {
        let inner = self.lock();
        let sees = |status: &Status| caller.may_see(status.owner);
        users.find(|user| inner.view.get(user).is_some_and(|status| !sees(status)))
    }

    /// What the caller may see of the sessions after this user, or from the first, by user.
    pub(super) fn visible(&self, caller: Caller, after: Option<&UserId>) -> Vec<Arc<Status>> {
        let inner = self.lock();
        let sessions = inner.view.shared(after);
        sessions
            .filter(|s| caller.may_see(s.owner))
            .cloned()
            .collect()
    }

    /// The present state for a watcher, and the events from there on, without a gap between them.
    pub(super) fn snapshot(
        &self,
        wants: impl Fn(&UserId, u32) -> bool,
        since: Option<Since>,
    ) -> StateSnapshot {
        let inner = self.lock();
        let (replayed, gap) = self.replay(&inner, since);
        let sessions = inner.view.shared(None).filter(|s| wants(&s.user, s.owner));
        StateSnapshot {
            watching: Watching {
                epoch: self.epoch,
                seq: inner.view.seq(),
                gap,
            },
            replayed,
            sessions: sessions.cloned().collect(),
            events: self.events.subscribe(),
        }
    }

    fn replay(&self, inner: &Inner, since: Option<Since>) -> (Vec<Arc<StampedEvent>>, bool) {
        let Some(since) = since else {
            return (Vec::new(), false);
        };
        let seq = inner.view.seq();
        if since.epoch.is_some_and(|epoch| epoch != self.epoch) || since.seq > seq {
            return (Vec::new(), true);
        }
        let oldest = inner.ring.front().map_or(seq + 1, |event| event.seq());
        let missed = inner.ring.iter().filter(|event| event.seq() > since.seq);
        (missed.cloned().collect(), since.seq + 1 < oldest)
    }

    pub(super) fn census(&self) -> Census {
        let inner = self.lock();
        inner
            .counters
            .census(inner.view.sessions().map(|s| s.phase))
    }

    pub(super) fn census_for(&self, caller: Caller) -> Census {
        if caller.sees_all {
            return self.census();
        }
        let inner = self.lock();
        let own = inner.view.sessions().filter(|s| caller.may_see(s.owner));
        Counters::default().census(own.map(|s| s.phase))
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The number of the last event.
    #[cfg(test)]
    pub(super) fn seq(&self) -> u64 {
        self.lock().view.seq()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held can have left nothing half done that matters more than going on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose session an event is about.
fn owner(event: &Event) -> Option<u32> {
    let of_status = event.status.as_ref().map(|status| status.owner);
    of_status.or_else(|| event.kind.ended().map(|entry| entry.owner))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::protocol::Cause;
    use crate::protocol::fixtures::{bare_entry, bare_status};

    #[tokio::test(start_paused = true)]
    async fn a_purge_takes_from_the_decision_that_led_to_it() {
        let board = Board::new();
        let told = |kind, phase| board.changed_to(kind, bare_status("alice", phase));
        // A logout whose task failed: the session went on.
        told(EventKind::LoggingOut, Phase::LoggingOut);
        told(EventKind::BackingOff, Phase::BackingOff);
        advance(Duration::from_hours(1)).await;
        // One whose first try failed.
        told(EventKind::LoggingOut, Phase::LoggingOut);
        told(EventKind::PurgeFailed, Phase::PurgeFailed);
        advance(Duration::from_secs(2)).await;
        told(EventKind::LoggingOut, Phase::LoggingOut);
        let entry = bare_entry("alice", Cause::Unlinked);
        board.ended(EventKind::LoggedOut(Box::new(entry.clone())), &entry);
        let census = board.census();
        assert_eq!((census.purges, census.purge_failures), (1, 1));
        assert_eq!(census.purge_longest, Some(Duration::from_secs(2)));
    }
}
