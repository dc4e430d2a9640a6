//! A space in memory that can be told to fail, and counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::store::{Batch, Change, Durability, Kind, Place, Space, SpaceError};

type Key = (Kind, Vec<u8>, Vec<u8>);

/// A space in memory.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    values: BTreeMap<Key, Vec<u8>>,
    commits: Vec<Durability>,
    fails_to_read: Option<SpaceError>,
    fails_to_commit: Option<SpaceError>,
}

impl Memory {
    /// The commits since the last call.
    pub(super) fn commits(&self) -> Vec<Durability> {
        std::mem::take(&mut self.inner().commits)
    }

    /// Makes every read fail, or none.
    pub(super) fn fail_reads(&self, error: Option<SpaceError>) {
        self.inner().fails_to_read = error;
    }

    /// Makes every commit fail, or none.
    pub(super) fn fail_commits(&self, error: Option<SpaceError>) {
        self.inner().fails_to_commit = error;
    }

    /// Changes the bytes of all values.
    pub(super) fn damage(&self, damage: impl Fn(Kind, &mut Vec<u8>)) {
        for ((kind, ..), value) in &mut self.inner().values {
            damage(*kind, value);
        }
    }

    /// Every value.
    pub(super) fn values(&self) -> BTreeMap<Key, Vec<u8>> {
        self.inner().values.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic under it")
    }

    /// Another task runs before each read: what is not locked is overtaken.
    async fn reading(&self) -> Result<(), SpaceError> {
        tokio::task::yield_now().await;
        self.inner().fails_to_read.clone().map_or(Ok(()), Err)
    }
}

fn key(place: &Place) -> Key {
    (place.kind, place.group.to_vec(), place.name.to_vec())
}

#[async_trait]
impl Space for Memory {
    async fn get(&self, place: &Place) -> Result<Option<Vec<u8>>, SpaceError> {
        self.reading().await?;
        Ok(self.inner().values.get(&key(place)).cloned())
    }

    async fn get_many(&self, places: &[Place]) -> Result<Vec<Option<Vec<u8>>>, SpaceError> {
        self.reading().await?;
        let inner = self.inner();
        let values = places.iter().map(|it| inner.values.get(&key(it)).cloned());
        Ok(values.collect())
    }

    async fn list(
        &self,
        kind: Kind,
        group: Option<&[u8]>,
    ) -> Result<Vec<(Place, Vec<u8>)>, SpaceError> {
        self.reading().await?;
        let inner = self.inner();
        let all = inner.values.iter().rev();
        let asked = all.filter(|((k, g, _), _)| *k == kind && group.is_none_or(|it| it == g));
        Ok(asked
            .map(|((kind, group, name), value)| (Place::new(*kind, group, name), value.clone()))
            .collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SpaceError> {
        let mut inner = self.inner();
        if let Some(error) = inner.fails_to_commit.clone() {
            return Err(error);
        }
        inner.commits.push(batch.durability);
        for change in batch.changes {
            match change {
                Change::Put(place, value) => {
                    inner.values.insert(key(&place), value);
                }
                Change::Delete(place) => {
                    inner.values.remove(&key(&place));
                }
                Change::DeleteGroup(kind, group) => {
                    inner
                        .values
                        .retain(|(k, g, _), _| *k != kind || g[..] != group[..]);
                }
                Change::DeleteKind(kind) => inner.values.retain(|(k, ..), _| *k != kind),
            }
        }
        Ok(())
    }
}
