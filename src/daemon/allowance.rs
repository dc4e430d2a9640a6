//! The limits of a connection: the bytes that it may make the daemon hold, and the requests that may be
//! carried out for it. They are shared with the other connections of its uid, and with all others.
//!
//! A request costs memory from the length of its frame on until it is answered. While it waits, its
//! frame is kept as it came. It is decoded when it has a slot, and may then take many times the bytes. So there are two accounts, and a request moves from the first to the second:
//!
//! | account | a connection | a uid | all | all admins |
//! |---|---|---|---|---|
//! | frames that arrive or wait | 2 MiB | 8 MiB | 32 MiB | 16 MiB |
//! | requests that are carried out | | 16 MiB | 64 MiB | 32 MiB |
//!
//! Frames of at most [`SMALL`] bytes are not charged on the first account: nothing makes them wait to be
//! read, `force_logout` above all. They are bounded by number: connections, times the requests that one
//! may have in flight.
//!
//! Those who see everything have accounts of their own, so that a crowd does not keep them waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budget::{Budget, Budgets, Charge};

/// Frames of no more bytes than this are read without asking for room.
pub const SMALL: usize = 1024;

/// Slots of one uid: the requests that are carried out for it at a time, on all its connections. More
/// requests wait. One that is answered from memory needs no slot, nor does one of an admin.
pub const MAX_UNDER_WAY_OF_UID: usize = 128;

const MIB: u32 = 1024 * 1024;

/// The accounts that all uids of a kind share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    frames: Budget,
    requests: Budget,
}

/// The accounts of one uid.
#[derive(Debug, Clone)]
pub(super) struct OfUid {
    slots: Arc<Semaphore>,
    frames: Budget,
    requests: Budget,
}

/// The limits of one connection.
#[derive(Debug, Clone)]
pub struct Allowance {
    slots: Arc<Semaphore>,
    frames: Budgets,
    requests: Budgets,
}

/// The needs of a request that is to be carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// Whether the request takes one of the slots of its uid.
    pub(super) slot: bool,
    /// Its bytes when it is decoded.
    pub(super) bytes: usize,
}

/// The right of a request to be carried out; dropping it lets another one have it.
#[derive(Debug)]
pub(super) struct Place {
    _slot: Option<OwnedSemaphorePermit>,
    _bytes: Charge,
}

impl Shared {
    pub(super) fn of_everybody() -> Self {
        Self {
            frames: Budget::new(32 * MIB),
            requests: Budget::new(64 * MIB),
        }
    }

    pub(super) fn of_admins() -> Self {
        Self {
            frames: Budget::new(16 * MIB),
            requests: Budget::new(32 * MIB),
        }
    }
}

impl OfUid {
    pub(super) fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MAX_UNDER_WAY_OF_UID)),
            frames: Budget::new(8 * MIB),
            requests: Budget::new(16 * MIB),
        }
    }

    /// Whether something that was begun for the uid is still under way.
    pub(super) fn is_used(&self) -> bool {
        self.slots.available_permits() < MAX_UNDER_WAY_OF_UID
            || !self.frames.is_whole()
            || !self.requests.is_whole()
    }

    pub(super) fn connection(&self, shared: &Shared) -> Allowance {
        let of_connection = Budget::new(2 * MIB);
        Allowance {
            slots: Arc::clone(&self.slots),
            frames: Budgets::new([of_connection, self.frames.clone(), shared.frames.clone()]),
            requests: Budgets::new([self.requests.clone(), shared.requests.clone()]),
        }
    }
}

impl Default for Allowance {
    /// The limits of the only connection of a daemon.
    fn default() -> Self {
        OfUid::new().connection(&Shared::of_everybody())
    }
}

impl Allowance {
    /// The account of the frames that arrive or wait.
    pub(super) fn frames(&self) -> Budgets {
        self.frames.clone()
    }

    /// A place for a request, if there is one at once.
    pub(super) fn try_place(&self, need: Need) -> Option<Place> {
        let slot = if need.slot {
            Some(Arc::clone(&self.slots).try_acquire_owned().ok()?)
        } else {
            None
        };
        Some(Place {
            _slot: slot,
            _bytes: self.requests.try_take(need.bytes)?,
        })
    }

    /// Waits for a place for a request.
    pub(super) async fn place(&self, need: Need) -> Place {
        let slot = if need.slot {
            // Nobody closes it.
            Arc::clone(&self.slots).acquire_owned().await.ok()
        } else {
            None
        };
        Place {
            _slot: slot,
            _bytes: self.requests.clone().take(need.bytes).await,
        }
    }

    /// For tests: with these slots.
    #[cfg(test)]
    pub(crate) fn with_slots(self, slots: Arc<Semaphore>) -> Self {
        Self { slots, ..self }
    }
}
