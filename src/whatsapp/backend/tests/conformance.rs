//! What any store must do, on the library's two and on ours, and what this one does besides.

use std::sync::Arc;

use bytes::Bytes;
use whatsapp_rust::store::{AppStateSyncKey, Backend, DeviceStore, SignalStore};
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::device::{CachedNoiseCert, CachedServerCertChain, DEVICE_PROPS};
use whatsapp_rust::wacore::store::in_memory::InMemoryBackend;

use super::operations::{Operation as O, apply, prekey};
use super::questions::{ask, assert_same};
use super::{ours, theirs};
use crate::whatsapp::backend::kinds;

/// Operations of every kind. The library's two stores answer the same to questions after them; where those
/// differ (ids of keys that shrink, mappings that are made twice, an id of a new device), this backend follows
/// the one on the disk, and the sequences test that.
pub(super) fn of_every_kind() -> Vec<O> {
    vec![
        O::Save(5),
        O::PutIdentity(0, 1),
        O::PutIdentities(vec![(1, 2), (3, 3), (1, 4)]),
        O::DeleteIdentity(3),
        O::PutSession(0, 1),
        O::PutSessions(vec![(1, 2), (4, 3), (1, 5)]),
        O::DeleteSession(0),
        O::StorePrekey(0, 2, false),
        O::StorePrekeys(vec![(1, 4), (2, 3), (3, 0), (4, 2)], true),
        O::MarkUploaded(vec![0, 1]),
        O::RemovePrekey(2),
        O::MarkUploaded(vec![2]),
        O::StoreSigned(1, 1),
        O::StoreSigned(2, 2),
        O::RemoveSigned(1),
        O::PutSenderKey(0, 1),
        O::PutSenderKeys(vec![(1, 2), (2, 3)]),
        O::DeleteSenderKey(1),
        O::SetSyncKey(0, 1),
        O::SetSyncKey(2, 3),
        O::SetVersion(0, 259),
        O::PutMacs(0, 1, vec![(0, 1), (1, 2), (2, 3), (0, 4)]),
        O::PutMacs(1, 1, vec![(0, 1)]),
        O::DeleteMacs(0, vec![1, 5]),
        O::ClearMacs(1),
        O::SetStatus(0, vec![(0, true), (1, false)]),
        O::SetStatus(0, vec![(1, true)]),
        O::SetStatus(1, vec![(0, false)]),
        O::SetStatus(2, vec![(0, true)]),
        O::ClearGroup(2),
        O::DeleteRows(vec![0]),
        O::PutMappings(vec![(0, 0, 1), (1, 1, 2)]),
        O::SaveBase(0, 0, 1),
        O::SaveBase(0, 0, 2),
        O::SaveBase(0, 1, 3),
        O::DeleteBase(0, 1),
        O::UpdateList(0, 3),
        O::UpdateLists(vec![(1, 5), (2, 2)]),
        O::DeleteList(2),
        O::PutMetadata(0, 1),
        O::PutMetadata(1, 2),
        O::DeleteMetadata(1),
        O::PutToken(0, 3, 5, None),
        O::GiveToken(0, 4),
        O::GiveToken(0, 3),
        O::ReceiveToken(0, 5, 4),
        O::ReceiveToken(1, 2, 7),
        O::GiveToken(2, 6),
        O::ReceiveToken(2, 4, 1),
        O::PutToken(3, 1, 1, Some(1)),
        O::DeleteToken(4),
        O::ExpireTokens(2, 2),
        O::Sent(0, 0, 1),
        O::Sent(0, 1, 2),
        O::TakeSent(0, 0),
        O::TakeSent(0, 0),
        O::ExpireSent(false),
        O::ExpireSent(true),
        O::Sent(1, 0, 3),
        O::ExpireSent(true),
        O::Sent(1, 1, 4),
        O::Pending((0, 0, 0), 1),
        O::PendingBatch(vec![((0, 1, 0), 2), ((1, 0, 1), 3), ((0, 0, 0), 4)]),
        O::EndPending((1, 0, 1)),
        O::EndPendingBatch(vec![(0, 1, 0), (2, 2, 2)]),
        O::ExpirePending(false),
        O::ExpirePending(true),
        O::Pending((0, 0, 2), 5),
        O::PutSecret((0, 0, 0), 1),
        O::PutSecrets(vec![
            ((0, 0, 0), 2, 5, 3),
            ((0, 1, 0), 3, 4, 0),
            ((0, 1, 0), 4, 2, 2),
            ((1, 1, 1), 5, 3, 1),
        ]),
        O::ExpireSecrets(2),
        O::ExpireSecrets(3),
        O::PutSecrets(vec![((0, 1, 0), 5, 1, 1)]),
        O::ExpireSecrets(3),
        O::ExpireSecrets(4),
        O::PutSecrets(vec![((2, 1, 0), 5, 1, 1)]),
    ]
}

#[tokio::test]
async fn the_three_stores_answer_the_same() {
    let (sqlite, _dir) = theirs().await;
    let memory = InMemoryBackend::new();
    let (backend, _) = ours();
    let device = Device::new();
    for (step, operation) in of_every_kind().iter().enumerate() {
        let expected = apply(operation, &sqlite, &device).await.expect("SQLite");
        for store in [&backend as &dyn Backend, &memory] {
            let answer = apply(operation, store, &device).await.expect("an answer");
            assert_eq!(answer, expected, "step {step}: {operation:?}");
        }
    }
    let expected = ask(&sqlite).await;
    assert_same(&ask(&backend).await, &expected, "ours");
    assert_same(&ask(&memory).await, &expected, "the library's in memory");
}

#[tokio::test]
async fn every_field_of_a_device_is_kept() {
    let (backend, space) = ours();
    let mut device = Device::new();
    device.pn = Some("5599:12@s.whatsapp.net".parse().expect("a JID"));
    device.lid = Some("100000000000001:12@lid".parse().expect("a JID"));
    device.push_name = "Zoë \"\u{1f600}\"".to_owned();
    device.edge_routing_info = Some(vec![0, 255]);
    device.props_hash = Some(String::new());
    device.next_pre_key_id = u32::MAX;
    device.first_unupload_pre_key_id = 7;
    device.server_has_prekeys = true;
    device.nct_salt = Some(Vec::new());
    let certificate = |n| CachedNoiseCert {
        key: [n; 32],
        not_before: i64::MIN,
        not_after: i64::MAX,
    };
    device.server_cert_chain = Some(CachedServerCertChain {
        intermediate: certificate(1),
        leaf: certificate(2),
    });
    device.login_counter = -1;
    device.lid_migrated = true;
    device.last_signed_pre_key_rotation_ms = 1_700_000_000_000;
    device.read_receipts_disabled = true;
    device.app_version_tertiary = u32::MAX;
    device.account = Some(Arc::new(
        whatsapp_rust::waproto::whatsapp::ADVSignedDeviceIdentity {
            details: Some(vec![1, 2]),
            account_signature: Some(vec![3; 64]),
            ..Default::default()
        },
    ));
    backend.save(&device).await.expect("saved");
    let loaded = backend.load().await.expect("loaded").expect("a device");
    let json = |device: &Device| serde_json::to_value(device).expect("JSON");
    assert_eq!(json(&loaded), json(&device));
    // What is set at each start begins as in the library's store.
    assert_eq!(*loaded.device_props, *DEVICE_PROPS);

    // A later library knows a field more, and an earlier one knew fewer.
    space.damage(|_, value| {
        let mut fields: serde_json::Value = serde_json::from_slice(&value[1..]).expect("JSON");
        let object = fields.as_object_mut().expect("an object");
        object.insert("later".to_owned(), 1.into());
        object.remove("read_receipts_disabled");
        value.truncate(1);
        serde_json::to_writer(value, &fields).expect("written");
    });
    let loaded = backend.load().await.expect("loaded").expect("a device");
    assert!(!loaded.read_receipts_disabled);
    assert_eq!(loaded.push_name, device.push_name);
}

#[tokio::test]
async fn a_new_identity_is_never_made_in_the_place_of_one() {
    let (backend, _) = ours();
    assert!(!backend.exists().await.expect("no device"));
    assert_eq!(backend.create().await.expect("created"), 1);
    let before = ask(&backend).await;
    assert!(backend.create().await.is_err());
    assert_same(&ask(&backend).await, &before, "afterwards");
    assert!(backend.snapshot_db("x", None).await.is_err());
    assert_eq!(backend.resource_report().await.memory_bytes, Some(0));
}

#[tokio::test]
async fn a_sync_key_that_is_none_counts_as_missing() {
    use whatsapp_rust::store::AppSyncStore;
    let (sqlite, _dir) = theirs().await;
    let (backend, _) = ours();
    for store in [&sqlite as &dyn Backend, &backend] {
        for (id, length) in [(&[1_u8][..], 32), (&[2], 31), (&[3], 0)] {
            let key = AppStateSyncKey {
                key_data: vec![1; length],
                ..AppStateSyncKey::default()
            };
            store.set_sync_key(id, key).await.expect("set");
        }
        assert!(store.get_sync_key(&[2]).await.expect("asked").is_none());
        let latest = store.get_latest_sync_key_id().await.expect("asked");
        assert_eq!(latest, Some(vec![1]));
    }
    assert!(
        AppSyncStore::get_sync_key(&backend, &[1])
            .await
            .expect("asked")
            .is_some()
    );
}

#[tokio::test]
async fn the_prekeys_of_a_device_are_a_few_small_values() {
    let (backend, space) = ours();
    let keys: Vec<(u32, Bytes)> = (1..=812)
        .map(|id| (id, Bytes::from(prekey(id, 2))))
        .collect();
    backend
        .store_prekeys_batch(&keys, false)
        .await
        .expect("stored");
    assert_eq!(space.commits().len(), 1);
    let values = space.values();
    let bytes: usize = values.values().map(Vec::len).sum();
    assert_eq!(values.len(), 13);
    assert!(bytes < 812 * 72, "{bytes}");
    let ids: Vec<u32> = (1..=812).collect();
    assert_eq!(
        backend.load_prekeys_batch(&ids).await.expect("loaded"),
        keys
    );
    // As on the disk of the library, one that is asked for twice is there once.
    let twice = backend
        .load_prekeys_batch(&[3, 1, 3])
        .await
        .expect("loaded");
    assert_eq!(twice.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [3, 1]);
    for id in 64..128 {
        backend.remove_prekey(id).await.expect("removed");
    }
    assert_eq!(space.values().len(), 12, "an empty box is gone");
    assert_eq!(backend.get_max_prekey_id().await.expect("asked"), 812);
}

#[tokio::test]
async fn changes_at_the_same_time_lose_nothing() {
    let (backend, _) = ours();
    let backend = Arc::new(backend);
    let tasks: Vec<_> = (0..60_u32)
        .map(|id| {
            let backend = Arc::clone(&backend);
            let device = Device::new();
            tokio::spawn(async move {
                backend.store_prekey(id, b"a record", false).await?;
                let mac = u8::try_from(id % 6).expect("small");
                for operation in [
                    O::PutMacs(0, 1, vec![(mac, 1)]),
                    O::GiveToken(0, i64::from(id)),
                    O::ReceiveToken(0, 3, i64::from(id)),
                    O::SetStatus(0, vec![(usize::from(mac) % 5, true)]),
                    O::UpdateList(usize::from(mac) % 5, 2),
                    O::PutMappings(vec![(usize::from(mac) % 5, 0, i64::from(id))]),
                ] {
                    apply(&operation, &*backend, &device).await?;
                }
                Ok::<_, whatsapp_rust::wacore::store::error::StoreError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("done");
    }
    let store: &dyn Backend = &*backend;
    let ids: Vec<u32> = (0..60).collect();
    assert_eq!(
        store.load_prekeys_batch(&ids).await.expect("loaded").len(),
        60
    );
    let token = store.get_tc_token("100000000000001").await.expect("asked");
    let token = token.expect("a token");
    assert_eq!(
        (token.token_timestamp, token.sender_timestamp),
        (59, Some(59))
    );
    let devices = store.get_sender_key_devices("1@g.us").await.expect("asked");
    assert_eq!(devices.len(), 5);
    assert_eq!(store.get_all_lid_mappings().await.expect("asked").len(), 5);
    let newest = store.get_pn_mapping("5599").await.expect("asked");
    assert_eq!(newest.expect("a mapping").updated_at, 59);
}

#[tokio::test]
async fn every_kind_of_value_is_used() {
    let (backend, space) = ours();
    let device = Device::new();
    for operation in of_every_kind() {
        apply(&operation, &backend, &device).await.expect("done");
    }
    let values = space.values();
    for kind in kinds::ALL {
        let is_there = values.keys().any(|(it, ..)| *it == kind);
        assert!(is_there, "{kind:?} has no value in these tests");
    }
}
