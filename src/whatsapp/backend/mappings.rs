//! Which LID is which phone number, both ways.
//!
//! Boxes hold the mappings by LID, and other boxes the LIDs by phone number. A LID has one number; a number has
//! the LIDs that were ever seen with it, and the mapping that was updated last counts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use whatsapp_rust::store::LidPnMappingEntry;
use whatsapp_rust::wacore::store::error::Result;

use super::boxes::{Boxes, spread};
use super::{SpaceBackend, kinds};
use crate::store::Durability;

const WHAT: &str = "a mapping of a LID";

/// A mapping in the box of its LID.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    phone: String,
    created_at: i64,
    updated_at: i64,
    source: String,
}

impl Mapping {
    fn entry(self, lid: String) -> LidPnMappingEntry {
        LidPnMappingEntry {
            lid,
            phone_number: self.phone,
            created_at: self.created_at,
            updated_at: self.updated_at,
            learning_source: self.source,
        }
    }
}

/// The boxes of some mappings, both ways.
pub(super) struct Mappings {
    pub(super) by_lid: Boxes<String, Mapping>,
    pub(super) by_phone: Boxes<String, Vec<String>>,
}

impl Mappings {
    /// Of a session that has none.
    pub(super) fn new() -> Self {
        Self {
            by_lid: Boxes::new(kinds::LID_MAPPINGS, b""),
            by_phone: Boxes::new(kinds::PHONE_LIDS, b""),
        }
    }

    /// Puts a mapping in the place of the LID's older one. When the LID was first seen is kept.
    pub(super) fn put(&mut self, entry: &LidPnMappingEntry) {
        let LidPnMappingEntry {
            lid,
            phone_number,
            created_at,
            updated_at,
            learning_source,
        } = entry;
        let lid_box = spread(lid);
        let old = self.by_lid.get(&lid_box, lid).cloned();
        if let Some(old) = old.as_ref().filter(|old| old.phone != *phone_number) {
            let mut lids = self.lids(&old.phone);
            lids.retain(|other| other != lid);
            self.set_lids(&old.phone, lids);
        }
        let mut lids = self.lids(phone_number);
        // Of two that were updated in the same second, the last in this list counts.
        lids.retain(|other| other != lid);
        lids.push(lid.clone());
        self.set_lids(phone_number, lids);
        let mapping = Mapping {
            phone: phone_number.clone(),
            created_at: old.map_or(*created_at, |old| old.created_at),
            updated_at: *updated_at,
            source: learning_source.clone(),
        };
        self.by_lid.insert(lid_box, lid.clone(), mapping);
    }

    fn lids(&self, phone: &str) -> Vec<String> {
        let lids = self.by_phone.get(&spread(phone), &phone.to_owned());
        lids.cloned().unwrap_or_default()
    }

    fn set_lids(&mut self, phone: &str, lids: Vec<String>) {
        if lids.is_empty() {
            self.by_phone.remove(&spread(phone), &phone.to_owned());
        } else {
            self.by_phone.insert(spread(phone), phone.to_owned(), lids);
        }
    }
}

impl SpaceBackend {
    async fn lid_boxes<'a>(
        &self,
        lids: impl Iterator<Item = &'a str>,
    ) -> Result<Boxes<String, Mapping>> {
        let names = lids.map(spread).collect();
        self.open_boxes(kinds::LID_MAPPINGS, b"", names, WHAT).await
    }

    async fn phone_boxes<'a>(
        &self,
        phones: impl Iterator<Item = &'a str>,
    ) -> Result<Boxes<String, Vec<String>>> {
        let names = phones.map(spread).collect();
        self.open_boxes(kinds::PHONE_LIDS, b"", names, WHAT).await
    }

    pub(super) async fn mapping_of_lid(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        let boxes = self.lid_boxes(std::iter::once(lid)).await?;
        let mapping = boxes.get(&spread(lid), &lid.to_owned());
        Ok(mapping.map(|it| it.clone().entry(lid.to_owned())))
    }

    pub(super) async fn mapping_of_phone(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        // The two kinds of boxes are read one after the other, and must fit.
        let _turn = self.turns.mappings.lock().await;
        let by_phone = self.phone_boxes(std::iter::once(phone)).await?;
        let Some(lids) = by_phone.get(&spread(phone), &phone.to_owned()) else {
            return Ok(None);
        };
        let by_lid = self.lid_boxes(lids.iter().map(String::as_str)).await?;
        let entries = lids.iter().filter_map(|lid| {
            let mapping = by_lid.get(&spread(lid), lid)?;
            (mapping.phone == phone).then(|| mapping.clone().entry(lid.clone()))
        });
        Ok(entries.max_by_key(|entry| entry.updated_at))
    }

    pub(super) async fn put_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let _turn = self.turns.mappings.lock().await;
        let by_lid = self.lid_boxes(entries.iter().map(|it| &it.lid[..])).await?;
        // The numbers that LIDs had until now are written as well.
        let mut phones: BTreeSet<&str> = BTreeSet::new();
        for entry in entries {
            phones.insert(&entry.phone_number);
            if let Some(old) = by_lid.get(&spread(&entry.lid), &entry.lid) {
                phones.insert(&old.phone);
            }
        }
        let by_phone = self.phone_boxes(phones.into_iter()).await?;
        let mut mappings = Mappings { by_lid, by_phone };
        for entry in entries {
            mappings.put(entry);
        }
        let mut changes = mappings.by_lid.changes()?;
        changes.extend(mappings.by_phone.changes()?);
        self.commit(changes, Durability::Eventual).await
    }

    pub(super) async fn all_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let boxes: Boxes<String, Mapping> = self.all_boxes(kinds::LID_MAPPINGS, b"", WHAT).await?;
        let entries = boxes.into_entries();
        Ok(entries.map(|(lid, mapping)| mapping.entry(lid)).collect())
    }
}
