//! Bad files: damaged, cut short, swapped, of another program, of a newer version, in use.

use std::time::{Duration, Instant};

use super::*;

/// How many bytes lie between two flips.
const STRIDE: usize = 41;

/// Never a wrong value: each flip is told as unusable, or hits bytes that mean nothing.
async fn flips(path: &Path, stage: &Stage, stride: usize) -> usize {
    let whole = fs::read(path).expect("read");
    let mut told = 0;
    for at in (0..whole.len()).step_by(stride) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(path, &bytes).expect("write");
        match stage.read("alice").await {
            Ok(values) => assert_eq!(values, all(), "byte {at}"),
            Err(SpaceError::Unusable { .. }) => told += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    fs::write(path, &whole).expect("write");
    assert_eq!(stage.read("alice").await.expect("whole"), all());
    told
}

#[tokio::test]
async fn a_flipped_bit_is_never_a_wrong_value() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let length = fs::read(stage.key("alice")).expect("read").len();
    assert_eq!(flips(&stage.key("alice"), &stage, 1).await, length);
    let told = flips(&stage.file("alice"), &stage, STRIDE).await;
    assert!(told > 50, "{told}");
}

#[tokio::test]
async fn a_bit_flipped_while_it_was_idle_is_seen_too() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let vault = stage.open("alice").await.expect("it opens");
    stage.work.gone().await;
    let path = stage.file("alice");
    let session_key = KeyFile::new(&stage.dir("alice")).read(&stage.masters);
    let session_key = session_key.expect("it opens").expect("a key");
    let stored = Seal::new(&session_key).stored(&name(3));
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes
        .windows(stored.len())
        .position(|window| window == stored);
    // The order of the places stays as it is, so only the value in this one shows the flip.
    bytes[at.expect("it is stored") + stored.len() - 1] ^= 1;
    fs::write(&path, &bytes).expect("write");
    let found = read(&vault).await;
    assert!(is_unusable(&found), "{found:?}");
    fs::remove_file(&path).expect("remove");
    assert!(is_unusable(&vault.get(&name(1)).await));
    assert!(!path.exists(), "it is not made anew");
}

#[tokio::test]
async fn a_bad_file_is_left_with_its_log() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let vault = stage.open("alice").await.expect("it opens");
    let place = name(1);
    let change = Change::Put(place.clone(), b"newer".to_vec());
    commit(&vault, vec![change]).await.expect("a commit");
    // What a crash leaves: the file, and a log with the newest values.
    let crashed = stage.dir("crashed");
    fs::create_dir(&crashed).expect("mkdir");
    for part in ["key", "vault.db", "vault.db-wal"] {
        fs::copy(stage.dir("alice").join(part), crashed.join(part)).expect("copy");
    }
    vault.close().await;
    let (file, log) = (stage.file("crashed"), crashed.join("vault.db-wal"));
    let whole = fs::read(&file).expect("read");
    let mut damaged = whole.clone();
    damaged[3000..3100].fill(0xa5);
    let newest = fs::read(&log).expect("read");
    assert!(!newest.is_empty());
    // The page of the log takes the place of a damaged one, so all pages are damaged.
    damaged[1024..].fill(0xa5);
    fs::write(&file, &damaged).expect("write");
    let found = stage.open("crashed").await.map(drop);
    assert!(is_unusable(&found), "{found:?}");
    stage.work.gone().await;
    assert!(fs::read(&file).expect("read") == damaged, "it was changed");
    assert!(fs::read(&log).expect("read") == newest, "its log is gone");
    // Put back, nothing is lost.
    fs::write(&file, &whole).expect("write");
    let vault = stage.open("crashed").await.expect("it opens");
    let value = vault.get(&place).await.expect("read");
    assert_eq!(value.as_deref(), Some(&b"newer"[..]));
}

#[tokio::test]
async fn calls_that_have_queued_up_behind_a_lock_wait_for_it_once() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let vault = Arc::new(stage.open("alice").await.expect("it opens"));
    // It is idle, and somebody else takes it.
    stage.work.gone().await;
    let other = rusqlite::Connection::open(stage.file("alice")).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let began = Instant::now();
    let calls = (0..40).map(|_| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.get(&name(1)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let found = call.await.expect("no panic");
        assert!(is_unavailable(&found), "{found:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "each waited");
    let calls = (0..40).map(|_| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.get(&name(1)).await })
    });
    let calls = calls.collect::<Vec<_>>();
    tokio::task::yield_now().await;
    // Those that have not begun are not made.
    vault.close().await;
    for call in calls {
        assert!(is_unavailable(&call.await.expect("no panic")));
    }
    drop(other);
    assert_eq!(stage.read("alice").await.expect("it is back"), all());
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_unusable_and_left_as_it_is() {
    let stage = Stage::set();
    stage.fill("alice").await;
    for path in [stage.file("alice"), stage.key("alice")] {
        let whole = fs::read(&path).expect("read");
        for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
            fs::write(&path, &whole[..length]).expect("write");
            let found = stage.read("alice").await;
            // The unused end of the last page is missing: no value is.
            let is_whole_but_for_its_end =
                path == stage.file("alice") && whole.len() - length < usize::from(file::PAGE);
            if let Ok(values) = &found
                && is_whole_but_for_its_end
            {
                assert_eq!(*values, all(), "{length}");
                fs::write(&path, &whole).expect("write");
                continue;
            }
            assert!(
                is_unusable(&found),
                "{}, {length}: {found:?}",
                path.display()
            );
            assert_eq!(fs::read(&path).expect("read"), whole[..length]);
        }
        fs::remove_file(&path).expect("remove");
        assert!(is_unusable(&stage.read("alice").await));
        assert!(!path.exists(), "it is not made anew");
        fs::write(&path, &whole).expect("write");
    }
    assert_eq!(stage.read("alice").await.expect("whole"), all());
}

#[tokio::test]
async fn files_and_values_of_another_session_do_not_open() {
    let stage = Stage::set();
    for user in ["alice", "bob"] {
        stage.fill(user).await;
    }
    // An empty one has nothing but its identity.
    let empty = stage.create("carol").await;
    empty.close().await;
    let own =
        [fs::read(stage.file("alice")), fs::read(stage.key("alice"))].map(|b| b.expect("read"));
    for other in ["bob", "carol"] {
        // Both of them would be a copy of the session, which is known by its device.
        for name in ["key", "vault.db"] {
            let copied = fs::copy(stage.dir(other).join(name), stage.dir("alice").join(name));
            copied.expect("copy");
            let found = stage.read("alice").await;
            assert!(is_unusable(&found), "{other}'s {name}: {found:?}");
            fs::write(stage.file("alice"), &own[0]).expect("write");
            fs::write(stage.key("alice"), &own[1]).expect("write");
        }
    }
    assert_eq!(stage.read("alice").await.expect("whole"), all());

    // Two values change places.
    let swap = rusqlite::Connection::open(stage.file("alice")).expect("open");
    let one = "SELECT min(place) FROM sealed WHERE place > X'00'";
    let other = "SELECT max(place) FROM sealed";
    let blob = |of: &str| -> Vec<u8> { swap.query_row(of, [], |row| row.get(0)).expect("a blob") };
    let places = [blob(one), blob(other)];
    let sealed = places
        .clone()
        .map(|place| table::sealed(&swap, &place).expect("read").expect("one"));
    table::put(&swap, &places[0], &sealed[1]).expect("put");
    table::put(&swap, &places[1], &sealed[0]).expect("put");
    drop(swap);
    assert!(is_unusable(&stage.read("alice").await));
}

#[tokio::test]
async fn pipes_directories_foreign_and_newer_files_are_told_at_once() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let (file, key) = (stage.file("alice"), stage.key("alice"));
    let whole = fs::read(&file).expect("read");
    let is_refused = async |path: &Path, words: &str| {
        let found = stage.read("alice").await;
        let why = found.expect_err("refused");
        assert!(matches!(why, SpaceError::Unusable { .. }), "{why}");
        assert!(why.to_string().contains(words), "{words}: {why}");
        let shown = path.display().to_string();
        assert!(why.to_string().contains(&shown), "{why}");
    };
    let mut newer = whole.clone();
    newer[63] += 1;
    fs::write(&file, &newer).expect("write");
    is_refused(&file, "a newer wasessiond").await;
    assert_eq!(fs::read(&file).expect("read"), newer);
    fs::write(
        &file,
        "text, but more than a header's hundred bytes: ".repeat(9),
    )
    .expect("write");
    is_refused(&file, "not an SQLite database").await;
    fs::remove_file(&file).expect("remove");
    let foreign = rusqlite::Connection::open(&file).expect("open");
    foreign
        .execute_batch("CREATE TABLE device (id)")
        .expect("a table");
    drop(foreign);
    is_refused(&file, "no vault").await;
    fs::write(&file, &whole).expect("write");
    for path in [&file, &key] {
        let bytes = fs::read(path).expect("read");
        fs::remove_file(path).expect("remove");
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        is_refused(path, "not a regular file").await;
        fs::remove_file(path).expect("remove");
        fs::create_dir(path).expect("mkdir");
        is_refused(path, "").await;
        fs::remove_dir(path).expect("rmdir");
        fs::write(path, bytes).expect("write");
    }
    let mut newer = fs::read(&key).expect("read");
    newer[14] += 1;
    fs::write(&key, &newer).expect("write");
    is_refused(&key, "a newer wasessiond").await;
}

#[tokio::test]
async fn a_file_that_another_connection_has_is_waited_for_and_is_not_corrupt() {
    let stage = Stage::set();
    stage.fill("alice").await;
    let other = rusqlite::Connection::open(stage.file("alice")).expect("open");
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE")
        .expect("locked");
    let found = stage.open("alice").await;
    assert!(is_unavailable(&found), "{found:?}");
    drop(other);
    assert_eq!(stage.read("alice").await.expect("unlocked"), all());
}
