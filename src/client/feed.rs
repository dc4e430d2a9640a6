//! What lies between the connection and a watch: a queue that is bounded and never makes anyone wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::protocol::{Event, Message, View, Watching};

use super::error::End;
use super::watch::{Snapshot, WatchItem};

/// How many events wait for a reader. A day of a busy machine; a few hundred kilobytes.
pub(super) const CAPACITY: usize = 1024;

/// How many whole states may wait among them.
pub(super) const STATES: usize = 4;

/// The queue of one watch.
///
/// The connection's reader fills it and may not wait: behind an event may stand the reply to a
/// request of the same task that reads the watch. So one [`WatchItem::Lagged`], with the state that
/// follows, takes the place of a full queue.
#[derive(Debug, Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    changed: Notify,
}

/// How a watch began.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) state: Snapshot,
    pub(super) replayed: Vec<Event>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<WatchItem>,
    /// The sessions after everything in the queue.
    view: View,
    epoch: u64,
    /// What the first state brings besides the sessions.
    gap: bool,
    replayed: Vec<Event>,
    /// The first state is complete.
    begun: bool,
    beginning: Option<Beginning>,
    /// Events that are lost before the state that arrives.
    missed: u64,
    end: Option<End>,
}

impl Feed {
    /// The daemon began the watch: its state follows.
    pub(super) fn begin(&self, Watching { epoch, gap, .. }: Watching) {
        let mut state = self.lock();
        state.view.begin();
        state.epoch = epoch;
        state.gap = gap;
    }

    /// Takes in what the daemon says to a watch.
    pub(super) fn accept(&self, message: Message) {
        let mut state = self.lock();
        state.view.follow(&message);
        match message {
            Message::Replayed(event) => state.replayed.push(*event),
            Message::InSync { .. } => state.in_sync(),
            Message::Event(event) => state.event(*event),
            Message::Lagged { missed } => state.missed += missed,
            Message::Present(_) | Message::Reply(_) | Message::Closing(_) | Message::Unknown(_) => {
                return;
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn finish(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }

    /// Waits until the first state is complete.
    pub(super) async fn beginning(&self) -> Result<Beginning, End> {
        self.wait_for(|state| state.beginning.take()).await
    }

    /// What came next, or how it ended once everything before is read. Loses nothing when dropped.
    pub(super) async fn next(&self) -> Result<WatchItem, End> {
        self.wait_for(|state| state.queue.pop_front()).await
    }

    async fn wait_for<T>(&self, take: impl Fn(&mut State) -> Option<T>) -> Result<T, End> {
        loop {
            {
                let mut state = self.lock();
                if let Some(taken) = take(&mut state) {
                    return Ok(taken);
                }
                if let Some(end) = &state.end {
                    return Err(end.clone());
                }
            }
            // One reader: a notification between the look and the wait is kept for it.
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn event(&mut self, event: Event) {
        let full = self.queue.len() >= CAPACITY;
        self.queue.push_back(WatchItem::Event(Box::new(event)));
        if full {
            let missed = self.drop_all_but_ends();
            self.push_lagged(missed);
        }
    }

    /// The state that was on its way is complete.
    fn in_sync(&mut self) {
        if !self.begun {
            self.begun = true;
            // It may have fallen behind before it got so far.
            self.gap |= std::mem::take(&mut self.missed) > 0;
            self.beginning = Some(Beginning {
                state: self.snapshot(),
                replayed: std::mem::take(&mut self.replayed),
            });
            return;
        }
        let mut missed = std::mem::take(&mut self.missed);
        // A daemon that says this over and over must not fill the memory either.
        let states = self.queue.iter();
        let states = states.filter(|item| matches!(item, WatchItem::Lagged { .. }));
        if self.queue.len() >= CAPACITY || states.count() >= STATES {
            missed += self.drop_all_but_ends();
        }
        self.push_lagged(missed);
    }

    fn push_lagged(&mut self, missed: u64) {
        let state = Box::new(Snapshot {
            gap: true,
            ..self.snapshot()
        });
        self.queue.push_back(WatchItem::Lagged { missed, state });
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            epoch: self.epoch,
            gap: self.gap,
            view: self.view.clone(),
        }
    }

    /// Makes room, and returns how many events are lost by it. Ends of sessions stay while they fill
    /// less than half of the queue; they are in the daemon's history anyway.
    fn drop_all_but_ends(&mut self) -> u64 {
        let mut room = CAPACITY / 2;
        let mut missed = 0;
        self.queue.retain(|item| match item {
            WatchItem::Event(event) => {
                let keep = event.kind.ended().is_some() && room > 0;
                if keep {
                    room -= 1;
                } else {
                    missed += 1;
                }
                keep
            }
            WatchItem::Lagged { missed: before, .. } => {
                missed += before;
                false
            }
        });
        missed
    }
}
