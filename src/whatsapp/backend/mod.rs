//! The library's store over a [`Space`]: everything that it keeps of a session.
//!
//! [`SpaceBackend`] answers as the library's own `SqliteStore` does, with these differences. Bytes that cannot
//! be decoded are an error and never "nothing there": a session without its identity would silently get a new
//! one. A method that takes several entries commits them together. A change that one entry needs another for
//! (newer wins, only if it exists, take) is made under a lock of its area; a session has one process and one
//! backend at a time, so that makes it atomic. A commit that nobody waits for any more is over before the next
//! call on the space begins, which is a promise of the port: so a call that was given up cannot overwrite
//! what the next one under the same lock reads.
//!
//! Many small entries of a kind lie together in boxes, because a value of its own costs more than what is in it.
//!
//! Nothing is cached: the library has caches of its own, and the space may have one.
//!
//! What cannot be read or written is also remembered in [`Trouble`], which the link watches.

mod app_state;
mod boxes;
mod codec;
mod device;
mod device_lists;
mod kinds;
mod mappings;
mod pending;
mod prekeys;
mod protocol;
mod secrets;
mod sender_key_devices;
mod sent;
mod signal;
mod sweep;
mod takeover;
mod tokens;
mod trouble;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

use self::codec::Damage;
use self::sweep::Sweep;
pub(super) use self::takeover::{IsPaired, Taken, TakeoverError, take_over};
pub(super) use self::trouble::{Fault, Trouble};
use crate::store::{Batch, Change, Durability, Kind, Place, Space};

/// The library's store of one session.
#[derive(Debug)]
pub struct SpaceBackend {
    space: Arc<dyn Space>,
    trouble: Trouble,
    turns: Turns,
    sweeps: Sweeps,
}

/// One lock for each area in which a change depends on what is there.
#[derive(Debug, Default)]
struct Turns {
    device: Mutex<()>,
    prekeys: Mutex<()>,
    macs: Mutex<()>,
    sender_key_devices: Mutex<()>,
    mappings: Mutex<()>,
    device_lists: Mutex<()>,
    tokens: Mutex<()>,
    sent: Mutex<()>,
    pending: Mutex<()>,
    secrets: Mutex<()>,
}

/// What is known of the rows that expire.
#[derive(Debug, Default)]
struct Sweeps {
    sent: Sweep,
    pending: Sweep,
    secrets: Sweep,
}

impl SpaceBackend {
    /// The store of the session whose space this is.
    #[must_use]
    pub fn new(space: Arc<dyn Space>) -> Self {
        Self {
            space,
            trouble: Trouble::default(),
            turns: Turns::default(),
            sweeps: Sweeps::default(),
        }
    }

    /// What is wrong with the credentials. The link waits for it, and ends with it.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    async fn get(&self, place: &Place) -> Result<Option<Vec<u8>>> {
        let read = self.space.get(place).await;
        read.map_err(|e| self.unread(place.kind, e.into()))
    }

    async fn get_many(&self, kind: Kind, places: &[Place]) -> Result<Vec<Option<Vec<u8>>>> {
        let read = self.space.get_many(places).await;
        read.map_err(|e| self.unread(kind, e.into()))
    }

    async fn list(&self, kind: Kind, group: Option<&[u8]>) -> Result<Vec<(Place, Vec<u8>)>> {
        let read = self.space.list(kind, group).await;
        read.map_err(|e| self.unread(kind, e.into()))
    }

    /// Makes the changes, all or none. Without any it does nothing.
    async fn commit(&self, changes: Vec<Change>, durability: Durability) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let done = self.space.commit(Batch {
            changes,
            durability,
        });
        done.await.map_err(|e| {
            let fault = Fault::from(e);
            self.failed(fault, durability == Durability::Synced)
        })
    }

    async fn get_raw(&self, place: &Place, what: &'static str) -> Result<Option<Vec<u8>>> {
        match self.get(place).await? {
            Some(value) => self.decoded(what, codec::from_raw(value)).map(Some),
            None => Ok(None),
        }
    }

    async fn get_packed<T: DeserializeOwned>(
        &self,
        place: &Place,
        what: &'static str,
    ) -> Result<Option<T>> {
        match self.get(place).await? {
            Some(value) => self.decoded(what, codec::from_packed(&value)).map(Some),
            None => Ok(None),
        }
    }

    /// A decoded value, or the error for a damaged one.
    fn decoded<T>(&self, what: &'static str, decoded: std::result::Result<T, Damage>) -> Result<T> {
        decoded.map_err(|damage| self.failed(Fault::damaged(what, &damage), true))
    }

    fn unread(&self, kind: Kind, fault: Fault) -> StoreError {
        self.failed(fault, kinds::is_needed(kind))
    }

    /// The library's error for a fault, which is remembered. A cache that is out of reach for a moment is the
    /// library's to deal with; whatever else fails is trouble.
    fn failed(&self, fault: Fault, is_needed: bool) -> StoreError {
        if is_needed || !matches!(fault, Fault::Unavailable(_)) {
            self.trouble.note(&fault);
        }
        StoreError::Database(Box::new(fault))
    }
}

/// A change that puts bytes of the library there.
fn put_raw(place: Place, bytes: &[u8]) -> Change {
    Change::Put(place, codec::raw(bytes))
}

/// A change that puts a value of a type of this module there.
fn put_packed<T: Serialize>(place: Place, value: &T) -> Result<Change> {
    let bytes = codec::packed(value).map_err(|e| StoreError::Serialization(Box::new(e)))?;
    Ok(Change::Put(place, bytes))
}

/// The present moment, as the library sees it, in seconds.
fn now() -> i64 {
    whatsapp_rust::wacore::time::now_secs()
}
