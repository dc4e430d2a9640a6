//! A phone, its account, and the devices linked to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use crate::Error;
use crate::crypto::{Bytes, Key, Pair, random};
use crate::group::Group;
use crate::settings::Settings;

/// The highest number of a linked device. The first one is 1, and the phone itself is 0. A number is used
/// again as late as possible.
const LAST_DEVICE: u16 = 99;

/// One account, with the phone that owns it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub phone: String,
    /// The number under which other people see the account.
    pub lid: String,
    pub push_name: String,
    pub identity: Pair,
    pub registration_id: u32,
    pub signed_prekey: SignedPair,
    pub raw_id: u32,
    pub sync_key: SyncKey,
    pub groups: Vec<Group>,
    /// What is in each collection of the app state, as patches, oldest first.
    pub collections: BTreeMap<String, Vec<Bytes>>,
    pub devices: BTreeMap<u16, Device>,
    #[serde(default)]
    pub settings: Settings,
    last_device: u16,
    last_key_index: u32,
}

/// A linked device, as the server knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    pub id: u16,
    pub key_index: u32,
    pub name: String,
    pub noise_key: Key,
    pub identity: Key,
    pub registration_id: u32,
    pub linked_at: u64,
    /// The encoded `ADVSignedDeviceIdentity`, with both signatures.
    pub signed_identity: Bytes,
    pub signed_prekey: PublicPreKey,
    pub prekeys: Vec<PublicPreKey>,
    /// Whether the phone has shared its app-state keys with it.
    pub keys_shared: bool,
}

/// A key pair of the phone's with the account's signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignedPair {
    pub id: u32,
    pub pair: Pair,
    pub signature: Bytes,
}

/// A prekey that a device has uploaded. Signed ones carry a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicPreKey {
    pub id: u32,
    pub key: Key,
    #[serde(default)]
    pub signature: Bytes,
}

/// The key that an account's app state is encrypted with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SyncKey {
    pub id: Bytes,
    pub key: Key,
    pub created: u64,
}

/// What everybody can see of a person: they follow from the server's secret and the number, so that somebody whose
/// phone is simulated only later keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub identity: Pair,
    pub registration_id: u32,
    pub signed_prekey: SignedPair,
}

impl Person {
    pub(crate) fn new(secret: &Key, phone: &str) -> Self {
        let identity = Pair::derive(secret, &format!("identity of {phone}"));
        let pair = Pair::derive(secret, &format!("prekey of {phone}"));
        let signature = identity.sign(&pair.public_key().serialize());
        let [high, low, ..] = pair.public();
        Self {
            identity,
            registration_id: u32::from(u16::from_be_bytes([high, low]) & 0x3fff),
            signed_prekey: SignedPair {
                id: 1,
                pair,
                signature: Bytes(signature.to_vec()),
            },
        }
    }
}

/// The number under which other people see the owner of a phone.
pub(crate) fn lid_of(phone: &str) -> String {
    format!("1{phone:0>14}")
}

/// The phone of whom other people see under this number.
pub(crate) fn phone_of(lid: &str) -> Option<String> {
    let padded = lid.strip_prefix('1').filter(|rest| rest.len() >= 14)?;
    phone_number(padded.trim_start_matches('0')).ok()
}

impl Account {
    /// A new account for a phone, with a name and two groups. `secret` is the server's; `now` in seconds since 1970.
    pub(crate) fn new(secret: &Key, phone: &str, now: u64) -> Self {
        let person = Person::new(secret, phone);
        let tail = &phone[phone.len().saturating_sub(4)..];
        let mut account = Self {
            phone: phone.to_owned(),
            lid: lid_of(phone),
            push_name: format!("Rehearsal {tail}"),
            registration_id: person.registration_id,
            signed_prekey: person.signed_prekey,
            raw_id: u32::from_be_bytes(random()) & 0x7fff_ffff,
            sync_key: SyncKey {
                id: Bytes(random::<6>().to_vec()),
                key: Key(random()),
                created: now,
            },
            groups: vec![
                Group::new(&format!("1203630{phone}1@g.us"), "Rehearsal Room"),
                Group::new(&format!("1203630{phone}2@g.us"), "Stage Crew"),
            ],
            identity: person.identity,
            collections: BTreeMap::new(),
            devices: BTreeMap::new(),
            settings: Settings::default(),
            last_device: 0,
            last_key_index: 0,
        };
        account.publish_push_name(now);
        account
    }

    /// The number of the next device, and the index of its key. None when all are taken.
    pub(crate) fn next_device(&mut self) -> Option<(u16, u32)> {
        let id = (0..LAST_DEVICE)
            .map(|step| (self.last_device + step) % LAST_DEVICE + 1)
            .find(|id| !self.devices.contains_key(id))?;
        self.last_device = id;
        self.last_key_index += 1;
        Some((id, self.last_key_index))
    }

    /// What everybody can see of the phone's owner.
    pub(crate) fn person(&self) -> Person {
        Person {
            identity: self.identity.clone(),
            registration_id: self.registration_id,
            signed_prekey: self.signed_prekey.clone(),
        }
    }

    /// The private keys of the phone, the key it shares with its devices, and the keys that its
    /// devices show in QR codes.
    pub(crate) fn secrets(&self) -> Vec<Key> {
        let own = [
            Key::from(self.identity.clone()),
            Key::from(self.signed_prekey.pair.clone()),
            self.sync_key.key,
        ];
        let devices = self.devices.values();
        let shown = devices.flat_map(|device| [device.noise_key, device.identity]);
        own.into_iter().chain(shown).collect()
    }

    pub(crate) fn jid(&self, device: u16) -> Jid {
        Jid::pn_device(self.phone.as_str(), device)
    }

    pub(crate) fn lid(&self, device: u16) -> Jid {
        Jid::lid_device(self.lid.as_str(), device)
    }
}

#[cfg(test)]
impl Device {
    pub(crate) fn for_test(id: u16) -> Self {
        let prekey = PublicPreKey {
            id: 1,
            key: Key([1; 32]),
            signature: Bytes::default(),
        };
        Self {
            id,
            key_index: u32::from(id),
            name: "test".to_owned(),
            noise_key: Key([2; 32]),
            identity: Key([3; 32]),
            registration_id: 7,
            linked_at: 0,
            signed_identity: Bytes::default(),
            signed_prekey: prekey,
            prekeys: Vec::new(),
            keys_shared: false,
        }
    }
}

/// A phone number as it is written in JIDs: digits only.
pub(crate) fn phone_number(text: &str) -> Result<String, Error> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits && !digits.starts_with('0') {
        Ok(digits.to_owned())
    } else {
        Err(Error::BadPhone(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_back_late_and_only_when_free() {
        let mut account = Account::new(&Key([1; 32]), "15550001001", 0);
        let first: Vec<u16> = (0..100)
            .filter_map(|_| account.next_device())
            .map(|next| next.0)
            .collect();
        assert_eq!(first[..3], [1, 2, 3]);
        assert_eq!(first[98..], [99, 1]);
        assert_eq!(account.next_device(), Some((2, 101)));
    }

    #[test]
    fn hidden_numbers_lead_back_to_their_phones() {
        for phone in ["15550001001", "4915150001001", "155500010012345", "1234567"] {
            assert_eq!(phone_of(&lid_of(phone)).as_deref(), Some(phone));
        }
        for other in ["", "1", "200015550001001", "1000", "100000000000000"] {
            assert_eq!(phone_of(other), None, "{other}");
        }
    }

    #[test]
    fn phone_numbers_are_digits_with_a_country_code() {
        assert_eq!(phone_number("+15550001001").unwrap(), "15550001001");
        for bad in [
            "",
            "123456",
            "0155500010",
            "1555 000",
            "1234567890123456",
            "1555000x",
            "../etc",
        ] {
            assert!(phone_number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn jids_are_written_as_clients_write_them() {
        let account = Account::new(&Key([1; 32]), "15550001001", 0);
        assert_eq!(account.jid(3).to_string(), "15550001001:3@s.whatsapp.net");
        assert_eq!(account.jid(0).to_string(), "15550001001@s.whatsapp.net");
        assert_eq!(account.lid(3).to_string(), "100015550001001:3@lid");
    }
}
