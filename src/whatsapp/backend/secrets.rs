//! Secrets of messages: with them votes, edits and replies of bots that refer to a message can be read.
//!
//! There is one for each message of the last weeks, so each is a value of its own. They are spread over groups
//! so that those that have expired can be looked for without holding all in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use whatsapp_rust::store::{
    MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
};
use whatsapp_rust::wacore::store::error::Result;

use super::sent::Old;
use super::{SpaceBackend, codec, kinds, put_packed};
use crate::store::{Change, Durability, Place};

const WHAT: &str = "the secret of a message";

/// How many groups there are.
const GROUPS: u8 = 64;

/// A secret, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Secret {
    pub(super) bytes: Vec<u8>,
    /// 0 is never.
    pub(super) expires_at: i64,
    /// When the message was sent; 0 is unknown.
    pub(super) message_at: i64,
}

/// Where a secret lies.
pub(super) fn place(chat: &str, sender: &str, id: &str) -> Place {
    let name = codec::joined(&[chat, sender, id]);
    let group = codec::spread(&name, GROUPS);
    Place::new(kinds::MESSAGE_SECRET, [group], name)
}

/// The first moment at which it has expired.
const fn expiry(secret: &Secret) -> i64 {
    match secret.expires_at {
        0 => i64::MAX,
        at => at,
    }
}

impl SpaceBackend {
    async fn secret(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Secret>> {
        self.get_packed(&place(chat, sender, id), WHAT).await
    }
}

#[async_trait]
impl MsgSecretStore for SpaceBackend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let _turn = self.turns.secrets.lock().await;
        let count = entries.len();
        let places: Vec<Place> = entries
            .iter()
            .map(|entry| place(&entry.chat, &entry.sender, &entry.msg_id))
            .collect();
        let there = self.get_many(kinds::MESSAGE_SECRET, &places).await?;
        // By name: an entry meets an earlier one of the same list as it meets one that is there.
        let mut merged: BTreeMap<Box<[u8]>, (Place, Secret)> = BTreeMap::new();
        for ((entry, place), value) in entries.into_iter().zip(places).zip(there) {
            let old = match (merged.remove(&place.name), value) {
                (Some((_, old)), _) => Some(old),
                (None, Some(value)) => Some(self.decoded(WHAT, codec::from_packed(&value))?),
                (None, None) => None,
            };
            let MsgSecretEntry {
                chat: _,
                sender: _,
                msg_id: _,
                secret,
                expires_at,
                message_ts,
            } = entry;
            let bytes = secret.to_vec();
            let secret = match old {
                Some(old) => Secret {
                    bytes,
                    expires_at: merge_msg_secret_expiry(old.expires_at, expires_at),
                    message_at: merge_msg_secret_message_ts(old.message_at, message_ts),
                },
                None => Secret {
                    bytes,
                    expires_at,
                    message_at: message_ts,
                },
            };
            merged.insert(place.name.clone(), (place, secret));
        }
        let mut changes = Vec::with_capacity(merged.len());
        for (place, secret) in merged.into_values() {
            self.sweeps.secrets.expect(expiry(&secret));
            changes.push(put_packed(place, &secret)?);
        }
        self.commit(changes, Durability::Eventual).await?;
        Ok(count)
    }

    async fn get_msg_secret(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let secret = self.secret(chat, sender, msg_id).await?;
        Ok(secret.map(|it| it.bytes))
    }

    async fn get_msg_secret_with_ts(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<(Vec<u8>, i64)>> {
        let secret = self.secret(chat, sender, msg_id).await?;
        Ok(secret.map(|it| (it.bytes, it.message_at)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        let _turn = self.turns.secrets.lock().await;
        let sweep = &self.sweeps.secrets;
        if !sweep.is_due(cutoff_timestamp) {
            return Ok(0);
        }
        let mut old = Old::default();
        for group in 0..GROUPS {
            for (place, value) in self.list(kinds::MESSAGE_SECRET, Some(&[group])).await? {
                let secret: Secret = self.decoded(WHAT, codec::from_packed(&value))?;
                if expiry(&secret) <= cutoff_timestamp && secret.expires_at != 0 {
                    old.changes.push(Change::Delete(place));
                } else {
                    old.left += 1;
                    old.earliest = old.earliest.min(expiry(&secret));
                }
            }
        }
        self.sweep_dated(sweep, old, cutoff_timestamp).await
    }
}
