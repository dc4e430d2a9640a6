//! The takeover of real files, and of takeovers that failed.

use std::path::Path;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::Text;
use whatsapp_rust::store::{Backend, DeviceStore, SqliteStore};
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::StoreError;

use super::conformance::of_every_kind;
use super::memory::Memory;
use super::operations::{Operation as O, apply};
use super::questions::{ask, assert_same};
use super::theirs;
use crate::store::SpaceError;
use crate::whatsapp::backend::{IsPaired, SpaceBackend, Taken, take_over};

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The names in a column.
async fn names(store: &SqliteStore, column: &str, table: &str) -> Vec<String> {
    let query = format!("SELECT {column} AS name FROM {table}");
    let ask = move |connection: &mut SqliteConnection| {
        let rows = diesel::sql_query(query).load::<Name>(connection);
        rows.map_err(|e| StoreError::Database(Box::new(e)))
    };
    let rows = store.shared().read(ask).await.expect("names");
    rows.into_iter().map(|row| row.name).collect()
}

/// Compares all that a sample can have, by the names that are in it. Says how many answers there were.
async fn compare(store: &SqliteStore, taken: &dyn Backend) -> usize {
    let old: &dyn Backend = store;
    let mut pairs: Vec<[String; 2]> = Vec::new();
    macro_rules! both {
        ($method:ident($($argument:expr),*)) => {
            let answers = [
                old.$method($($argument),*).await.expect("the old one"),
                taken.$method($($argument),*).await.expect("the new one"),
            ];
            pairs.push(answers.map(|answer| format!("{answer:?}")));
        };
    }
    let ids: Vec<u32> = (0..2000).collect();
    let mut prekeys = [
        old.load_prekeys_batch(&ids).await.expect("the old one"),
        taken.load_prekeys_batch(&ids).await.expect("the new one"),
    ];
    for keys in &mut prekeys {
        keys.sort();
    }
    assert!(!prekeys[0].is_empty(), "a paired device has prekeys");
    pairs.push(prekeys.map(|keys| format!("{keys:?}")));
    both!(get_max_prekey_id());
    both!(load_all_signed_prekeys());
    both!(get_latest_sync_key_id());
    for address in names(store, "address", "sessions").await {
        both!(get_session(&address));
    }
    for address in names(store, "address", "identities").await {
        both!(load_identity(&address));
    }
    for address in names(store, "address", "sender_keys").await {
        both!(get_sender_key(&address));
    }
    for name in names(store, "name", "app_state_versions").await {
        both!(get_version(&name));
    }
    for user in names(store, "user_id", "device_registry").await {
        both!(get_devices(&user));
    }
    for lid in names(store, "lid", "lid_pn_mapping").await {
        both!(get_lid_mapping(&lid));
    }
    for phone in names(store, "phone_number", "lid_pn_mapping").await {
        both!(get_pn_mapping(&phone));
    }
    for jid in names(store, "jid", "tc_tokens").await {
        both!(get_tc_token(&jid));
    }
    for group in names(store, "group_jid", "group_metadata").await {
        both!(get_group_metadata(&group));
    }
    for group in names(store, "group_jid", "sender_key_devices").await {
        both!(get_sender_key_devices(&group));
    }
    let devices = [old.load().await, taken.load().await];
    pairs.push(devices.map(|device| {
        let device = device.expect("loaded").expect("a device");
        assert!(device.is_registered());
        serde_json::to_string(&device).expect("JSON")
    }));
    for [old, new] in &pairs {
        assert_eq!(new, old);
    }
    pairs.len()
}

#[tokio::test]
async fn the_samples_are_taken_over_whole() {
    let samples =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/state-v1/state/sessions");
    for user in ["alice", "dora"] {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path").join("auth.db");
        std::fs::copy(samples.join(user).join("auth.db"), &path).expect("a copy");
        let store = SqliteStore::new(path.to_str().expect("UTF-8")).await;
        let store = store.expect("open");
        let space = Arc::new(Memory::default());
        let taken = take_over(&store, &*space, None).await.expect("taken");
        assert_eq!(taken, Taken::Now);
        let backend = SpaceBackend::new(Arc::clone(&space) as _);
        let answers = compare(&store, &backend).await;
        assert!(answers >= 5, "{user}: {answers}");
        assert_eq!(backend.trouble().so_far(), None);

        // Again: the session may have gone on, and what it has now stays.
        let device = Device::new();
        let after = O::Save(3);
        apply(&after, &backend, &device).await.expect("done");
        let values = space.values();
        let present = Some(IsPaired(true));
        let again = take_over(&store, &*space, present).await.expect("taken");
        assert_eq!(again, Taken::Before);
        assert_eq!(space.values(), values);
    }
}

#[tokio::test]
async fn a_takeover_that_was_broken_off_is_made_again() {
    let (sqlite, _dir) = theirs().await;
    let device = Device::new();
    for operation in of_every_kind() {
        apply(&operation, &sqlite, &device).await.expect("done");
    }
    let space = Memory::default();
    // What an earlier try left, of rows that are no longer there.
    let left = SpaceBackend::new(Arc::new(Memory::default()));
    assert!(!left.exists().await.expect("asked"));
    let stale = crate::store::Place::new(super::super::kinds::SESSION, "77", "@lid");
    let batch = crate::store::Batch {
        changes: vec![crate::store::Change::Put(stale.clone(), vec![1, 2])],
        durability: crate::store::Durability::Eventual,
    };
    crate::store::Space::commit(&space, batch)
        .await
        .expect("committed");
    let full = SpaceError::Unavailable {
        why: "no room".to_owned(),
    };
    space.fail_commits(Some(full));
    let before = ask(&sqlite).await;
    take_over(&sqlite, &space, None).await.expect_err("no room");
    space.fail_commits(None);
    assert_eq!(
        take_over(&sqlite, &space, None).await.expect("taken"),
        Taken::Now
    );
    assert_same(&ask(&sqlite).await, &before, "the old file");
    let gone = crate::store::Space::get(&space, &stale)
        .await
        .expect("asked");
    assert_eq!(gone, None);
    let backend = SpaceBackend::new(Arc::new(space));
    assert_same(&ask(&backend).await, &before, "taken over");
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_not_taken_for_unpaired() {
    let (sqlite, _dir) = theirs().await;
    let device = Device::new();
    apply(&O::Save(1), &sqlite, &device).await.expect("done");
    let spoil = |connection: &mut SqliteConnection| {
        let query = "UPDATE device SET pn = '1:x@nowhere@'";
        let done = diesel::sql_query(query).execute(connection);
        done.map_err(|e| StoreError::Database(Box::new(e)))
    };
    sqlite.shared().run(spoil).await.expect("spoilt");
    let space = Memory::default();
    take_over(&sqlite, &space, None)
        .await
        .expect_err("a name that is none");
    assert!(space.values().is_empty());
}

/// More rows than a page and than a batch.
#[tokio::test]
async fn many_rows_are_taken_over_page_by_page() {
    let (sqlite, _dir) = theirs().await;
    let device = Device::new();
    apply(&O::Save(1), &sqlite, &device).await.expect("done");
    let old: &dyn Backend = &sqlite;
    let sessions: Vec<(Arc<str>, bytes::Bytes)> = (0..1300_u32)
        .map(|n| {
            let record = n.to_be_bytes().to_vec();
            (format!("{n}@lid").into(), bytes::Bytes::from(record))
        })
        .collect();
    old.put_sessions_batch(&sessions).await.expect("put");
    let space = Arc::new(Memory::default());
    take_over(&sqlite, &*space, None).await.expect("taken");
    let backend = SpaceBackend::new(Arc::clone(&space) as _);
    let new: &dyn Backend = &backend;
    for (address, record) in &sessions {
        let taken = new.get_session(address).await.expect("asked");
        assert_eq!(taken.as_ref(), Some(record));
    }
}
