//! The sessions by user and by owner, as they are now and as they were a few events ago.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::super::caller::Caller;
use super::ring::{Ring, StampedEvent};
use super::scope::{Series, WatchScope};
use crate::protocol::{Phase, Status, UserId};

/// The sessions by user and by owner.
///
/// An event keeps the status that it replaced. So the state at an earlier moment can be read as long as all
/// later events are in the ring, and a reader keeps no memory alive.
#[derive(Debug, Default)]
pub(super) struct Index {
    sessions: BTreeMap<UserId, Slot>,
    owners: HashMap<u32, Owner>,
    phases: BTreeMap<Phase, u64>,
}

#[derive(Debug)]
struct Slot {
    /// `None`: the session ended, and the event that says so is in the ring.
    status: Option<Arc<Status>>,
    /// The number of the last event about the user.
    changed: u64,
}

/// The sessions of one uid, and its last event number. An owner stays for the whole run, so that no number
/// is used twice.
#[derive(Debug, Default)]
struct Owner {
    /// The number of the last event about their sessions.
    number: u64,
    /// Their sessions; with an event's number, those that were theirs until that event.
    sessions: BTreeMap<UserId, Option<u64>>,
}

/// What an event replaces.
pub(super) struct Replaced {
    pub(super) status: Option<Arc<Status>>,
    /// The number of the event before; 0: none that is remembered.
    pub(super) changed: u64,
}

impl Index {
    /// Puts a session in the place of what was there, by the event with this number.
    pub(super) fn replace(
        &mut self,
        user: &UserId,
        status: Option<Arc<Status>>,
        seq: u64,
    ) -> Replaced {
        if let Some(status) = &status {
            *self.phases.entry(status.phase).or_default() += 1;
        }
        let owner = status.as_ref().map(|status| status.owner);
        let slot = Slot {
            status,
            changed: seq,
        };
        let replaced = match self.sessions.insert(user.clone(), slot) {
            Some(Slot { status, changed }) => Replaced { status, changed },
            None => Replaced {
                status: None,
                changed: 0,
            },
        };
        if let Some(before) = &replaced.status {
            self.left(before.phase);
            if owner != Some(before.owner) {
                self.set_owned(before.owner, user, Some(seq));
            }
        }
        if let Some(owner) = owner {
            self.set_owned(owner, user, None);
        }
        replaced
    }

    fn left(&mut self, phase: Phase) {
        if let Some(count) = self.phases.get_mut(&phase) {
            *count -= 1;
            if *count == 0 {
                self.phases.remove(&phase);
            }
        }
    }

    fn set_owned(&mut self, uid: u32, user: &UserId, until: Option<u64>) {
        let owner = self.owners.entry(uid).or_default();
        owner.sessions.insert(user.clone(), until);
    }

    /// The next number for this owner.
    pub(super) fn next_number(&mut self, uid: u32) -> u64 {
        let owner = self.owners.entry(uid).or_default();
        owner.number += 1;
        owner.number
    }

    /// The number of the last event about this owner's sessions.
    pub(super) fn number(&self, uid: u32) -> u64 {
        self.owners.get(&uid).map_or(0, |owner| owner.number)
    }

    /// Forgets what only this event, which leaves the ring, still needed.
    pub(super) fn forget(&mut self, event: &StampedEvent) {
        let user = &event.user;
        let slot = self.sessions.get(user);
        if slot.is_some_and(|slot| slot.status.is_none() && slot.changed == event.seq) {
            self.sessions.remove(user);
        }
        let Some(before) = &event.before else { return };
        if let Some(owner) = self.owners.get_mut(&before.owner)
            && owner.sessions.get(user) == Some(&Some(event.seq))
        {
            owner.sessions.remove(user);
        }
    }

    /// The session of a user.
    pub(super) fn get(&self, user: &UserId) -> Option<&Arc<Status>> {
        self.sessions.get(user)?.status.as_ref()
    }

    /// What the caller may see of the sessions after this user, or from the first, by user.
    pub(super) fn visible(
        &self,
        caller: Caller,
        after: Option<&UserId>,
    ) -> impl Iterator<Item = &Arc<Status>> {
        let users = self.users(caller.into(), after);
        users
            .filter_map(move |user| self.get(user))
            .filter(move |status| caller.may_see(status.owner))
    }

    /// The first session after this user that the scope has, at the moment right after the event with
    /// this number. All later events must be in the ring.
    pub(super) fn first_at(
        &self,
        moment: u64,
        ring: &Ring,
        scope: &WatchScope,
        after: Option<&UserId>,
    ) -> Option<Arc<Status>> {
        let visible = |user| {
            let status = self.get_at(moment, ring, user);
            status.filter(|status| scope.caller.may_see(status.owner))
        };
        if scope.users.is_empty() {
            let mut users = self.users(scope.series(), after);
            users.find_map(visible).cloned()
        } else {
            let mut users = scope.users.range((beyond(after), Bound::Unbounded));
            users.find_map(visible).cloned()
        }
    }

    fn get_at<'a>(&'a self, moment: u64, ring: &'a Ring, user: &UserId) -> Option<&'a Arc<Status>> {
        let slot = self.sessions.get(user)?;
        let (mut status, mut changed) = (slot.status.as_ref(), slot.changed);
        while changed > moment {
            let event = ring.get(changed)?;
            (status, changed) = (event.before.as_ref(), event.previous);
        }
        status
    }

    /// The users in a series, by user, those that were in it a few events ago included.
    fn users(
        &self,
        series: Series,
        after: Option<&UserId>,
    ) -> Box<dyn Iterator<Item = &UserId> + '_> {
        let range = (beyond(after), Bound::Unbounded);
        match series {
            Series::Everybody => {
                let users = self.sessions.range::<UserId, _>(range);
                Box::new(users.map(|(user, _)| user))
            }
            Series::Owner(uid) => match self.owners.get(&uid) {
                Some(owner) => {
                    let users = owner.sessions.range::<UserId, _>(range);
                    Box::new(users.map(|(user, _)| user))
                }
                None => Box::new(std::iter::empty()),
            },
        }
    }

    /// How many sessions are in which phase.
    pub(super) fn phases(&self) -> &BTreeMap<Phase, u64> {
        &self.phases
    }

    /// How many of those that the caller may see are in which phase.
    pub(super) fn visible_phases(&self, caller: Caller) -> BTreeMap<Phase, u64> {
        let mut phases = BTreeMap::new();
        for status in self.visible(caller, None) {
            *phases.entry(status.phase).or_default() += 1;
        }
        phases
    }
}

fn beyond(after: Option<&UserId>) -> Bound<&UserId> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
