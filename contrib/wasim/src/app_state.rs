//! App state as the phone writes it: settings in encrypted records, and hashes over each collection.
//!
//! A collection is a list of patches. The server sees neither names nor values. It sees which record each
//! change is about (by a keyed hash), and which hash the value adds to the collection.

use std::collections::BTreeMap;

use buffa::{EnumValue, Message as _, MessageField};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;
use wacore_libsignal::crypto::aes_256_cbc_encrypt_into;
use waproto::whatsapp::sync_action_value::PushNameSetting;
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{
    KeyId, SyncActionData, SyncActionValue, SyncdIndex, SyncdMutation, SyncdPatch, SyncdRecord,
    SyncdValue, SyncdVersion,
};

use crate::account::{Account, SyncKey};
use crate::crypto::{Bytes, Key, hkdf_sha256, hmac_sha256, random};

/// The collection that a client needs before it is ready. It has the account's name.
pub(crate) const CRITICAL_BLOCK: &str = "critical_block";

/// What each purpose derives from the account's key.
struct Keys {
    index: [u8; 32],
    value: [u8; 32],
    value_mac: [u8; 32],
    snapshot_mac: [u8; 32],
    patch_mac: [u8; 32],
}

impl Keys {
    fn new(key: &Key) -> Self {
        let mut out = [0; 160];
        hkdf_sha256(&key.0, None, b"WhatsApp Mutation Keys", &mut out);
        let mut parts = out.chunks_exact(32).map(|part| {
            let part: [u8; 32] = part
                .try_into()
                .expect("invariant: the chunks are of 32 bytes");
            part
        });
        let mut part = || parts.next().expect("invariant: 160 bytes are five keys");
        Self {
            index: part(),
            value: part(),
            value_mac: part(),
            snapshot_mac: part(),
            patch_mac: part(),
        }
    }
}

impl Account {
    /// Writes the account's name into its app state. Returns the collection's new version.
    pub(crate) fn publish_push_name(&mut self, now: u64) -> usize {
        let value = SyncActionValue {
            timestamp: i64::try_from(now * 1000).ok(),
            push_name_setting: MessageField::some(PushNameSetting {
                name: Some(self.push_name.clone()),
            }),
            ..SyncActionValue::default()
        };
        let patches = self
            .collections
            .entry(CRITICAL_BLOCK.to_owned())
            .or_default();
        let change = mutation(&self.sync_key, br#"["setting_pushName"]"#, value);
        let patch = patch(&self.sync_key, CRITICAL_BLOCK, patches, change);
        patches.push(Bytes(patch.encode_to_vec()));
        patches.len()
    }

    /// Appends a patch that a device made for `version`. None when the collection is further than
    /// that, or it is no patch.
    pub(crate) fn append_patch(
        &mut self,
        collection: &str,
        version: usize,
        patch: &[u8],
    ) -> Option<usize> {
        let mut patch = SyncdPatch::decode_from_slice(patch).ok()?;
        let patches = self.collections.entry(collection.to_owned()).or_default();
        if patches.len() != version {
            return None;
        }
        patch.version = version_number(version + 1);
        patches.push(Bytes(patch.encode_to_vec()));
        Some(patches.len())
    }
}

/// The patch with values that nobody can decrypt: a bit of each is wrong.
pub(crate) fn garbled(patch: &[u8]) -> Vec<u8> {
    let Ok(mut patch) = SyncdPatch::decode_from_slice(patch) else {
        return patch.to_vec();
    };
    for change in &mut patch.mutations {
        if let Some(record) = change.record.as_option_mut()
            && let Some(value) = record.value.as_option_mut()
            && let Some(first) = value.blob.as_mut().and_then(|blob| blob.first_mut())
        {
            *first ^= 1;
        }
    }
    patch.encode_to_vec()
}

/// One record, set to `value`.
fn mutation(key: &SyncKey, index: &[u8], value: SyncActionValue) -> SyncdMutation {
    let keys = Keys::new(&key.key);
    let plain = SyncActionData {
        index: Some(index.to_vec()),
        value: MessageField::some(value),
        padding: Some(Vec::new()),
        version: Some(1),
    }
    .encode_to_vec();
    let iv = random::<16>();
    let mut sealed = Vec::new();
    aes_256_cbc_encrypt_into(&plain, &keys.value, &iv, &mut sealed)
        .expect("invariant: AES-256-CBC takes a key of 32 and a vector of 16 bytes");
    let mut blob = [iv.as_slice(), &sealed].concat();
    blob.extend(value_mac(&keys, &key.id.0, &blob));
    SyncdMutation {
        operation: Some(EnumValue::Known(SyncdOperation::SET)),
        record: MessageField::some(SyncdRecord {
            index: MessageField::some(SyncdIndex {
                blob: Some(hmac_sha256(&keys.index, &[index]).to_vec()),
            }),
            value: MessageField::some(SyncdValue { blob: Some(blob) }),
            key_id: key_id(key),
        }),
    }
}

/// The hash of a value that is being set.
fn value_mac(keys: &Keys, key_id: &[u8], sealed: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha512>::new_from_slice(&keys.value_mac)
        .expect("invariant: HMAC takes a key of any length");
    mac.update(&[1]);
    mac.update(key_id);
    mac.update(sealed);
    mac.update(&(key_id.len() as u64 + 1).to_be_bytes());
    let mut half = [0; 32];
    half.copy_from_slice(&mac.finalize().into_bytes()[..32]);
    half
}

/// A patch with one change, to follow `before`.
fn patch(key: &SyncKey, collection: &str, before: &[Bytes], change: SyncdMutation) -> SyncdPatch {
    let keys = Keys::new(&key.key);
    let version = (before.len() as u64 + 1).to_be_bytes();
    let mut contents = Contents::default();
    for patch in before {
        if let Ok(patch) = SyncdPatch::decode_from_slice(&patch.0) {
            patch
                .mutations
                .iter()
                .for_each(|change| contents.apply(change));
        }
    }
    contents.apply(&change);
    let name = collection.as_bytes();
    let snapshot_mac = hmac_sha256(&keys.snapshot_mac, &[&contents.sum(), &version, name]);
    let value_mac = tail(&change).unwrap_or_default();
    let patch_mac = hmac_sha256(
        &keys.patch_mac,
        &[&snapshot_mac, &value_mac, &version, name],
    );
    SyncdPatch {
        version: version_number(before.len() + 1),
        mutations: vec![change],
        snapshot_mac: Some(snapshot_mac.to_vec()),
        patch_mac: Some(patch_mac.to_vec()),
        key_id: key_id(key),
        ..SyncdPatch::default()
    }
}

/// Which records a collection has, and the hash of each value.
#[derive(Default)]
struct Contents {
    records: BTreeMap<Vec<u8>, [u8; 32]>,
}

impl Contents {
    fn apply(&mut self, change: &SyncdMutation) {
        let index = change.record.index.blob.clone().unwrap_or_default();
        let removes = matches!(
            change.operation,
            Some(EnumValue::Known(SyncdOperation::REMOVE))
        );
        match tail(change) {
            Some(mac) if !removes => self.records.insert(index, mac),
            _ => self.records.remove(&index),
        };
    }

    /// The sum of the values' hashes, which does not depend on their order.
    fn sum(&self) -> [u8; 128] {
        let mut sum = [0u8; 128];
        for mac in self.records.values() {
            let mut wide = [0u8; 128];
            hkdf_sha256(mac, None, b"WhatsApp Patch Integrity", &mut wide);
            for (sum, wide) in sum.chunks_exact_mut(2).zip(wide.chunks_exact(2)) {
                let total = u16::from_le_bytes([sum[0], sum[1]])
                    .wrapping_add(u16::from_le_bytes([wide[0], wide[1]]));
                sum.copy_from_slice(&total.to_le_bytes());
            }
        }
        sum
    }
}

/// The hash at the end of a change's value.
fn tail(change: &SyncdMutation) -> Option<[u8; 32]> {
    change
        .record
        .value
        .blob
        .as_deref()?
        .last_chunk::<32>()
        .copied()
}

fn key_id(key: &SyncKey) -> MessageField<KeyId> {
    MessageField::some(KeyId {
        id: Some(key.id.0.clone()),
    })
}

fn version_number(version: usize) -> MessageField<SyncdVersion> {
    MessageField::some(SyncdVersion {
        version: Some(version as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(account: &Account) -> Vec<SyncdPatch> {
        let patches = &account.collections[CRITICAL_BLOCK];
        patches
            .iter()
            .map(|patch| SyncdPatch::decode_from_slice(&patch.0).unwrap())
            .collect()
    }

    #[test]
    fn setting_a_name_again_replaces_its_record() {
        let mut account = Account::new(&Key([1; 32]), "15550001001", 0);
        account.push_name = "Other".to_owned();
        assert_eq!(account.publish_push_name(1), 2);
        let mut contents = Contents::default();
        for patch in decoded(&account) {
            patch
                .mutations
                .iter()
                .for_each(|change| contents.apply(change));
        }
        assert_eq!(contents.records.len(), 1);
        let last = decoded(&account).pop().unwrap();
        assert_eq!(last.version.version, Some(2));
        assert_eq!(
            contents.records.values().next(),
            tail(&last.mutations[0]).as_ref()
        );
    }

    #[test]
    fn a_garbled_patch_is_one_with_other_values() {
        let account = Account::new(&Key([1; 32]), "15550001001", 0);
        let stored = &account.collections[CRITICAL_BLOCK][0].0;
        let garbled = SyncdPatch::decode_from_slice(&garbled(stored)).unwrap();
        let whole = &decoded(&account)[0];
        assert_eq!(garbled.version.version, whole.version.version);
        let value = |patch: &SyncdPatch| patch.mutations[0].record.value.blob.clone();
        assert_ne!(value(&garbled), value(whole));
        assert_eq!(tail(&garbled.mutations[0]), tail(&whole.mutations[0]));
    }

    #[test]
    fn a_devices_patch_is_taken_only_on_top_of_the_latest() {
        let mut account = Account::new(&Key([1; 32]), "15550001001", 0);
        let patch = account.collections[CRITICAL_BLOCK][0].0.clone();
        assert_eq!(account.append_patch(CRITICAL_BLOCK, 0, &patch), None);
        assert_eq!(account.append_patch(CRITICAL_BLOCK, 1, &patch), Some(2));
        assert_eq!(decoded(&account)[1].version.version, Some(2));
        assert_eq!(account.append_patch("regular", 0, b"\xff"), None);
        assert_eq!(account.append_patch("regular", 0, &patch), Some(1));
    }
}
