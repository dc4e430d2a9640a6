//! The state that the account's devices share: its keys, how far each collection is synchronised, and the MACs
//! of what it holds.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use whatsapp_rust::store::{AppStateSyncKey, AppSyncStore};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::error::Result;

use super::boxes::Boxes;
use super::codec::{self, Damage};
use super::{SpaceBackend, kinds, put_packed};
use crate::store::{Change, Durability, Place};

const KEY: &str = "a key of the app state";
const VERSION: &str = "the version of an app state";
const MACS: &str = "the MACs of an app state";

/// The length of a key that subkeys can be derived from.
const KEY_LENGTH: usize = 32;

/// How many boxes the MACs of a collection have. A large one has a few thousand.
const BOXES: u8 = 64;

/// A key, as it is kept.
#[derive(Serialize, Deserialize)]
struct Key {
    data: Vec<u8>,
    fingerprint: Vec<u8>,
    timestamp: i64,
}

/// A collection's version, as it is kept.
#[derive(Serialize, Deserialize)]
struct Progress {
    version: u64,
    hash: Vec<u8>,
    index_values: BTreeMap<String, Vec<u8>>,
    is_mismatch_fatal: bool,
}

/// A MAC in its box.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mac {
    pub(super) version: u64,
    pub(super) value: Vec<u8>,
}

fn key_place(id: &[u8]) -> Place {
    Place::new(kinds::SYNC_KEY, "", id)
}

/// The change that keeps a key.
pub(super) fn put_key(id: &[u8], key: AppStateSyncKey) -> Result<Change> {
    let AppStateSyncKey {
        key_data: data,
        fingerprint,
        timestamp,
    } = key;
    let key = Key {
        data,
        fingerprint,
        timestamp,
    };
    put_packed(key_place(id), &key)
}

/// The change that keeps a version.
pub(super) fn put_version(name: &str, state: HashState) -> Result<Change> {
    let HashState {
        version,
        hash,
        index_value_map,
        mac_mismatch_fatal: is_mismatch_fatal,
    } = state;
    let state = Progress {
        version,
        hash: hash.to_vec(),
        index_values: index_value_map.into_iter().collect(),
        is_mismatch_fatal,
    };
    put_packed(Place::new(kinds::SYNC_VERSION, "", name), &state)
}

/// The box of a MAC. They are random: their first bits spread them.
pub(super) fn mac_box(index: &[u8]) -> Vec<u8> {
    vec![index.first().copied().unwrap_or_default() % BOXES]
}

impl SpaceBackend {
    async fn mac_boxes(
        &self,
        name: &str,
        indexes: impl Iterator<Item = &[u8]>,
    ) -> Result<Boxes<Vec<u8>, Mac>> {
        let names = indexes.map(mac_box).collect();
        self.open_boxes(kinds::SYNC_MACS, name.as_bytes(), names, MACS)
            .await
    }
}

/// A key, if it is one. The library asks the phone for one that is missing. One of another length is as good as
/// missing, and its store says so, too.
fn usable(key: Key) -> Option<AppStateSyncKey> {
    (key.data.len() == KEY_LENGTH).then_some(AppStateSyncKey {
        key_data: key.data,
        fingerprint: key.fingerprint,
        timestamp: key.timestamp,
    })
}

#[async_trait]
impl AppSyncStore for SpaceBackend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        let key = self.get_packed(&key_place(key_id), KEY).await?;
        Ok(key.and_then(usable))
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        self.commit(vec![put_key(key_id, key)?], Durability::Synced)
            .await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let place = Place::new(kinds::SYNC_VERSION, "", name);
        let Some(state) = self.get_packed::<Progress>(&place, VERSION).await? else {
            return Ok(HashState::default());
        };
        let hash = <[u8; 128]>::try_from(state.hash);
        let hash = hash.map_err(|_| Damage::Senseless("its hash is not 128 bytes"));
        Ok(HashState {
            version: state.version,
            hash: self.decoded(VERSION, hash)?,
            index_value_map: state.index_values.into_iter().collect(),
            mac_mismatch_fatal: state.is_mismatch_fatal,
        })
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.commit(vec![put_version(name, state)?], Durability::Eventual)
            .await
    }

    async fn put_mutation_macs(
        &self,
        name: &str,
        version: u64,
        mutations: &[AppStateMutationMAC],
    ) -> Result<()> {
        let _turn = self.turns.macs.lock().await;
        let indexes = mutations.iter().map(|it| &it.index_mac[..]);
        let mut boxes = self.mac_boxes(name, indexes).await?;
        for mutation in mutations {
            let mac = Mac {
                version,
                value: mutation.value_mac.clone(),
            };
            let index = mutation.index_mac.clone();
            boxes.insert(mac_box(&index), index, mac);
        }
        self.commit(boxes.changes()?, Durability::Eventual).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        let boxes = self.mac_boxes(name, std::iter::once(index_mac)).await?;
        let mac = boxes.get(&mac_box(index_mac), &index_mac.to_vec());
        Ok(mac.map(|mac| mac.value.clone()))
    }

    async fn get_mutation_macs(
        &self,
        name: &str,
        index_macs: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let boxes = self
            .mac_boxes(name, index_macs.iter().map(|it| &it[..]))
            .await?;
        let found = index_macs.iter().filter_map(|index| {
            let mac = boxes.get(&mac_box(index), &index.to_vec())?;
            Some((*index, mac.value.clone()))
        });
        Ok(found.collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let _turn = self.turns.macs.lock().await;
        let indexes = index_macs.iter().map(|it| &it[..]);
        let mut boxes = self.mac_boxes(name, indexes).await?;
        for index in index_macs {
            boxes.remove(&mac_box(index), index);
        }
        self.commit(boxes.changes()?, Durability::Eventual).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        let _turn = self.turns.macs.lock().await;
        let all = Change::DeleteGroup(kinds::SYNC_MACS, name.as_bytes().into());
        self.commit(vec![all], Durability::Eventual).await
    }

    /// The greatest id of those that can be used. The library's store in memory says the one that was set last;
    /// this is what its store on the disk says, and ids grow.
    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let mut latest = None;
        for (place, value) in self.list(kinds::SYNC_KEY, None).await? {
            let key = self.decoded(KEY, codec::from_packed(&value))?;
            if usable(key).is_some() {
                latest = latest.max(Some(place.name.into_vec()));
            }
        }
        Ok(latest)
    }
}
