use std::path::PathBuf;

use whatsapp_rust::store::Backend;
use whatsapp_rust::wacore::store::Device;

use super::*;
use crate::whatsapp::auth::Stored;
use crate::whatsapp::auth::tests::{Stage, linked};

const OLD: &str = "15550001001:3@s.whatsapp.net";
const NEW: &str = "15550002002:9@s.whatsapp.net";

fn former(stage: &Stage) -> PathBuf {
    stage.credentials().dir().join("auth.db")
}

/// Makes the file of a former version, with this device, or none.
async fn left(stage: &Stage, device: Option<Device>) {
    let path = former(stage);
    let store = SqliteStore::new(path.to_str().expect("UTF-8")).await;
    let store: Arc<dyn Backend> = Arc::new(store.expect("a store"));
    if let Some(device) = device {
        store.create().await.expect("made");
        store.save(&device).await.expect("saved");
    }
}

async fn phone(stage: &Stage) -> Option<String> {
    match stage.look().await.expect("it can be used") {
        Stored::Paired(account) => Some(account.phone),
        Stored::Unpaired | Stored::Nothing => None,
    }
}

#[tokio::test]
async fn a_former_file_is_taken_over_and_destroyed() {
    let stage = Stage::set();
    left(&stage, Some(linked(OLD))).await;
    assert_eq!(phone(&stage).await.as_deref(), Some("+15550001001"));
    for part in ["auth.db", "auth.db-wal", "auth.db-shm"] {
        assert!(!stage.credentials().dir().join(part).exists(), "{part}");
    }
    assert_eq!(phone(&stage).await.as_deref(), Some("+15550001001"));
}

#[tokio::test]
async fn the_device_that_is_paired_counts() {
    for (vault, file, counts) in [
        (Some(linked(NEW)), Some(linked(OLD)), Some("+15550002002")),
        (Some(linked(NEW)), Some(Device::new()), Some("+15550002002")),
        // A former version was started again for a while, and paired its own.
        (Some(Device::new()), Some(linked(OLD)), Some("+15550001001")),
        (Some(Device::new()), Some(Device::new()), None),
        (None, Some(Device::new()), None),
    ] {
        let stage = Stage::set();
        if let Some(device) = &vault {
            stage.make(device).await;
        }
        left(&stage, file).await;
        assert_eq!(phone(&stage).await.as_deref(), counts);
        assert!(!former(&stage).exists(), "{counts:?}");
    }
}

#[tokio::test]
async fn a_former_file_without_a_device_takes_nothing_away() {
    let stage = Stage::set();
    stage.make(&Device::new()).await;
    left(&stage, None).await;
    assert_eq!(phone(&stage).await, None);
    assert!(former(&stage).exists(), "nobody knows what it is");
    let stage = Stage::set();
    stage.make(&linked(NEW)).await;
    left(&stage, None).await;
    assert_eq!(phone(&stage).await.as_deref(), Some("+15550002002"));
}

#[tokio::test]
async fn a_former_file_that_cannot_be_read_is_no_new_identity() {
    let stage = Stage::set();
    left(&stage, Some(linked(OLD))).await;
    let whole = std::fs::read(former(&stage)).expect("read");
    let mut scrambled = whole.clone();
    scrambled[100..].fill(0xa5);
    std::fs::write(former(&stage), &scrambled).expect("write");
    for found in [stage.look().await.map(drop), stage.open().await.map(drop)] {
        let unusable = matches!(found, Err(CredentialsError::Unusable { .. }));
        assert!(unusable, "{found:?}");
    }
    assert_eq!(std::fs::read(former(&stage)).expect("read"), scrambled);
    // A link that leads nowhere is not "no file": somebody has put it there.
    std::fs::remove_file(former(&stage)).expect("remove");
    std::os::unix::fs::symlink(former(&stage), former(&stage)).expect("a link to itself");
    for found in [stage.look().await.map(drop), stage.open().await.map(drop)] {
        assert!(found.is_err(), "{found:?}");
    }
    std::fs::remove_file(former(&stage)).expect("remove");
    std::fs::write(former(&stage), whole).expect("write");
    assert_eq!(phone(&stage).await.as_deref(), Some("+15550001001"));
}

#[tokio::test]
async fn an_account_whose_name_cannot_be_read_is_said() {
    let stage = Stage::set();
    left(&stage, Some(linked(OLD))).await;
    let connection = rusqlite::Connection::open(former(&stage)).expect("open");
    let spoil = "UPDATE device SET pn = '1:x@nowhere@'";
    connection.execute_batch(spoil).expect("spoilt");
    drop(connection);
    let found = stage.look().await;
    let unusable =
        matches!(&found, Err(CredentialsError::Unusable { why, .. }) if why.contains("name"));
    assert!(unusable, "{found:?}");
}

#[tokio::test]
async fn the_librarys_newest_schema_is_the_one_that_is_known() {
    let stage = Stage::set();
    left(&stage, None).await;
    let file = stage.credentials().former();
    file.check(BUSY).expect(
        "the library has a new schema: former versions may have been built with it, so NEWEST_SCHEMA changes \
         with it",
    );
}
