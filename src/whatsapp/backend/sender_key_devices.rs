//! Which devices of a group have our sender key, in one box a group.

use whatsapp_rust::wacore::store::error::Result;

use super::boxes::Boxes;
use super::{SpaceBackend, kinds};
use crate::store::{Change, Durability, Place};

const WHAT: &str = "the devices that have a group's sender key";

impl SpaceBackend {
    async fn holders(&self, group: &str) -> Result<Boxes<String, bool>> {
        let name = group.as_bytes().to_vec();
        self.open_boxes(kinds::SENDER_KEY_DEVICES, b"", vec![name], WHAT)
            .await
    }

    pub(super) async fn sender_key_devices(&self, group: &str) -> Result<Vec<(String, bool)>> {
        Ok(self.holders(group).await?.into_entries().collect())
    }

    pub(super) async fn note_sender_key(
        &self,
        group: &str,
        entries: &[(&str, bool)],
    ) -> Result<()> {
        let _turn = self.turns.sender_key_devices.lock().await;
        let mut boxes = self.holders(group).await?;
        for (device, has_key) in entries {
            boxes.insert(group.into(), (*device).to_owned(), *has_key);
        }
        let durability = if entries.iter().all(|(_, has_key)| *has_key) {
            Durability::Eventual
        } else {
            Durability::Synced
        };
        self.commit(boxes.changes()?, durability).await
    }

    pub(super) async fn forget_group(&self, group: &str) -> Result<()> {
        let _turn = self.turns.sender_key_devices.lock().await;
        let place = Place::new(kinds::SENDER_KEY_DEVICES, "", group);
        self.commit(vec![Change::Delete(place)], Durability::Synced)
            .await
    }

    pub(super) async fn forget_devices(&self, devices: &[&str]) -> Result<()> {
        if devices.is_empty() {
            return Ok(());
        }
        let _turn = self.turns.sender_key_devices.lock().await;
        let mut boxes: Boxes<String, bool> =
            self.all_boxes(kinds::SENDER_KEY_DEVICES, b"", WHAT).await?;
        boxes.retain(|device, _| !devices.contains(&device.as_str()));
        self.commit(boxes.changes()?, Durability::Synced).await
    }

    pub(super) async fn forget_all_groups(&self) -> Result<()> {
        let _turn = self.turns.sender_key_devices.lock().await;
        let all = Change::DeleteKind(kinds::SENDER_KEY_DEVICES);
        self.commit(vec![all], Durability::Synced).await
    }
}
