//! A person's phone as a party of Signal conversations: its sessions with devices, and the keys of its groups.
//!
//! Everything is done at once and in memory, under the lock of the world: the library's stores are asynchronous, these
//! never make anybody wait.

mod stores;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{
    CiphertextMessage, IdentityKey, PreKeyBundle, PreKeySignalMessage, ProtocolAddress,
    SenderKeyDistributionMessage, SenderKeyName, SignalMessage, SignalProtocolError, UsePQRatchet,
    create_sender_key_distribution_message, group_decrypt, group_encrypt, message_decrypt,
    message_encrypt, process_prekey_bundle, process_sender_key_distribution_message,
};

use crate::account::{Device, Person, PublicPreKey};
use crate::crypto::{Bytes, Key, Pair, random};

use self::stores::{Identity, Prekeys, SenderKeys, Sessions};

pub(crate) type Result<T> = std::result::Result<T, SignalProtocolError>;

/// A device of somebody's: a phone number and the number of the device, 0 for the phone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub phone: String,
    pub device: u16,
}

impl Address {
    pub(crate) fn new(phone: &str, device: u16) -> Self {
        Self {
            phone: phone.to_owned(),
            device,
        }
    }

    fn protocol(&self) -> ProtocolAddress {
        ProtocolAddress::new(&self.phone, u32::from(self.device).into())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.phone, self.device)
    }
}

/// Something encrypted, with its kind in the protocol's words.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

/// A person's phone. What it knows is kept over restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Party {
    sessions: Sessions,
    sender_keys: SenderKeys,
    /// Which devices have this phone's key of a group.
    given: BTreeMap<String, BTreeSet<String>>,
    /// The number of the last one-time prekey that was given out.
    last_prekey: u32,
    /// Its own keys, which follow from the server's secret.
    #[serde(skip)]
    own: Option<OwnKeys>,
}

/// The keys of a phone.
#[derive(Clone, Debug)]
struct OwnKeys {
    secret: Key,
    phone: String,
    person: Person,
}

/// The bundle with which a device starts a session with a phone.
pub(crate) struct OfferedKeys {
    pub registration_id: u32,
    pub identity: Key,
    pub signed_prekey: PublicPreKey,
    pub prekey: PublicPreKey,
}

impl Party {
    /// Gives the party its keys, unless it has them.
    pub(crate) fn own_keys(&mut self, secret: &Key, phone: &str, person: impl FnOnce() -> Person) {
        if self.own.is_none() {
            self.own = Some(OwnKeys {
                secret: *secret,
                phone: phone.to_owned(),
                person: person(),
            });
        }
    }

    fn own(&self) -> Result<&OwnKeys> {
        self.own
            .as_ref()
            .ok_or_else(|| invalid("a party without keys"))
    }

    fn identity(&self) -> Result<Identity> {
        let own = self.own()?;
        Ok(Identity::new(
            &own.person.identity,
            own.person.registration_id,
        ))
    }

    /// Keys for a device that wants to write, with a one-time prekey of their own.
    pub(crate) fn offer(&mut self) -> Result<OfferedKeys> {
        self.last_prekey = self.last_prekey % 0x00ff_ffff + 1;
        let id = self.last_prekey;
        let own = self.own()?;
        let signed = &own.person.signed_prekey;
        Ok(OfferedKeys {
            registration_id: own.person.registration_id,
            identity: Key(own.person.identity.public()),
            signed_prekey: PublicPreKey {
                id: signed.id,
                key: Key(signed.pair.public()),
                signature: signed.signature.clone(),
            },
            prekey: PublicPreKey {
                id,
                key: Key(prekey(&own.secret, &own.phone, id).public()),
                signature: Bytes::default(),
            },
        })
    }

    pub(crate) fn has_session(&self, with: &Address) -> bool {
        self.sessions.has(&with.protocol())
    }

    /// Starts a session with a device. An older one stays readable.
    pub(crate) fn meet(&mut self, with: &Address, bundle: &PreKeyBundle) -> Result<()> {
        let mut identity = self.identity()?;
        at_once(process_prekey_bundle(
            &with.protocol(),
            &mut self.sessions,
            &mut identity,
            bundle,
            &mut rng(),
            UsePQRatchet::No,
        ))
        .map(drop)
    }

    /// Forgets the session with a device, and what it knows of the device's groups.
    pub(crate) fn forget(&mut self, device: &Address) {
        let name = device.to_string();
        self.sessions.remove(&device.protocol());
        self.sender_keys.remove_of(&name);
        for given in self.given.values_mut() {
            given.remove(&name);
        }
    }

    /// Encrypts for a device with which there is a session.
    pub(crate) fn encrypt(&mut self, to: &Address, text: &[u8]) -> Result<Sealed> {
        let mut identity = self.identity()?;
        let sealed = at_once(message_encrypt(
            &padded(text),
            &to.protocol(),
            &mut self.sessions,
            &mut identity,
        ))?;
        match sealed {
            CiphertextMessage::PreKeySignalMessage(message) => Ok(Sealed {
                kind: "pkmsg",
                bytes: message.serialized().to_vec(),
            }),
            CiphertextMessage::SignalMessage(message) => Ok(Sealed {
                kind: "msg",
                bytes: message.serialized().to_vec(),
            }),
            _ => Err(invalid("not a message of two parties")),
        }
    }

    /// Decrypts what a device has sent this phone alone.
    pub(crate) fn decrypt(&mut self, from: &Address, kind: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let message = match kind {
            "pkmsg" => {
                CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(sealed)?)
            }
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(sealed)?),
            _ => return Err(invalid("neither pkmsg nor msg")),
        };
        let own = self.own()?;
        let mut identity = self.identity()?;
        let mut prekeys = Prekeys {
            secret: own.secret,
            phone: own.phone.clone(),
            signed: own.person.signed_prekey.clone(),
        };
        let signed = prekeys.clone();
        let opened = at_once(message_decrypt(
            &message,
            &from.protocol(),
            &mut self.sessions,
            &mut identity,
            &mut prekeys,
            &signed,
            &mut rng(),
            UsePQRatchet::No,
        ))?;
        unpadded(opened.plaintext)
    }

    /// The devices among these that lack this phone's key of a group; from now on they are taken to have it.
    pub(crate) fn give_group_key(&mut self, group: &str, devices: &[Address]) -> Vec<Address> {
        let given = self.given.entry(group.to_owned()).or_default();
        let new = devices
            .iter()
            .filter(|device| given.insert(device.to_string()));
        new.cloned().collect()
    }

    /// This phone's key of a group, made if there is none.
    pub(crate) fn group_key(&mut self, group: &str) -> Result<Vec<u8>> {
        let name = self.own_name(group)?;
        let key = at_once(create_sender_key_distribution_message(
            &name,
            &mut self.sender_keys,
            &mut rng(),
        ))?;
        Ok(key.serialized().to_vec())
    }

    /// Throws this phone's key of a group away: nobody has the next one.
    pub(crate) fn renew_group_key(&mut self, group: &str) -> Result<()> {
        let name = self.own_name(group)?;
        self.sender_keys.remove(&name);
        self.given.remove(group);
        Ok(())
    }

    /// Encrypts for a group.
    pub(crate) fn encrypt_for_group(&mut self, group: &str, text: &[u8]) -> Result<Sealed> {
        self.group_key(group)?;
        let name = self.own_name(group)?;
        let sealed = at_once(group_encrypt(
            &mut self.sender_keys,
            &name,
            &padded(text),
            &mut rng(),
        ))?;
        Ok(Sealed {
            kind: "skmsg",
            bytes: sealed.serialized().to_vec(),
        })
    }

    /// Takes the key of a device for a group.
    pub(crate) fn take_group_key(&mut self, group: &str, of: &Address, key: &[u8]) -> Result<()> {
        let key = SenderKeyDistributionMessage::try_from(key)?;
        at_once(process_sender_key_distribution_message(
            &SenderKeyName::from_parts(group, &of.to_string()),
            &key,
            &mut self.sender_keys,
        ))
    }

    /// Decrypts what a device has sent to a group.
    pub(crate) fn decrypt_of_group(
        &mut self,
        group: &str,
        from: &Address,
        sealed: &[u8],
    ) -> Result<Vec<u8>> {
        let name = SenderKeyName::from_parts(group, &from.to_string());
        unpadded(at_once(group_decrypt(
            sealed,
            &mut self.sender_keys,
            &name,
        ))?)
    }

    fn own_name(&self, group: &str) -> Result<SenderKeyName> {
        Ok(SenderKeyName::from_parts(group, &self.own()?.phone))
    }
}

/// The bundle of a device, with one of its one-time prekeys if there is one.
pub(crate) fn bundle(device: &Device, prekey: Option<&PublicPreKey>) -> Result<PreKeyBundle> {
    Bundle {
        registration_id: device.registration_id,
        device: device.id,
        identity: device.identity,
        signed: &device.signed_prekey,
        prekey,
    }
    .build()
}

/// What a bundle is made of.
pub(crate) struct Bundle<'a> {
    pub registration_id: u32,
    pub device: u16,
    pub identity: Key,
    pub signed: &'a PublicPreKey,
    pub prekey: Option<&'a PublicPreKey>,
}

impl Bundle<'_> {
    pub(crate) fn build(self) -> Result<PreKeyBundle> {
        let none = || SignalProtocolError::InvalidArgument("a device's key is none".to_owned());
        let one_time = match self.prekey {
            Some(prekey) => Some((prekey.id.into(), prekey.key.public().ok_or_else(none)?)),
            None => None,
        };
        PreKeyBundle::new(
            self.registration_id,
            u32::from(self.device).into(),
            one_time,
            self.signed.id.into(),
            self.signed.key.public().ok_or_else(none)?,
            self.signed.signature.0.clone(),
            IdentityKey::new(self.identity.public().ok_or_else(none)?),
        )
    }
}

/// The same ciphertext with a wrong check sum: nobody can read it.
pub(crate) fn spoil(sealed: &mut Sealed) {
    let end = match sealed.kind {
        // The message in it has the sum at its end.
        "pkmsg" => PreKeySignalMessage::try_from(sealed.bytes.as_slice())
            .ok()
            .and_then(|message| {
                let inner = message.message().serialized().to_vec();
                let at = sealed
                    .bytes
                    .windows(inner.len())
                    .position(|window| window == inner)?;
                Some(at + inner.len())
            }),
        _ => None,
    };
    let end = end.unwrap_or(sealed.bytes.len());
    if let Some(byte) = sealed.bytes[..end].last_mut() {
        *byte ^= 1;
    }
}

/// A one-time prekey of a phone. They all follow from the server's secret.
fn prekey(secret: &Key, phone: &str, id: u32) -> Pair {
    Pair::derive(secret, &format!("one-time prekey {id} of {phone}"))
}

fn rng() -> rand::rngs::StdRng {
    rand::make_rng()
}

/// The result of something that never waits.
fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never()
        .unwrap_or_else(|| Err(invalid("a store in memory made somebody wait")))
}

fn invalid(what: &str) -> SignalProtocolError {
    SignalProtocolError::InvalidState("party", what.to_owned())
}

/// Plain texts are padded with 1 to 16 bytes that say how many they are.
fn padded(text: &[u8]) -> Vec<u8> {
    let [random] = random::<1>();
    let count = random % 16 + 1;
    let mut padded = text.to_vec();
    padded.resize(text.len() + usize::from(count), count);
    padded
}

fn unpadded(mut text: Vec<u8>) -> Result<Vec<u8>> {
    let count = text.last().copied().map(usize::from);
    let count = count.filter(|count| (1..=16).contains(count) && *count <= text.len());
    let count = count.ok_or_else(|| invalid("a text without padding"))?;
    text.truncate(text.len() - count);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(phone: &str) -> Party {
        let secret = Key([7; 32]);
        let mut party = Party::default();
        party.own_keys(&secret, phone, || Person::new(&secret, phone));
        party
    }

    /// Two phones, of which the first has met the second.
    fn met() -> (Party, Party, Address, Address) {
        let (mut anna, mut ben) = (party("15550001001"), party("15559990001"));
        let (to_ben, to_anna) = (
            Address::new("15559990001", 0),
            Address::new("15550001001", 0),
        );
        let offer = ben.offer().unwrap();
        let bundle = Bundle {
            registration_id: offer.registration_id,
            device: 0,
            identity: offer.identity,
            signed: &offer.signed_prekey,
            prekey: Some(&offer.prekey),
        };
        anna.meet(&to_ben, &bundle.build().unwrap()).unwrap();
        (anna, ben, to_anna, to_ben)
    }

    #[test]
    fn two_phones_talk_over_being_written_down() {
        let (mut anna, mut ben, to_anna, to_ben) = met();
        for round in 0..5 {
            let text = format!("round {round}");
            let sealed = anna.encrypt(&to_ben, text.as_bytes()).unwrap();
            assert_eq!(sealed.kind, if round == 0 { "pkmsg" } else { "msg" });
            let opened = ben.decrypt(&to_anna, sealed.kind, &sealed.bytes);
            assert_eq!(opened.unwrap(), text.as_bytes());
            let answer = ben.encrypt(&to_anna, b"heard").unwrap();
            assert_eq!(answer.kind, "msg");
            let opened = anna.decrypt(&to_ben, answer.kind, &answer.bytes);
            assert_eq!(opened.unwrap(), b"heard");
            for party in [&mut anna, &mut ben] {
                let text = serde_json::to_string(party).unwrap();
                let own = party.own.take();
                *party = serde_json::from_str(&text).unwrap();
                party.own = own;
            }
        }
    }

    #[test]
    fn what_is_spoiled_is_not_read_and_the_next_is() {
        let (mut anna, mut ben, to_anna, to_ben) = met();
        for _ in 0..2 {
            let mut sealed = anna.encrypt(&to_ben, b"text").unwrap();
            spoil(&mut sealed);
            assert!(ben.decrypt(&to_anna, sealed.kind, &sealed.bytes).is_err());
            let sealed = anna.encrypt(&to_ben, b"text").unwrap();
            let opened = ben.decrypt(&to_anna, sealed.kind, &sealed.bytes);
            assert_eq!(opened.unwrap(), b"text");
            let answer = ben.encrypt(&to_anna, b"heard").unwrap();
            assert!(
                anna.decrypt(&to_ben, answer.kind, &answer.bytes).is_ok(),
                "the next round is of the other kind"
            );
        }
    }

    #[test]
    fn a_group_is_read_by_whoever_has_the_key_of_its_writer() {
        let group = "1203630001@g.us";
        let (mut anna, mut ben) = (party("15550001001"), party("15559990001"));
        let from = Address::new("15550001001", 0);
        let sealed = anna.encrypt_for_group(group, b"to all").unwrap();
        assert!(ben.decrypt_of_group(group, &from, &sealed.bytes).is_err());
        let key = anna.group_key(group).unwrap();
        ben.take_group_key(group, &from, &key).unwrap();
        let sealed = anna.encrypt_for_group(group, b"to all").unwrap();
        let opened = ben.decrypt_of_group(group, &from, &sealed.bytes);
        assert_eq!(opened.unwrap(), b"to all");
        let mut spoiled = anna.encrypt_for_group(group, b"to all").unwrap();
        spoil(&mut spoiled);
        assert!(ben.decrypt_of_group(group, &from, &spoiled.bytes).is_err());

        let devices = [
            Address::new("15550002001", 1),
            Address::new("15550002001", 2),
        ];
        assert_eq!(anna.give_group_key(group, &devices[..1]), devices[..1]);
        assert_eq!(anna.give_group_key(group, &devices), devices[1..]);
        anna.renew_group_key(group).unwrap();
        let sealed = anna.encrypt_for_group(group, b"to all").unwrap();
        assert!(ben.decrypt_of_group(group, &from, &sealed.bytes).is_err());
        assert_eq!(anna.give_group_key(group, &devices), devices);
    }

    #[test]
    fn padding_is_taken_off_again() {
        for length in [0, 1, 15, 16, 100] {
            let text = vec![3; length];
            assert_eq!(unpadded(padded(&text)).unwrap(), text);
        }
        for bad in [vec![], vec![0], vec![2], vec![17; 17]] {
            assert!(unpadded(bad).is_err());
        }
    }
}
