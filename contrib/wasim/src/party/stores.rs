//! What a party knows, in the form in which the library asks for it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wacore_libsignal::protocol::{
    Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair,
    IdentityKeyStore, KeyPair, PreKeyId, PreKeyRecord, PreKeyStore, ProtocolAddress, SenderKeyName,
    SenderKeyRecord, SenderKeyStore, SessionRecord, SessionStore, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp,
};

use super::{Result, invalid, prekey};
use crate::account::SignedPair;
use crate::crypto::{Bytes, Key, Pair};

/// A record of the library's, which is bytes when written down.
#[derive(Clone)]
struct Record<R>(R);

impl<R> std::fmt::Debug for Record<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Record(..)")
    }
}

impl Serialize for Record<SessionRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = self.0.serialize().map_err(serde::ser::Error::custom)?;
        Bytes(bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record<SessionRecord> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let record = SessionRecord::deserialize(&bytes.0).map_err(D::Error::custom)?;
        Ok(Self(record))
    }
}

impl Serialize for Record<SenderKeyRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = self.0.serialize().map_err(serde::ser::Error::custom)?;
        Bytes(bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record<SenderKeyRecord> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let record = SenderKeyRecord::deserialize(&bytes.0).map_err(D::Error::custom)?;
        Ok(Self(record))
    }
}

/// The sessions with devices, by their addresses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sessions(BTreeMap<String, Record<SessionRecord>>);

impl Sessions {
    pub(super) fn has(&self, address: &ProtocolAddress) -> bool {
        self.0.contains_key(address.as_str())
    }

    pub(super) fn remove(&mut self, address: &ProtocolAddress) {
        self.0.remove(address.as_str());
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address.as_str()).map(|record| record.0.clone()))
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.has(address))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        mut record: SessionRecord,
    ) -> Result<()> {
        // What was written down is what was used: no key is skipped after a restart.
        record.waive_counter_lease();
        self.0.insert(address.as_str().to_owned(), Record(record));
        Ok(())
    }
}

/// The keys of groups: a phone's own, and those of devices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SenderKeys(BTreeMap<String, Record<SenderKeyRecord>>);

impl SenderKeys {
    pub(super) fn remove(&mut self, name: &SenderKeyName) {
        self.0.remove(name.cache_key());
    }

    /// Forgets the keys of a sender, in every group.
    pub(super) fn remove_of(&mut self, sender: &str) {
        let end = format!(":{sender}");
        self.0.retain(|name, _| !name.ends_with(&end));
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        mut record: SenderKeyRecord,
    ) -> Result<()> {
        record.waive_counter_lease()?;
        self.0.insert(name.cache_key().to_owned(), Record(record));
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.get(name.cache_key()).map(|record| record.0.clone()))
    }
}

/// A phone's identity. It trusts whoever the server says a device is.
pub(super) struct Identity {
    pair: IdentityKeyPair,
    registration_id: u32,
}

impl Identity {
    pub(super) fn new(pair: &Pair, registration_id: u32) -> Self {
        let public = IdentityKey::new(*pair.public_key());
        Self {
            pair: IdentityKeyPair::new(public, pair.private_key().clone()),
            registration_id,
        }
    }
}

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.pair.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        _: &ProtocolAddress,
        _: &IdentityKey,
    ) -> Result<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(
        &self,
        _: &ProtocolAddress,
        _: &IdentityKey,
        _: Direction,
    ) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(None)
    }
}

/// The prekeys of a phone, which follow from the server's secret.
#[derive(Clone)]
pub(super) struct Prekeys {
    pub(super) secret: Key,
    pub(super) phone: String,
    pub(super) signed: SignedPair,
}

fn key_pair(pair: &Pair) -> KeyPair {
    KeyPair::new(*pair.public_key(), pair.private_key().clone())
}

#[async_trait]
impl PreKeyStore for Prekeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let pair = prekey(&self.secret, &self.phone, id.into());
        Ok(PreKeyRecord::new(id, &key_pair(&pair)))
    }

    async fn save_pre_key(&mut self, _: PreKeyId, _: &PreKeyRecord) -> Result<()> {
        Ok(())
    }

    async fn remove_pre_key(&mut self, _: PreKeyId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl SignedPreKeyStore for Prekeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        if u32::from(id) != self.signed.id {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(SignedPreKeyRecord::new(
            id,
            Timestamp::from_epoch_millis(0),
            &key_pair(&self.signed.pair),
            &self.signed.signature.0,
        ))
    }

    async fn save_signed_pre_key(
        &mut self,
        _: SignedPreKeyId,
        _: &SignedPreKeyRecord,
    ) -> Result<()> {
        Err(invalid("the signed prekey of a phone stays"))
    }
}
