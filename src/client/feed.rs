//! What lies between the connection and a watch: a queue that is bounded and never makes anyone wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::protocol::{Event, View, Watching};

use super::error::End;
use super::watch::WatchItem;

/// How many events wait for a reader. A day of a busy machine; a few hundred kilobytes.
pub(super) const CAPACITY: usize = 1024;

/// The queue of one watch.
///
/// The connection's reader fills it and may not wait: behind an event may stand the reply to a
/// request of the same task that reads the watch. So a full queue is folded into one
/// [`WatchItem::Lagged`] with the state that follows from it.
#[derive(Debug, Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<WatchItem>,
    /// The sessions after everything in the queue.
    view: View,
    epoch: u64,
    end: Option<End>,
}

impl Feed {
    pub(super) fn begin(&self, watching: &Watching) {
        let mut state = self.lock();
        state.view = View::new(watching.sessions.iter().cloned());
        state.epoch = watching.epoch;
    }

    pub(super) fn event(&self, event: Event) {
        let mut state = self.lock();
        state.view.apply(&event);
        if state.queue.len() < CAPACITY {
            state.queue.push_back(WatchItem::Event(Box::new(event)));
        } else {
            state.fold(event);
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn lagged(&self, missed: u64, watching: Watching) {
        let mut state = self.lock();
        state.view = View::new(watching.sessions.iter().cloned());
        state.epoch = watching.epoch;
        // A daemon that says this over and over must not fill the memory either.
        let mut missed = missed;
        if state.queue.len() >= CAPACITY {
            missed += state.drop_all_but_ends();
        }
        let state_now = Box::new(watching);
        state.queue.push_back(WatchItem::Lagged {
            missed,
            state: state_now,
        });
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn finish(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }

    /// What came next, or how it ended once everything before is read. Loses nothing when dropped.
    pub(super) async fn next(&self) -> Result<WatchItem, End> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = state.queue.pop_front() {
                    return Ok(item);
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
    fn fold(&mut self, latest: Event) {
        let seq = latest.seq;
        self.queue.push_back(WatchItem::Event(Box::new(latest)));
        let missed = self.drop_all_but_ends();
        let state = Watching {
            epoch: self.epoch,
            seq,
            sessions: self.view.sessions().cloned().collect(),
            replayed: Vec::new(),
            gap: true,
        };
        self.queue.push_back(WatchItem::Lagged {
            missed,
            state: Box::new(state),
        });
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
