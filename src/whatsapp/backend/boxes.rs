//! Boxes: values that hold many small entries.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use whatsapp_rust::wacore::store::error::Result;

use super::{SpaceBackend, codec, put_packed};
use crate::store::{Change, Kind, Place};

/// How many boxes take the entries that are spread by their names: with a few thousand entries, what is
/// written again for one of them is a few KiB.
const SPREAD: u8 = 64;

/// The box of an entry with this name.
pub(super) fn spread(name: &str) -> Vec<u8> {
    vec![codec::spread(name.as_bytes(), SPREAD)]
}

/// Boxes of one group, in memory, and which of them were changed.
pub(super) struct Boxes<K, V> {
    kind: Kind,
    group: Box<[u8]>,
    contents: BTreeMap<Vec<u8>, Content<K, V>>,
}

struct Content<K, V> {
    entries: BTreeMap<K, V>,
    is_changed: bool,
}

impl<K: Ord, V: PartialEq> Boxes<K, V> {
    /// Of a group that has none.
    pub(super) fn new(kind: Kind, group: &[u8]) -> Self {
        Self {
            kind,
            group: group.into(),
            contents: BTreeMap::new(),
        }
    }

    /// An entry of a box.
    pub(super) fn get(&self, name: &[u8], key: &K) -> Option<&V> {
        self.contents.get(name)?.entries.get(key)
    }

    /// Puts an entry into a box, in the place of an older one.
    pub(super) fn insert(&mut self, name: Vec<u8>, key: K, value: V) {
        let content = self.contents.entry(name).or_insert_with(|| Content {
            entries: BTreeMap::new(),
            is_changed: false,
        });
        if content.entries.get(&key) != Some(&value) {
            content.entries.insert(key, value);
            content.is_changed = true;
        }
    }

    /// Takes an entry out of a box.
    pub(super) fn remove(&mut self, name: &[u8], key: &K) -> Option<V> {
        let content = self.contents.get_mut(name)?;
        let removed = content.entries.remove(key);
        content.is_changed |= removed.is_some();
        removed
    }

    /// Keeps the entries for which `keep` says so, and says how many others there were.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) -> usize {
        let mut removed = 0;
        for content in self.contents.values_mut() {
            let before = content.entries.len();
            content.entries.retain(|key, value| keep(key, value));
            let gone = before - content.entries.len();
            content.is_changed |= gone > 0;
            removed += gone;
        }
        removed
    }

    /// All entries, box by box.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        self.contents
            .into_values()
            .flat_map(|content| content.entries.into_iter())
    }
}

impl<K: Ord + Serialize, V: PartialEq + Serialize> Boxes<K, V> {
    /// What is to be changed in the space. A box without entries is removed.
    pub(super) fn changes(self) -> Result<Vec<Change>> {
        let (kind, group) = (self.kind, self.group);
        let changed = self.contents.into_iter().filter(|(_, it)| it.is_changed);
        changed
            .map(|(name, content)| {
                let place = Place::new(kind, &group, name);
                if content.entries.is_empty() {
                    Ok(Change::Delete(place))
                } else {
                    put_packed(place, &content.entries)
                }
            })
            .collect()
    }
}

impl SpaceBackend {
    /// These boxes of a group, with what is in them. `what` names the entries in an error.
    pub(super) async fn open_boxes<K, V>(
        &self,
        kind: Kind,
        group: &[u8],
        mut names: Vec<Vec<u8>>,
        what: &'static str,
    ) -> Result<Boxes<K, V>>
    where
        K: Ord + DeserializeOwned,
        V: PartialEq + DeserializeOwned,
    {
        names.sort_unstable();
        names.dedup();
        let places: Vec<Place> = names
            .iter()
            .map(|name| Place::new(kind, group, name))
            .collect();
        let values = self.get_many(kind, &places).await?;
        let mut boxes = Boxes::new(kind, group);
        for (name, value) in names.into_iter().zip(values) {
            if let Some(value) = value {
                let content = self.opened(&value, what)?;
                boxes.contents.insert(name, content);
            }
        }
        Ok(boxes)
    }

    /// All boxes of a group.
    pub(super) async fn all_boxes<K, V>(
        &self,
        kind: Kind,
        group: &[u8],
        what: &'static str,
    ) -> Result<Boxes<K, V>>
    where
        K: Ord + DeserializeOwned,
        V: PartialEq + DeserializeOwned,
    {
        let mut boxes = Boxes::new(kind, group);
        for (place, value) in self.list(kind, Some(group)).await? {
            let content = self.opened(&value, what)?;
            boxes.contents.insert(place.name.into_vec(), content);
        }
        Ok(boxes)
    }

    fn opened<K, V>(&self, value: &[u8], what: &'static str) -> Result<Content<K, V>>
    where
        K: Ord + DeserializeOwned,
        V: DeserializeOwned,
    {
        let entries = self.decoded(what, codec::from_packed(value))?;
        Ok(Content {
            entries,
            is_changed: false,
        })
    }
}
