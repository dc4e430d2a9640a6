//! The board: the present state of all sessions, the last events, and the watchers.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::super::caller::Caller;
use super::census::{Census, Counters};
use super::index::Index;
use super::ring::{Limits, OwnersNumber, Ring, StampedEvent};
use super::scope::{Series, WatchScope};
use super::watchers::{Unread, Watchers};
use crate::protocol::{EventKind, HistoryEntry, Phase, Since, Status, UserId, Watching};

/// How many past events are kept, and how many bytes of memory they may take. Only these can be replayed,
/// and a watcher that falls further behind has lagged.
const LIMITS: Limits = Limits {
    events: 4096,
    bytes: 8 * 1024 * 1024,
};

/// The present state of all sessions, the last events, and the watchers.
pub(in super::super) struct Board {
    /// A random number from which the epochs are made, so that nobody takes numbers of one run for those of
    /// another.
    epochs: RandomState,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

struct Inner {
    /// The number of the last event.
    seq: u64,
    index: Index,
    ring: Ring,
    watchers: Watchers,
    counters: Counters,
    /// Since when a session has been logging out.
    leaving: HashMap<UserId, Instant>,
}

/// How a watch begins.
pub(super) struct Begun {
    pub(super) watching: Watching,
    /// The watcher's number.
    pub(super) id: u64,
    pub(super) replay: Replay,
    /// The number among all events of the last one that the state includes.
    pub(super) moment: u64,
}

/// The past events that are to be replayed.
#[derive(Debug)]
pub(super) struct Replay {
    /// The number, among all events, from which on to look for it.
    pub(super) from: u64,
    /// The number, in the watcher's series, of the last event before it.
    pub(super) read: u64,
    /// Whether events before it are forgotten that should have been replayed.
    gap: bool,
}

/// The next thing that a watcher reads.
pub(super) enum Next<T> {
    /// This.
    Item(T),
    /// Nothing more.
    Nothing,
    /// This many events were forgotten before the watcher had read them.
    Lost(u64),
}

impl Board {
    pub(in super::super) fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    /// With other bounds on what is kept.
    pub(super) fn with_limits(limits: Limits) -> Self {
        Self {
            epochs: RandomState::new(),
            inner: Mutex::new(Inner {
                seq: 0,
                index: Index::default(),
                ring: Ring::new(limits),
                watchers: Watchers::default(),
                counters: Counters::default(),
                leaving: HashMap::new(),
            }),
            changes: watch::channel(0).0,
        }
    }

    // ---- what happens ---------------------------------------------------------------------------

    /// A session changed.
    pub(in super::super) fn changed_to(&self, kind: EventKind, status: Status) {
        let mut inner = self.lock();
        match status.phase {
            Phase::LoggingOut => {
                let leaving = inner.leaving.entry(status.user.clone());
                leaving.or_insert_with(Instant::now);
            }
            Phase::PurgeFailed => inner.counters.purge_failed(),
            // Its task failed before the removal was committed, and the session goes on.
            _ => drop(inner.leaving.remove(&status.user)),
        }
        let user = status.user.clone();
        self.publish(&mut inner, user, kind, Some(Arc::new(status)));
    }

    /// A session ended; nothing of it is left.
    pub(in super::super) fn ended(&self, entry: &HistoryEntry) {
        let mut inner = self.lock();
        let since = inner.leaving.remove(&entry.user);
        let took = since.map(|since| since.elapsed());
        inner.counters.logged_out(entry.cause, took);
        self.publish_end(&mut inner, entry);
    }

    /// Publishes the end of a session that ended before this run, and whose line could be written only now.
    /// Where the user has a new session meanwhile, it is not published, so that nobody takes it for the end
    /// of the new one. It is in the history.
    pub(in super::super) fn ended_before(&self, entry: &HistoryEntry) {
        let mut inner = self.lock();
        inner.counters.logged_out(entry.cause, None);
        if inner.index.get(&entry.user).is_none() {
            self.publish_end(&mut inner, entry);
        }
    }

    fn publish_end(&self, inner: &mut Inner, entry: &HistoryEntry) {
        let kind = EventKind::from_end(entry.clone());
        self.publish(inner, entry.user.clone(), kind, None);
    }

    fn publish(
        &self,
        inner: &mut Inner,
        user: UserId,
        kind: EventKind,
        status: Option<Arc<Status>>,
    ) {
        inner.seq += 1;
        let replaced = inner.index.replace(&user, status.clone(), inner.seq);
        let owner = status.as_ref().map(|status| status.owner);
        let owner = owner.or_else(|| kind.ended().map(|entry| entry.owner));
        let old_owner = replaced.status.as_ref().map(|status| status.owner);
        let old_owner = old_owner.filter(|old| Some(*old) != owner);
        let mut numbered = |uid| OwnersNumber {
            uid,
            number: inner.index.next_number(uid),
        };
        let event = Arc::new(StampedEvent {
            seq: inner.seq,
            at: Timestamp::now(),
            owner: owner.map(&mut numbered),
            old_owner: old_owner.map(&mut numbered),
            user,
            kind,
            status,
            before: replaced.status,
            previous: replaced.changed,
        });
        inner.ring.push(Arc::clone(&event));
        while let Some(oldest) = inner.ring.pop_excess() {
            inner.index.forget(&oldest);
        }
        inner.watchers.tell(&event);
        self.changes.send_modify(|ticks| *ticks += 1);
    }

    // ---- what is so -----------------------------------------------------------------------------

    pub(in super::super) fn get(&self, user: &UserId) -> Option<Arc<Status>> {
        self.lock().index.get(user).cloned()
    }

    /// The first of these whom the caller may not see.
    pub(in super::super) fn hidden(
        &self,
        caller: Caller,
        mut users: impl Iterator<Item = UserId>,
    ) -> Option<UserId> {
        let inner = self.lock();
        let hides = |status: &Arc<Status>| !caller.may_see(status.owner);
        users.find(|user| inner.index.get(user).is_some_and(hides))
    }

    /// The first sessions after this user, or from the first user on, that the caller may see, by user; at
    /// most this many.
    pub(in super::super) fn visible(
        &self,
        caller: Caller,
        after: Option<&UserId>,
        most: usize,
    ) -> Vec<Arc<Status>> {
        let inner = self.lock();
        let visible = inner.index.visible(caller, after);
        visible.take(most).cloned().collect()
    }

    pub(in super::super) fn census(&self) -> Census {
        let inner = self.lock();
        inner.counters.census(inner.index.phases().clone())
    }

    /// [`Board::census`] of the sessions that the caller may see. Ended sessions are counted for all users
    /// together, so only callers who see everything get these counts.
    pub(in super::super) fn census_for(&self, caller: Caller) -> Census {
        if caller.sees_all {
            return self.census();
        }
        let inner = self.lock();
        Counters::default().census(inner.index.visible_phases(caller))
    }

    pub(in super::super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The epoch of a caller's event numbers: it stands for this run, and for what the caller may see.
    pub(in super::super) fn epoch(&self, caller: Caller) -> u64 {
        // Below 2^53, so that every language's JSON can carry it.
        self.epochs.hash_one(Series::from(caller)) >> 11
    }

    // ---- watches --------------------------------------------------------------------------------

    /// Begins a watch.
    pub(super) fn begin(
        &self,
        scope: &Arc<WatchScope>,
        since: Option<Since>,
        wake: Arc<Notify>,
    ) -> Begun {
        let mut inner = self.lock();
        let seq = inner.number(scope.series());
        let epoch = self.epoch(scope.caller);
        let replay = inner.replay(scope.series(), epoch, since);
        Begun {
            watching: Watching {
                epoch,
                seq,
                gap: replay.gap,
            },
            id: inner.watchers.add(Arc::clone(scope), wake),
            replay,
            moment: inner.seq,
        }
    }

    /// Begins it anew with this scope. Returns the number of the last event that the state includes.
    pub(super) fn begin_again(&self, id: u64, old: &WatchScope, scope: &Arc<WatchScope>) -> u64 {
        let mut inner = self.lock();
        inner.watchers.begin_again(id, old, Arc::clone(scope));
        inner.number(scope.series())
    }

    pub(super) fn forget(&self, id: u64, scope: &WatchScope) {
        self.lock().watchers.remove(id, scope);
    }

    /// The first past event that is still to be replayed. The state includes everything up to the event
    /// with the number `until` among all events, and `in_sync` in the watcher's series.
    pub(super) fn past(
        &self,
        scope: &WatchScope,
        Replay { from, read, .. }: &Replay,
        until: u64,
        in_sync: u64,
    ) -> Next<Arc<StampedEvent>> {
        let (from, read) = (*from, *read);
        let inner = self.lock();
        if read < in_sync && inner.ring.has_forgotten(from) {
            return Next::Lost(in_sync - read);
        }
        let mut events = inner.ring.from(from).take_while(|event| event.seq <= until);
        match events.find(|event| scope.number(event).is_some()) {
            Some(event) => Next::Item(Arc::clone(event)),
            None => Next::Nothing,
        }
    }

    /// The first session after this user that the scope has, in the state as it was before what the
    /// watcher has not read yet.
    pub(super) fn present(
        &self,
        id: u64,
        scope: &WatchScope,
        after: Option<&UserId>,
    ) -> Next<Arc<Status>> {
        let inner = self.lock();
        let moment = match inner.watchers.unread(id, scope) {
            // No later event is this watcher's.
            None => inner.seq,
            Some(unread) => match inner.lost(scope, unread) {
                Some(missed) => return Next::Lost(missed),
                None => unread.seq - 1,
            },
        };
        match inner.index.first_at(moment, &inner.ring, scope, after) {
            Some(status) => Next::Item(status),
            None => Next::Nothing,
        }
    }

    /// The first event that the watcher has not read, which it has read then.
    pub(super) fn unread(&self, id: u64, scope: &WatchScope) -> Next<Arc<StampedEvent>> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(unread) = inner.watchers.unread(id, scope) else {
            return Next::Nothing;
        };
        if let Some(missed) = inner.lost(scope, unread) {
            return Next::Lost(missed);
        }
        let Some(event) = inner.ring.get(unread.seq).cloned() else {
            return Next::Nothing;
        };
        let (watchers, ring) = (&mut inner.watchers, &inner.ring);
        watchers.has_read(id, scope, unread.seq, ring);
        Next::Item(event)
    }

    /// The number of the last event.
    #[cfg(test)]
    pub(super) fn seq(&self, caller: Caller) -> u64 {
        self.lock().number(caller.into())
    }

    /// How many bytes the past events keep.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().ring.bytes()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held can have left nothing half done that matters more than going on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The number of the last event of a series.
    fn number(&self, series: Series) -> u64 {
        match series {
            Series::Everybody => self.seq,
            Series::Owner(uid) => self.index.number(uid),
        }
    }

    /// What is to be replayed to a watcher that left off there.
    fn replay(&self, series: Series, epoch: u64, since: Option<Since>) -> Replay {
        let last = self.number(series);
        let nothing = |gap| Replay {
            from: self.seq + 1,
            read: last,
            gap,
        };
        let Some(since) = since else {
            return nothing(false);
        };
        if since.epoch.is_some_and(|theirs| theirs != epoch) || since.seq > last {
            return nothing(true);
        }
        let mut missed = self.ring.from(0).filter_map(|event| {
            let number = event.number_in(series)?;
            (number > since.seq).then_some((event.seq, number))
        });
        match missed.next() {
            Some((from, number)) => Replay {
                from,
                read: number - 1,
                gap: number > since.seq + 1,
            },
            None => nothing(since.seq < last),
        }
    }

    /// How many events a watcher has lost, if its first unread one is forgotten.
    fn lost(&self, scope: &WatchScope, unread: Unread) -> Option<u64> {
        let lost = self.ring.has_forgotten(unread.seq);
        lost.then(|| self.number(scope.series()) + 1 - unread.number)
    }
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
        let change = |kind, phase| board.changed_to(kind, bare_status("alice", phase));
        // A logout whose task failed: the session went on.
        change(EventKind::LoggingOut, Phase::LoggingOut);
        change(EventKind::BackingOff, Phase::BackingOff);
        advance(Duration::from_hours(1)).await;
        // One whose first try failed.
        change(EventKind::LoggingOut, Phase::LoggingOut);
        change(EventKind::PurgeFailed, Phase::PurgeFailed);
        advance(Duration::from_secs(2)).await;
        change(EventKind::LoggingOut, Phase::LoggingOut);
        board.ended(&bare_entry("alice", Cause::Unlinked));
        let census = board.census();
        assert_eq!((census.purges, census.purge_failures), (1, 1));
        assert_eq!(census.purge_longest, Some(Duration::from_secs(2)));
    }
}
