use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::time::timeout;
use whatsapp_rust::store::{Backend, Device as Live};

use super::*;
use crate::protocol::UserId;
use crate::store::{Record, Store};

const A_MOMENT: Duration = Duration::from_millis(50);

/// A state directory with a session.
pub(in crate::whatsapp) struct Stage {
    pub(in crate::whatsapp) store: Store,
    pub(in crate::whatsapp) user: UserId,
    pub(in crate::whatsapp) work: UncancellableWork,
    _dir: TempDir,
}

impl Stage {
    pub(in crate::whatsapp) fn set() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("a store");
        let user = "alice".parse().expect("an id");
        store.create(&user, &Record::new(1000)).expect("a session");
        let work = store.work();
        Self {
            store,
            user,
            work,
            _dir: dir,
        }
    }

    pub(in crate::whatsapp) fn credentials(&self) -> Credentials {
        self.store.credentials(&self.user)
    }

    pub(in crate::whatsapp) async fn look(&self) -> Result<Stored, CredentialsError> {
        look_into(&self.credentials(), &self.work).await
    }

    pub(in crate::whatsapp) async fn open(&self) -> Result<Arc<Vault>, CredentialsError> {
        open(&self.credentials(), &self.work).await
    }

    async fn open_existing(&self) -> Result<(), CredentialsError> {
        let opened = open_existing(&self.credentials(), &self.work).await;
        opened.map(drop)
    }

    /// Makes credentials with this device.
    pub(in crate::whatsapp) async fn make(&self, device: &Device) {
        let vault = self.open().await.expect("open");
        let backend = SpaceBackend::new(Arc::clone(&vault) as Arc<dyn Space>);
        backend.save(device).await.expect("saved");
        vault.close().await;
    }
}

/// A device that is linked to this account.
pub(in crate::whatsapp) fn linked(jid: &str) -> Device {
    Device {
        pn: Some(jid.parse().expect("a JID")),
        ..Device::new()
    }
}

fn is_unusable<T>(found: &Result<T, CredentialsError>) -> bool {
    matches!(found, Err(CredentialsError::Unusable { .. }))
}

#[tokio::test]
async fn a_new_vault_is_an_unpaired_one() {
    let stage = Stage::set();
    assert_eq!(stage.look().await.expect("nothing"), Stored::Nothing);
    stage.open().await.expect("open").close().await;
    assert_eq!(stage.look().await.expect("new"), Stored::Unpaired);
    stage.make(&Device::new()).await;
    assert_eq!(stage.look().await.expect("a device"), Stored::Unpaired);
    assert!(is_unusable(&stage.open_existing().await), "of no account");
    stage.make(&linked("15550001001:3@s.whatsapp.net")).await;
    let Stored::Paired(account) = stage.look().await.expect("paired") else {
        panic!("it is paired");
    };
    assert_eq!(account.phone, "+15550001001");
    stage.open_existing().await.expect("an account's");
}

#[tokio::test]
async fn broken_files_are_unusable_and_left_as_they_are() {
    let stage = Stage::set();
    stage.make(&linked("15550001001:3@s.whatsapp.net")).await;
    let path = stage.store.vault_db(&stage.user);
    let whole = std::fs::read(&path).expect("read");
    let mut scrambled = whole.clone();
    scrambled[100..].fill(0xa5);
    for (name, bytes) in [
        (
            "text",
            &b"this is not a database, but it is long enough to be one"[..],
        ),
        ("truncated", &whole[..whole.len() / 2]),
        ("scrambled", &scrambled),
    ] {
        std::fs::write(&path, bytes).expect("write");
        for found in [
            stage.look().await.map(drop),
            stage.open().await.map(drop),
            stage.open_existing().await,
        ] {
            assert!(is_unusable(&found), "{name}: {found:?}");
        }
        assert_eq!(std::fs::read(&path).expect("read"), bytes, "{name}");
    }
    std::fs::write(&path, whole).expect("write");
    stage.open_existing().await.expect("it is back");
}

#[tokio::test]
async fn an_empty_file_begins_a_pairing_and_is_unusable_where_one_was() {
    let stage = Stage::set();
    let path = stage.store.vault_db(&stage.user);
    std::fs::write(&path, b"").expect("write");
    assert_eq!(stage.look().await.expect("empty"), Stored::Unpaired);
    assert!(is_unusable(&stage.open_existing().await));
    assert_eq!(std::fs::read(&path).expect("read"), b"");
    // A try on a full disk left it, and there is room now.
    stage.make(&Device::new()).await;
    assert_eq!(stage.look().await.expect("made"), Stored::Unpaired);
}

#[tokio::test]
async fn what_a_flush_that_was_broken_off_did_not_write_is_written() {
    let stage = Stage::set();
    let vault = stage.open().await.expect("open");
    let backend = Arc::new(SpaceBackend::new(Arc::clone(&vault) as Arc<dyn Space>));
    let memory = PersistenceManager::new(Arc::clone(&backend) as Arc<dyn Backend>).await;
    let memory = memory.expect("a device");
    let rename = |device: &mut Live| "Alice".clone_into(&mut device.push_name);
    memory.modify_device(rename).await;
    // A loss of power takes what is only in memory: the flush was given up before it had written anything.
    assert!(memory.flush().now_or_never().is_none());
    write_device(&memory).await.expect("written");
    let device = backend.load().await.expect("load").expect("a device");
    assert_eq!(device.push_name, "Alice");
}

#[tokio::test]
async fn an_open_file_counts_and_is_not_mapped() {
    let stage = Stage::set();
    let path = stage.store.vault_db(&stage.user);
    let vault = stage.open().await.expect("open");
    assert!(!stage.work.is_empty() && is_open(&path));
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    assert!(!maps.contains("vault.db"), "a mapped file");
    drop(vault);
    stage.work.gone().await;
    assert!(!is_open(&path));
}

/// A connection of somebody else, who is writing.
fn lock(stage: &Stage) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(stage.store.vault_db(&stage.user)).expect("open");
    connection.execute_batch("BEGIN IMMEDIATE").expect("locked");
    connection
}

#[tokio::test]
async fn a_file_that_is_locked_for_a_moment_is_waited_for() {
    let stage = Stage::set();
    stage.make(&Device::new()).await;
    let other = lock(&stage);
    let mut looking = Box::pin(stage.look());
    let early = timeout(A_MOMENT, &mut looking).await;
    assert!(early.is_err(), "{early:?}");
    drop(other);
    assert_eq!(looking.await.expect("unlocked"), Stored::Unpaired);
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_is_waited_for_by_the_next() {
    let stage = Stage::set();
    stage.make(&Device::new()).await;
    let other = lock(&stage);
    let early = timeout(A_MOMENT, stage.look()).await;
    assert!(early.is_err(), "{early:?}");
    let early = timeout(A_MOMENT, stage.work.gone()).await;
    assert!(early.is_err(), "its connection is still open");
    drop(other);
    stage.work.gone().await;
    assert!(!is_open(&stage.store.vault_db(&stage.user)));
}

fn is_open(path: &Path) -> bool {
    let files = std::fs::read_dir("/proc/self/fd").expect("read");
    let mut open = files
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok());
    open.any(|file| file == path)
}

#[tokio::test]
async fn an_obstacle_is_not_corruption() {
    let stage = Stage::set();
    std::fs::remove_dir_all(stage.credentials().dir()).expect("remove");
    let found = stage.open().await;
    let obstacle = matches!(found, Err(CredentialsError::Unavailable { .. }));
    assert!(obstacle, "{found:?}");
}
