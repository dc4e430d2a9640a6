//! A vault's life: made, opened, idle, closed, destroyed.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::store::space::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_space() {
    let stage = Stage::set();
    let vault = Arc::new(stage.create("alice").await);
    conformance::all(Arc::clone(&vault) as Arc<dyn Space>).await;
    let reopened = async || {
        vault.close().await;
        Arc::new(stage.open("alice").await.expect("it opens")) as Arc<dyn Space>
    };
    conformance::survives(&*vault, reopened).await;
}

#[tokio::test]
async fn a_pairing_begins_with_a_missing_or_an_empty_file() {
    let stage = Stage::set();
    fs::create_dir(stage.dir("alice")).expect("mkdir");
    let look = async || Vault::look_into(&stage.dir("alice"), &stage.masters, &stage.work).await;
    assert_eq!(look().await.expect("nothing"), Contents::Missing);
    assert!(is_unusable(&stage.open("alice").await));
    assert!(!stage.file("alice").exists() && !stage.key("alice").exists());
    fs::write(stage.file("alice"), "").expect("write");
    assert_eq!(look().await.expect("empty"), Contents::Empty);
    assert!(is_unusable(&stage.open("alice").await));
    stage.fill("alice").await;
    assert_eq!(look().await.expect("values"), Contents::Values);
    let again = Vault::create(&stage.dir("alice"), &stage.masters, &stage.work).await;
    assert!(
        is_unusable(&again),
        "credentials are never overwritten: {again:?}"
    );
    for path in [
        stage.file("alice"),
        stage.key("alice"),
        stage.state.join("key"),
    ] {
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(stage.read("alice").await.expect("it opens"), all());
}

#[tokio::test]
async fn nothing_is_open_when_idle_and_nothing_can_be_opened_after_a_close() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    commit(&vault, values()).await.expect("a commit");
    let file = stage.file("alice");
    assert!(is_open(&file) && !stage.work.is_empty());
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    assert!(!maps.contains(&*file.to_string_lossy()), "a mapped file");
    // It closes by itself.
    timeout(Duration::from_secs(20), stage.work.gone())
        .await
        .expect("idle");
    assert!(!is_open(&file) && !stage.dir("alice").join("vault.db-wal").exists());
    assert_eq!(read(&vault).await.expect("it opens again"), all());
    assert!(is_open(&file));
    vault.close().await;
    assert!(!is_open(&file));
    assert!(is_unavailable(&vault.get(&name(1)).await));
    assert!(!is_open(&file));
    timeout(Duration::from_secs(1), stage.work.gone())
        .await
        .expect("no work");
    // One that is dropped while it is open.
    drop(stage.open("alice").await.expect("it opens"));
    timeout(Duration::from_secs(1), stage.work.gone())
        .await
        .expect("closed");
    assert!(!is_open(&file));
}

#[tokio::test]
async fn what_is_used_stays_open_and_is_synced_now_and_then() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    let batch = Batch {
        changes: values(),
        durability: Durability::Eventual,
    };
    vault.commit(batch).await.expect("a commit");
    let file = stage.file("alice");
    let written = || fs::metadata(&file).expect("metadata").len();
    let before = written();
    let until = Instant::now() + Duration::from_secs(40);
    while written() == before {
        assert!(Instant::now() < until, "never synced");
        vault.get(&name(0)).await.expect("an answer");
        assert!(is_open(&file));
        sleep(Duration::from_millis(100)).await;
    }
    vault.close().await;
}

#[tokio::test]
async fn no_name_no_value_and_no_key_stands_in_clear() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    commit(&vault, values()).await.expect("a commit");
    let session_key = KeyFile::new(&stage.dir("alice")).read(&stage.masters);
    let session_key = session_key.expect("it opens").expect("a key");
    // With the log, while it is open.
    for file in fs::read_dir(stage.dir("alice")).expect("read").flatten() {
        let bytes = fs::read(file.path()).expect("read");
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        for what in [
            &b"4915550001234"[..],
            b"device ",
            b"the secret",
            &session_key[..8],
        ] {
            assert!(!holds(what), "{}: {what:?}", file.path().display());
        }
    }
    assert!(!format!("{vault:?} {:?} {:?}", name(3), values()).contains("4915550001234"));
    vault.close().await;
}

#[tokio::test]
async fn what_waited_to_be_written_is_before_the_close() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    for change in values() {
        // Nobody waits for it any more.
        let written = commit(&vault, vec![change]).now_or_never();
        assert!(written.is_none());
    }
    vault.close().await;
    assert_eq!(stage.read("alice").await.expect("it opens"), all());
}

#[tokio::test]
async fn nothing_opens_without_its_key() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let dir = stage.dir("alice");
    crate::store::shred::files_in(&dir, |name| name == keys::FILE).expect("destroyed");
    assert!(!stage.key("alice").exists());
    let before = fs::read(stage.file("alice")).expect("read");
    assert!(is_unusable(&stage.open("alice").await));
    let made = Vault::create(&dir, &stage.masters, &stage.work).await;
    assert!(is_unusable(&made), "no new identity in its place");
    assert_eq!(fs::read(stage.file("alice")).expect("read"), before);
}

#[tokio::test]
async fn pages_that_are_not_needed_are_given_back() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    let place = Place::new(KIND, "", "large");
    commit(&vault, vec![Change::Put(place.clone(), vec![1; 1 << 20])])
        .await
        .expect("a commit");
    commit(&vault, vec![Change::Delete(place)])
        .await
        .expect("a commit");
    vault.close().await;
    let length = fs::metadata(stage.file("alice")).expect("metadata").len();
    assert!(length < 100_000, "{length}");
    assert_eq!(stage.read("alice").await.expect("it opens"), []);
}
