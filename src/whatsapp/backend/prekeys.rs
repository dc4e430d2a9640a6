//! One-time prekeys, in boxes of 64 ids.
//!
//! A device has 812 of them, and the library reads all of them at each login. The record of one is its id, its
//! private key, and the public key. Where the record is encoded in the library's way, the two keys are kept;
//! otherwise the record is, as it came. The public key follows from the private one, but 812 multiplications on
//! the curve at each login cost more than 26 KB.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::waproto::codec as proto;
use whatsapp_rust::waproto::whatsapp::PreKeyRecordStructure;

use super::boxes::Boxes;
use super::{SpaceBackend, kinds};
use crate::store::Durability;

const WHAT: &str = "a prekey";

/// How many ids a box has.
const IDS: u32 = 64;

/// A prekey in its box.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prekey {
    /// Whether WhatsApp's server has it.
    is_uploaded: bool,
    key: Key,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Key {
    /// The private and the public key; the record is that of [`record_from`].
    Pair([u8; 32], [u8; 32]),
    /// A record of another form.
    Record(Vec<u8>),
}

impl Prekey {
    /// From what the library stores.
    pub(super) fn new(id: u32, record: &[u8], is_uploaded: bool) -> Self {
        let key = match keys_of(record) {
            Some((private, public)) if record_from(id, &private, &public) == record => {
                Key::Pair(private, public)
            }
            _ => Key::Record(record.to_owned()),
        };
        Self { is_uploaded, key }
    }

    fn record(&self, id: u32) -> Bytes {
        match &self.key {
            Key::Pair(private, public) => record_from(id, private, public).into(),
            Key::Record(record) => Bytes::copy_from_slice(record),
        }
    }
}

/// The private and the public key in a record.
fn keys_of(record: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let record = proto::pre_key_record_decode(record).ok()?;
    let private = record.private_key?.try_into().ok()?;
    Some((private, record.public_key?.try_into().ok()?))
}

/// The record that the library makes of these keys.
fn record_from(id: u32, private: &[u8; 32], public: &[u8; 32]) -> Vec<u8> {
    proto::pre_key_record_to_vec(&PreKeyRecordStructure {
        id: Some(id),
        public_key: Some(public.to_vec()),
        private_key: Some(private.to_vec()),
    })
}

/// The box of an id.
pub(super) fn in_box(id: u32) -> Vec<u8> {
    (id / IDS).to_be_bytes().to_vec()
}

/// The boxes of these ids.
fn boxes_of(ids: impl IntoIterator<Item = u32>) -> Vec<Vec<u8>> {
    ids.into_iter().map(in_box).collect()
}

impl SpaceBackend {
    async fn prekey_boxes(&self, ids: impl IntoIterator<Item = u32>) -> Result<Boxes<u32, Prekey>> {
        self.open_boxes(kinds::PREKEYS, b"", boxes_of(ids), WHAT)
            .await
    }

    async fn write_prekeys(&self, boxes: Boxes<u32, Prekey>) -> Result<()> {
        self.commit(boxes.changes()?, Durability::Synced).await
    }

    pub(super) async fn put_prekeys(
        &self,
        keys: impl IntoIterator<Item = (u32, &[u8])>,
        is_uploaded: bool,
    ) -> Result<()> {
        let keys: Vec<(u32, Prekey)> = keys
            .into_iter()
            .map(|(id, record)| (id, Prekey::new(id, record, is_uploaded)))
            .collect();
        let _turn = self.turns.prekeys.lock().await;
        let mut boxes = self.prekey_boxes(keys.iter().map(|(id, _)| *id)).await?;
        for (id, key) in keys {
            boxes.insert(in_box(id), id, key);
        }
        self.write_prekeys(boxes).await
    }

    /// Those that are there, each once, in the order in which they are asked for.
    pub(super) async fn prekeys(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let boxes = self.prekey_boxes(ids.iter().copied()).await?;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for &id in ids.iter().filter(|id| seen.insert(**id)) {
            if let Some(key) = boxes.get(&in_box(id), &id) {
                found.push((id, key.record(id)));
            }
        }
        Ok(found)
    }

    /// A key that was used up meanwhile stays away.
    pub(super) async fn mark_uploaded(&self, ids: &[u32]) -> Result<()> {
        let _turn = self.turns.prekeys.lock().await;
        let mut boxes = self.prekey_boxes(ids.iter().copied()).await?;
        for &id in ids {
            if let Some(key) = boxes.get(&in_box(id), &id) {
                let key = Prekey {
                    is_uploaded: true,
                    ..key.clone()
                };
                boxes.insert(in_box(id), id, key);
            }
        }
        self.write_prekeys(boxes).await
    }

    pub(super) async fn take_prekey_out(&self, id: u32) -> Result<()> {
        let _turn = self.turns.prekeys.lock().await;
        let mut boxes = self.prekey_boxes([id]).await?;
        boxes.remove(&in_box(id), &id);
        self.write_prekeys(boxes).await
    }

    /// 0 where there is none.
    pub(super) async fn max_prekey(&self) -> Result<u32> {
        let boxes: Boxes<u32, Prekey> = self.all_boxes(kinds::PREKEYS, b"", WHAT).await?;
        let ids = boxes.into_entries().map(|(id, _)| id);
        Ok(ids.max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::wacore::libsignal::protocol::{KeyPair, PrivateKey};
    use whatsapp_rust::wacore::libsignal::store::record_helpers::new_pre_key_record;

    use super::*;

    /// As the library makes it.
    fn record(id: u32, private: u8) -> Vec<u8> {
        let private = PrivateKey::deserialize(&[private | 8; 32]).expect("a key");
        let pair = KeyPair::try_from(private).expect("a pair");
        proto::pre_key_record_to_vec(&new_pre_key_record(id, &pair))
    }

    #[test]
    fn a_record_of_the_librarys_form_is_its_keys() {
        for id in [0_u32, 1, 127, 128, 0x00ff_ffff] {
            let record = record(id, id.to_be_bytes()[3]);
            let key = Prekey::new(id, &record, false);
            assert!(matches!(key.key, Key::Pair(..)), "{id}");
            assert_eq!(key.record(id), record);
        }
    }

    #[test]
    fn a_record_of_another_form_is_kept_as_it_came() {
        let whole = record(7, 9);
        let mut longer = whole.clone();
        // An unknown field of a later library.
        longer.extend_from_slice(&[0xf8, 0x01, 0x01]);
        let other_id = record(8, 9);
        for record in [&longer[..], &other_id, b"", b"no protobuf"] {
            let key = Prekey::new(7, record, true);
            assert!(matches!(key.key, Key::Record(_)), "{record:?}");
            assert_eq!(key.record(7), record);
        }
        // A public key of somebody else's is what it was, whatever it is good for.
        let mut other_public = whole;
        other_public[6] ^= 1;
        let key = Prekey::new(7, &other_public, true);
        assert_eq!(key.record(7), other_public);
    }
}
