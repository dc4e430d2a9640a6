//! The device: the identity of a session, its account, and the library's counters.
//!
//! It is kept as the library's own serde form, by the names of its fields: a field that a later library adds is
//! written by that library, and has its default where an older one wrote.

use std::sync::Arc;

use async_trait::async_trait;
use whatsapp_rust::ClientProfile;
use whatsapp_rust::store::DeviceStore;
use whatsapp_rust::wacore::stats::StorageResourceReport;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::device::DEVICE_PROPS;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

use super::{SpaceBackend, codec, kinds};
use crate::store::{Change, Durability, Place};

const WHAT: &str = "the device";

/// A space has one device; the library's stores number theirs.
const ID: i32 = 1;

fn place() -> Place {
    Place::new(kinds::DEVICE, "", "")
}

/// The change that puts a device there.
pub(super) fn put(device: &Device) -> Result<Change> {
    let value = codec::named(device).map_err(|e| StoreError::Serialization(Box::new(e)))?;
    Ok(Change::Put(place(), value))
}

impl SpaceBackend {
    async fn put_device(&self, device: &Device) -> Result<()> {
        self.commit(vec![put(device)?], Durability::Synced).await
    }
}

#[async_trait]
impl DeviceStore for SpaceBackend {
    async fn save(&self, device: &Device) -> Result<()> {
        let _turn = self.turns.device.lock().await;
        self.put_device(device).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        let Some(value) = self.get(&place()).await? else {
            return Ok(None);
        };
        let mut device: Device = self.decoded(WHAT, codec::from_named(&value))?;
        // These are set at each start and not kept. As in the library's store, they begin with its own
        // defaults, and not with serde's, which are empty.
        device.device_props = Arc::new(DEVICE_PROPS.clone());
        device.client_profile = ClientProfile::web();
        device.nct_salt_sync_seen = false;
        Ok(Some(device))
    }

    async fn exists(&self) -> Result<bool> {
        // A damaged one is there: it must not be made anew.
        Ok(self.get(&place()).await?.is_some())
    }

    async fn create(&self) -> Result<i32> {
        let _turn = self.turns.device.lock().await;
        if self.get(&place()).await?.is_some() {
            let why = "there is a device already, and another would be a new identity in its place";
            return Err(StoreError::Validation(why.to_owned()));
        }
        self.put_device(&Device::new()).await?;
        Ok(ID)
    }

    async fn snapshot_db(&self, _: &str, _: Option<&[u8]>) -> Result<()> {
        // The library would take one when something is wrong with the keys. A copy of them in clear is not
        // made, and a call that did nothing must not be taken for one that did.
        let why = "no snapshots of a session's credentials are taken; export the session";
        Err(StoreError::InvalidConfig(why.to_owned()))
    }

    async fn resource_report(&self) -> StorageResourceReport {
        StorageResourceReport {
            memory_bytes: Some(0),
            ..StorageResourceReport::default()
        }
    }
}
