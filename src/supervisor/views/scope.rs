//! What a watcher wants and may see.

use std::collections::BTreeSet;

use super::super::caller::Caller;
use super::ring::StampedEvent;
use crate::protocol::{Event, UserId};

/// A series of event numbers.
///
/// A caller who sees everything reads the daemon's own numbers. Anybody else reads numbers that count only
/// the events of their own sessions: gaps between them would show how active the others are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Series {
    /// Of all sessions.
    Everybody,
    /// Of the sessions of one uid.
    Owner(u32),
}

impl From<Caller> for Series {
    fn from(caller: Caller) -> Self {
        if caller.sees_all {
            Self::Everybody
        } else {
            Self::Owner(caller.uid)
        }
    }
}

/// What a watcher wants and may see.
#[derive(Debug)]
pub(super) struct WatchScope {
    pub(super) caller: Caller,
    /// Empty: everyone.
    pub(super) users: BTreeSet<UserId>,
}

impl WatchScope {
    pub(super) fn series(&self) -> Series {
        self.caller.into()
    }

    /// The event's number, where it is one of this watcher's.
    pub(super) fn number(&self, event: &StampedEvent) -> Option<u64> {
        if !self.users.is_empty() && !self.users.contains(&event.user) {
            return None;
        }
        event.number_in(self.series())
    }

    /// The event as this watcher sees it. For a watcher that may not see the session any more, the session is
    /// gone.
    pub(super) fn show(&self, event: &StampedEvent) -> Option<Event> {
        let seq = self.number(event)?;
        let owner = event.owner.map(|owner| owner.uid);
        let visible = owner.is_some_and(|owner| self.caller.may_see(owner));
        let status = event.status.as_deref().filter(|_| visible);
        Some(Event {
            seq,
            at: event.at,
            user: event.user.clone(),
            kind: event.kind.clone(),
            status: status.cloned(),
        })
    }
}
