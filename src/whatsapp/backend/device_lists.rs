//! Which devices a user has, in boxes by user.

use serde::{Deserialize, Serialize};
use whatsapp_rust::store::{DeviceInfo, DeviceListRecord};
use whatsapp_rust::wacore::store::error::Result;

use super::boxes::{Boxes, spread};
use super::{SpaceBackend, kinds};
use crate::store::Durability;

const WHAT: &str = "a list of a contact's devices";

/// The devices of one user in its box.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeviceList {
    devices: Vec<Device>,
    timestamp: i64,
    phash: Option<String>,
    raw_id: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Device {
    id: u32,
    key_index: Option<u32>,
    is_hosted: bool,
}

impl DeviceList {
    /// The user of a record, and what is kept of it.
    pub(super) fn from_record(record: DeviceListRecord) -> (String, Self) {
        let DeviceListRecord {
            user,
            devices,
            timestamp,
            phash,
            raw_id,
        } = record;
        let devices = devices.into_iter().map(|device| {
            let DeviceInfo {
                device_id: id,
                key_index,
                is_hosted,
            } = device;
            Device {
                id,
                key_index,
                is_hosted,
            }
        });
        let list = Self {
            devices: devices.collect(),
            timestamp,
            phash,
            raw_id,
        };
        (user, list)
    }

    fn record(&self, user: &str) -> DeviceListRecord {
        let devices = self.devices.iter().map(|device| {
            DeviceInfo::new(device.id, device.key_index).with_hosting(device.is_hosted)
        });
        DeviceListRecord {
            user: user.to_owned(),
            devices: devices.collect(),
            timestamp: self.timestamp,
            phash: self.phash.clone(),
            raw_id: self.raw_id,
        }
    }
}

impl SpaceBackend {
    async fn device_list_boxes(&self, names: Vec<Vec<u8>>) -> Result<Boxes<String, DeviceList>> {
        self.open_boxes(kinds::DEVICE_LISTS, b"", names, WHAT).await
    }

    pub(super) async fn put_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let _turn = self.turns.device_lists.lock().await;
        let names = records.iter().map(|record| spread(&record.user)).collect();
        let mut boxes = self.device_list_boxes(names).await?;
        for record in records {
            let (user, list) = DeviceList::from_record(record);
            boxes.insert(spread(&user), user, list);
        }
        self.commit(boxes.changes()?, Durability::Eventual).await
    }

    pub(super) async fn device_list(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        let name = spread(user);
        let boxes = self.device_list_boxes(vec![name.clone()]).await?;
        let list = boxes.get(&name, &user.to_owned());
        Ok(list.map(|list| list.record(user)))
    }

    pub(super) async fn forget_device_list(&self, user: &str) -> Result<()> {
        let _turn = self.turns.device_lists.lock().await;
        let name = spread(user);
        let mut boxes = self.device_list_boxes(vec![name.clone()]).await?;
        boxes.remove(&name, &user.to_owned());
        self.commit(boxes.changes()?, Durability::Eventual).await
    }
}
