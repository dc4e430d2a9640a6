//! Messages that were received and decrypted, and that no consumer has confirmed yet.
//!
//! A row is on the disk before WhatsApp hears that the message came. When the message comes a second time, the library asks for the row. "There is none" means to
//! it that the message was dealt with: it confirms it to the server, which then forgets it. So a row that cannot
//! be read or decoded is an error, for which the library does not confirm; and the link ends, by
//! [`Trouble`](super::Trouble), so that no later message of the chat overtakes this one.

use whatsapp_rust::store::{PendingInboundKey, PendingInboundRow};
use whatsapp_rust::wacore::store::error::Result;

use super::sent::{Dated, expiry};
use super::{SpaceBackend, codec, kinds, now, put_packed};
use crate::store::{Change, Durability, Place};

const WHAT: &str = "a received message";

/// Where a pending message lies: an id is unique for its chat and sender only.
pub(super) fn place(chat: &str, sender: &str, id: &str) -> Place {
    let name = codec::joined(&[sender, id]);
    Place::new(kinds::PENDING_INBOUND, chat, name)
}

impl SpaceBackend {
    pub(super) async fn keep_pending(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let _turn = self.turns.pending.lock().await;
        let at = now();
        let changes = rows.iter().map(|row| {
            let message = row.message.to_owned();
            put_packed(place(row.chat, row.sender, row.id), &Dated { at, message })
        });
        let changes = changes.collect::<Result<_>>()?;
        self.sweeps.pending.expect(expiry(at));
        self.commit(changes, Durability::Synced).await
    }

    pub(super) async fn pending(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let place = place(chat, sender, id);
        let row = self.get_packed::<Dated>(&place, WHAT).await?;
        Ok(row.map(|row| row.message))
    }

    /// The consumer has them. If that is forgotten it gets them again.
    pub(super) async fn end_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let changes = keys
            .iter()
            .map(|key| Change::Delete(place(key.chat, key.sender, key.id)));
        self.commit(changes.collect(), Durability::Eventual).await
    }

    pub(super) async fn delete_old_pending(&self, before: i64) -> Result<u32> {
        let _turn = self.turns.pending.lock().await;
        let sweep = &self.sweeps.pending;
        if !sweep.is_due(before) {
            return Ok(0);
        }
        let old = self
            .dated_before(kinds::PENDING_INBOUND, before, WHAT)
            .await?;
        self.sweep_dated(sweep, old, before).await
    }
}
