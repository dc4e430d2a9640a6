//! The last events, as many as there is room for.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use super::scope::Series;
use super::weight;
use crate::protocol::{EventKind, Status, UserId};

/// An event, with what decides who may see it, and what it replaced.
#[derive(Debug)]
pub(super) struct StampedEvent {
    /// Its number among all events.
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) user: UserId,
    pub(super) kind: EventKind,
    /// The session after it; `None`: it ended.
    pub(super) status: Option<Arc<Status>>,
    /// Whose session it is after the event, or was when it ended.
    pub(super) owner: Option<OwnersNumber>,
    /// Whose it was before, where that is somebody else: a record that cannot be read is nobody's but
    /// the administrators', until it can be read again.
    pub(super) old_owner: Option<OwnersNumber>,
    /// The session before it.
    pub(super) before: Option<Arc<Status>>,
    /// The number among all events of the user's event before this one; 0: there was none, or it is
    /// forgotten.
    pub(super) previous: u64,
}

/// The number that an event has for an owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnersNumber {
    pub(super) uid: u32,
    pub(super) number: u64,
}

impl StampedEvent {
    /// Its number in this series, where it belongs to it.
    pub(super) fn number_in(&self, series: Series) -> Option<u64> {
        let uid = match series {
            Series::Everybody => return Some(self.seq),
            Series::Owner(uid) => uid,
        };
        let owners = [self.owner, self.old_owner].into_iter().flatten();
        let mut theirs = owners.filter(|owner| owner.uid == uid);
        theirs.next().map(|owner| owner.number)
    }

    /// The bytes that the ring keeps alive with this event. The status after the event belongs to the board
    /// until a later event replaces it; from then on the later event keeps it.
    fn weight(&self) -> usize {
        let before = self.before.as_deref().map_or(0, weight::of_status);
        size_of::<Self>() + self.user.as_str().len() + weight::of_kind(&self.kind) + before
    }
}

/// The limits of a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// The last events. Their numbers follow one another.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<StampedEvent>>,
    bytes: usize,
    limits: Limits,
}

impl Ring {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    /// Adds the newest event.
    pub(super) fn push(&mut self, event: Arc<StampedEvent>) {
        self.bytes += event.weight();
        self.events.push_back(event);
    }

    /// Forgets the oldest event, if there are more than there may be. The newest one always stays.
    pub(super) fn pop_excess(&mut self) -> Option<Arc<StampedEvent>> {
        let excess = self.events.len() > self.limits.events || self.bytes > self.limits.bytes;
        if !excess || self.events.len() < 2 {
            return None;
        }
        let oldest = self.events.pop_front()?;
        self.bytes -= oldest.weight();
        Some(oldest)
    }

    /// The event with this number, if it is not forgotten.
    pub(super) fn get(&self, seq: u64) -> Option<&Arc<StampedEvent>> {
        let offset = seq.checked_sub(self.events.front()?.seq)?;
        self.events.get(usize::try_from(offset).ok()?)
    }

    /// The events from this number on, as far as they are not forgotten.
    pub(super) fn from(&self, seq: u64) -> impl Iterator<Item = &Arc<StampedEvent>> {
        let oldest = self.events.front().map_or(seq, |event| event.seq);
        let offset = usize::try_from(seq.saturating_sub(oldest)).unwrap_or(usize::MAX);
        self.events.range(offset.min(self.events.len())..)
    }

    /// Whether the event with this number is forgotten.
    pub(super) fn has_forgotten(&self, seq: u64) -> bool {
        self.events.front().is_some_and(|oldest| seq < oldest.seq)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
