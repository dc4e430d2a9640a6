//! Identities, sessions, sender keys: what Signal keeps of others. It is all on the disk before a call returns.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use whatsapp_rust::store::SignalStore;
use whatsapp_rust::wacore::store::error::Result;

use super::codec::{self, Damage};
use super::{SpaceBackend, kinds, put_raw};
use crate::store::{Change, Durability, Kind, Place};

/// Where the value of an address lies: `user@server` or `user:device@server`. The group is the user, so that
/// all devices of one can be found.
pub(super) fn place(kind: Kind, address: &str) -> Place {
    let (user, rest) = split(address);
    Place::new(kind, user, rest)
}

fn split(address: &str) -> (&str, &str) {
    let end = address.find(['@', ':']).unwrap_or(address.len());
    address.split_at(end)
}

/// Where a sender key lies.
pub(super) fn sender_key(address: &str) -> Place {
    Place::new(kinds::SENDER_KEY, "", address)
}

fn identity(address: &str, key: &[u8; 32]) -> Change {
    put_raw(place(kinds::IDENTITY, address), key)
}

impl SpaceBackend {
    async fn synced(&self, changes: Vec<Change>) -> Result<()> {
        self.commit(changes, Durability::Synced).await
    }

    /// Whether there is a value of an address `user@...` or `user:...`.
    async fn is_there(&self, kind: Kind, user: &str) -> Result<bool> {
        let (group, _) = split(user);
        let values = self.list(kind, Some(group.as_bytes())).await?;
        // A user has neither sign in it, and then every value of its group is one.
        Ok(values.iter().any(|(place, _)| {
            let address = [&place.group[..], &place.name[..]].concat();
            let rest = address.strip_prefix(user.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"@") || rest.starts_with(b":"))
        }))
    }
}

#[async_trait]
impl SignalStore for SpaceBackend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.synced(vec![identity(address, &key)]).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let changes = identities
            .iter()
            .map(|(address, key)| identity(address, key));
        self.synced(changes.collect()).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        const WHAT: &str = "a contact's identity";
        let place = place(kinds::IDENTITY, address);
        let Some(key) = self.get_raw(&place, WHAT).await? else {
            return Ok(None);
        };
        let key = <[u8; 32]>::try_from(key);
        self.decoded(WHAT, key.map_err(|_| Damage::Senseless("not 32 bytes")))
            .map(Some)
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        let place = place(kinds::IDENTITY, address);
        self.synced(vec![Change::Delete(place)]).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        let place = place(kinds::SESSION, address);
        let record = self.get_raw(&place, "a contact's session").await?;
        Ok(record.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        let place = place(kinds::SESSION, address);
        self.synced(vec![put_raw(place, session)]).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let changes = sessions
            .iter()
            .map(|(address, session)| put_raw(place(kinds::SESSION, address), session));
        self.synced(changes.collect()).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        let place = place(kinds::SESSION, address);
        self.synced(vec![Change::Delete(place)]).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.get_session(address).await?.is_some())
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        Ok(self.is_there(kinds::SESSION, user).await?
            || self.is_there(kinds::IDENTITY, user).await?)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        self.put_prekeys([(id, record)], uploaded).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let keys = keys.iter().map(|(id, record)| (*id, &record[..]));
        self.put_prekeys(keys, uploaded).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        let keys = self.prekeys(&[id]).await?;
        Ok(keys.into_iter().next().map(|(_, record)| record))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        self.prekeys(ids).await
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        self.mark_uploaded(ids).await
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.take_prekey_out(id).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        self.max_prekey().await
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        let place = signed_prekey(id);
        self.synced(vec![put_raw(place, record)]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get_raw(&signed_prekey(id), SIGNED_PREKEY).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut records = Vec::new();
        for (place, value) in self.list(kinds::SIGNED_PREKEY, None).await? {
            let id = <[u8; 4]>::try_from(&place.name[..]);
            let id = id.map_err(|_| Damage::Senseless("its id is not four bytes"));
            let id = u32::from_be_bytes(self.decoded(SIGNED_PREKEY, id)?);
            let record = self.decoded(SIGNED_PREKEY, codec::from_raw(value))?;
            records.push((id, record));
        }
        records.sort_unstable_by_key(|(id, _)| *id);
        Ok(records)
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.synced(vec![Change::Delete(signed_prekey(id))]).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.synced(vec![put_raw(sender_key(address), record)])
            .await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let changes = sender_keys
            .iter()
            .map(|(address, record)| put_raw(sender_key(address), record));
        self.synced(changes.collect()).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.get_raw(&sender_key(address), "a group's sender key")
            .await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.synced(vec![Change::Delete(sender_key(address))]).await
    }
}

const SIGNED_PREKEY: &str = "a signed prekey";

/// Where a signed prekey lies.
pub(super) fn signed_prekey(id: u32) -> Place {
    Place::new(kinds::SIGNED_PREKEY, "", id.to_be_bytes())
}
