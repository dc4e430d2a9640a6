//! Messages that were sent, for a recipient that could not read one and asks again.

use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::store::error::Result;

use super::{SpaceBackend, codec, kinds, now, put_packed};
use crate::store::{Change, Durability, Place};

const WHAT: &str = "a sent message";

/// A message with the moment at which it was put there. Pending ones have the same form.
#[derive(Serialize, Deserialize)]
pub(super) struct Dated {
    pub(super) at: i64,
    pub(super) message: Vec<u8>,
}

/// Where a sent message lies.
pub(super) fn place(chat: &str, id: &str) -> Place {
    Place::new(kinds::SENT_MESSAGE, chat, id)
}

/// The first moment at which a message of this age is older than a limit that is this moment.
pub(super) const fn expiry(at: i64) -> i64 {
    at.saturating_add(1)
}

impl SpaceBackend {
    pub(super) async fn keep_sent(&self, chat: &str, id: &str, message: &[u8]) -> Result<()> {
        let _turn = self.turns.sent.lock().await;
        let sent = Dated {
            at: now(),
            message: message.to_owned(),
        };
        let change = put_packed(place(chat, id), &sent)?;
        self.sweeps.sent.expect(expiry(sent.at));
        self.commit(vec![change], Durability::Eventual).await
    }

    /// Gives it away: it is not sent again twice.
    pub(super) async fn take_sent(&self, chat: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let _turn = self.turns.sent.lock().await;
        let place = place(chat, id);
        let Some(sent) = self.get_packed::<Dated>(&place, WHAT).await? else {
            return Ok(None);
        };
        self.commit(vec![Change::Delete(place)], Durability::Eventual)
            .await?;
        Ok(Some(sent.message))
    }

    pub(super) async fn delete_old_sent(&self, before: i64) -> Result<u32> {
        let _turn = self.turns.sent.lock().await;
        let sweep = &self.sweeps.sent;
        if !sweep.is_due(before) {
            return Ok(0);
        }
        let old = self.dated_before(kinds::SENT_MESSAGE, before, WHAT).await?;
        self.sweep_dated(sweep, old, before).await
    }

    /// Looks through messages with their moments.
    pub(super) async fn dated_before(
        &self,
        kind: crate::store::Kind,
        before: i64,
        what: &'static str,
    ) -> Result<Old> {
        let mut old = Old::default();
        for (place, value) in self.list(kind, None).await? {
            let dated: Dated = self.decoded(what, codec::from_packed(&value))?;
            if dated.at < before {
                old.changes.push(Change::Delete(place));
            } else {
                old.left += 1;
                old.earliest = old.earliest.min(expiry(dated.at));
            }
        }
        Ok(old)
    }

    /// Deletes what is old, and remembers when to look again.
    pub(super) async fn sweep_dated(
        &self,
        sweep: &super::Sweep,
        old: Old,
        moment: i64,
    ) -> Result<u32> {
        let deleted = u32::try_from(old.changes.len()).unwrap_or(u32::MAX);
        self.commit(old.changes, Durability::Eventual).await?;
        sweep.done(moment, old.left, old.earliest);
        Ok(deleted)
    }
}

/// What a look through rows that expire has found.
pub(super) struct Old {
    /// Deletes those that have expired.
    pub(super) changes: Vec<Change>,
    /// How many have not.
    pub(super) left: usize,
    /// When the first of those does.
    pub(super) earliest: i64,
}

impl Default for Old {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            left: 0,
            earliest: i64::MAX,
        }
    }
}
