//! The watchers, and what each of them has not read yet.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::ring::{Ring, StampedEvent};
use super::scope::{Series, WatchScope};

/// The first event that a watcher has not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unread {
    /// Its number among all events.
    pub(super) seq: u64,
    /// Its number in the watcher's series.
    pub(super) number: u64,
}

/// One watcher, as the board knows it.
#[derive(Debug)]
struct Listening {
    scope: Arc<WatchScope>,
    unread: Option<Unread>,
    wake: Arc<Notify>,
}

/// All watchers, by what they may see. An event wakes the watchers that it is for, and costs nothing for the
/// others.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_series: HashMap<Series, HashMap<u64, Listening>>,
    /// The number of the last one.
    last: u64,
}

impl Watchers {
    /// Adds one that has read everything. Returns its number.
    pub(super) fn add(&mut self, scope: Arc<WatchScope>, wake: Arc<Notify>) -> u64 {
        self.last += 1;
        let listening = Listening {
            unread: None,
            wake,
            scope,
        };
        self.insert(self.last, listening);
        self.last
    }

    fn insert(&mut self, id: u64, listening: Listening) {
        let series = self.by_series.entry(listening.scope.series());
        series.or_default().insert(id, listening);
    }

    pub(super) fn remove(&mut self, id: u64, scope: &WatchScope) {
        self.take(id, scope.series());
    }

    fn take(&mut self, id: u64, series: Series) -> Option<Listening> {
        let watchers = self.by_series.get_mut(&series)?;
        let listening = watchers.remove(&id);
        if watchers.is_empty() {
            self.by_series.remove(&series);
        }
        listening
    }

    /// Gives one another scope, and takes everything as read.
    pub(super) fn begin_again(&mut self, id: u64, old: &WatchScope, scope: Arc<WatchScope>) {
        if let Some(listening) = self.take(id, old.series()) {
            let listening = Listening {
                scope,
                unread: None,
                ..listening
            };
            self.insert(id, listening);
        }
    }

    /// What one has not read yet.
    pub(super) fn unread(&self, id: u64, scope: &WatchScope) -> Option<Unread> {
        self.by_series.get(&scope.series())?.get(&id)?.unread
    }

    /// One has read the event that it had not read, and goes on to its next one.
    pub(super) fn has_read(&mut self, id: u64, scope: &WatchScope, seq: u64, ring: &Ring) {
        let watchers = self.by_series.get_mut(&scope.series());
        if let Some(listening) = watchers.and_then(|watchers| watchers.get_mut(&id)) {
            listening.unread = ring.from(seq + 1).find_map(|event| unread(scope, event));
        }
    }

    /// Wakes those that a new event is for.
    pub(super) fn tell(&mut self, event: &StampedEvent) {
        let owners = [event.owner, event.old_owner].into_iter().flatten();
        let owners = owners.map(|owner| Series::Owner(owner.uid));
        for series in [Series::Everybody].into_iter().chain(owners) {
            let watchers = self.by_series.get_mut(&series).into_iter().flatten();
            for (_, listening) in watchers {
                if listening.unread.is_none() {
                    listening.unread = unread(&listening.scope, event);
                    if listening.unread.is_some() {
                        listening.wake.notify_one();
                    }
                }
            }
        }
    }
}

fn unread(scope: &WatchScope, event: &StampedEvent) -> Option<Unread> {
    let number = scope.number(event)?;
    Some(Unread {
        seq: event.seq,
        number,
    })
}
