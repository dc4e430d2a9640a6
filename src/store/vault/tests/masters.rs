//! The master key: where it comes from, a wrong one, its rotation.

use super::*;
use crate::blocking::Room;
use crate::protocol::UserId;

#[tokio::test]
async fn a_wrong_or_missing_master_key_is_said_and_makes_no_new_identity() {
    let mut stage = Stage::set();
    stage.fill("alice").await;
    let good = stage.masters.clone();
    let before =
        [fs::read(stage.file("alice")), fs::read(stage.key("alice"))].map(|b| b.expect("read"));
    stage.masters = MasterKeys::new(MasterKey::random().expect("a key"));
    for found in [
        stage.open("alice").await.map(drop),
        Vault::create(&stage.dir("alice"), &stage.masters, &stage.work)
            .await
            .map(drop),
    ] {
        let why = found.expect_err("a wrong key");
        assert!(matches!(why, SpaceError::Unusable { .. }), "{why}");
        assert!(
            why.to_string().contains("wrapped by the master key"),
            "{why}"
        );
    }
    let file = stage.state.join("key");
    let key = fs::read(&file).expect("read");
    fs::remove_file(&file).expect("remove");
    let why = MasterKeys::load(&stage.state, None).expect_err("missing");
    assert!(why.to_string().contains("is missing"), "{why}");
    assert!(!file.exists(), "it is not made anew");
    let mut damaged = key.clone();
    damaged[9] = if damaged[9] == b'0' { b'1' } else { b'0' };
    fs::write(&file, &damaged).expect("write");
    let why = MasterKeys::load(&stage.state, None).expect_err("damaged");
    assert!(why.to_string().contains("damaged"), "{why}");
    fs::write(&file, &key).expect("write");
    stage.masters = MasterKeys::load(&stage.state, None).expect("it is back");
    assert_eq!(stage.masters.current().id(), good.current().id());
    let after =
        [fs::read(stage.file("alice")), fs::read(stage.key("alice"))].map(|b| b.expect("read"));
    assert_eq!(after, before);
    assert_eq!(stage.read("alice").await.expect("it opens"), all());
}

#[test]
fn a_credential_is_any_32_bytes_or_64_hex_digits_and_comes_first() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (state, given) = (dir.path().join("state"), dir.path().join("credentials"));
    for dir in [&state, &given] {
        fs::create_dir(dir).expect("mkdir");
    }
    let file = given.join(CREDENTIAL);
    let load = || MasterKeys::load(&state, Some(&given));
    fs::write(&file, [0xab; 32]).expect("write");
    let raw = load().expect("raw bytes");
    assert!(raw.is_credential() && !state.join("key").exists());
    fs::write(&file, "aB".repeat(32) + "\n").expect("write");
    assert_eq!(load().expect("hex").current().id(), raw.current().id());
    for bad in [
        "",
        "short",
        &"ab".repeat(31),
        &("zz".to_owned() + &"ab".repeat(31)),
        // Sixteen bytes in hex.
        &"ab".repeat(16),
    ] {
        fs::write(&file, bad).expect("write");
        assert!(is_unusable(&load().map(drop)), "{bad:?}");
    }
    assert!(!format!("{raw:?}").contains("abab"));
}

async fn rotate_all(stage: &Stage, next: Option<MasterKey>) -> Result<Rotated, SpaceError> {
    let work = |_: &UserId| stage.work.clone();
    let room = Room::new("rotation", 1);
    rotate(&stage.state, &stage.masters, next, &room, work).await
}

#[tokio::test]
async fn a_rotation_wraps_every_key_anew_and_the_old_one_is_gone() {
    let mut stage = Stage::set();
    for user in ["alice", "bob", "carol"] {
        stage.fill(user).await;
    }
    let open = stage.open("alice").await.expect("it opens");
    let old = fs::read(stage.state.join("key")).expect("read");
    let mut bytes = fs::File::open(stage.state.join("key")).expect("open");
    // One is damaged, and holds up no other. It may come back from a backup, so the old key is kept.
    let whole = fs::read(stage.key("carol")).expect("read");
    fs::write(stage.key("carol"), "no key").expect("write");
    let next = MasterKey::random().expect("a key");
    let rotated = rotate_all(&stage, Some(next)).await.expect("rotated");
    assert_eq!(rotated.wrapped, 2);
    assert_eq!(rotated.unusable.len(), 1);
    assert!(stage.masters.is_rotating());
    assert_eq!(fs::read(stage.state.join("key")).expect("read"), old);
    fs::write(stage.key("carol"), whole).expect("write");
    let rotated = rotate_all(&stage, None).await.expect("rotated");
    assert_eq!((rotated.wrapped, rotated.unusable.len()), (1, 0));
    assert!(!stage.masters.is_rotating());
    for name in ["key.next", "key.old"] {
        assert!(!stage.state.join(name).exists(), "{name}");
    }
    let mut noise = Vec::new();
    std::io::Read::read_to_end(&mut bytes, &mut noise).expect("read");
    assert!(
        noise.len() == old.len() && noise != old,
        "it was overwritten"
    );
    assert_eq!(read(&open).await.expect("it goes on"), all());
    open.close().await;
    stage.masters = MasterKeys::load(&stage.state, None).expect("the new one");
    for user in ["alice", "bob", "carol"] {
        assert_eq!(stage.read(user).await.expect("it opens"), all());
    }
    fs::write(stage.state.join("key"), &old).expect("write");
    let why = MasterKeys::load(&stage.state, None).expect_err("the old one");
    assert!(why.to_string().contains("was in use"), "{why}");
    // Where somebody wants it so.
    fs::remove_file(stage.state.join("key.id")).expect("remove");
    stage.masters = MasterKeys::load(&stage.state, None).expect("the old one");
    assert!(is_unusable(&stage.read("alice").await));
    // No key is made beside what one has wrapped, whoever forgot to copy it.
    for name in ["key", "key.id"] {
        fs::remove_file(stage.state.join(name)).expect("remove");
    }
    fs::write(stage.state.join("state.key"), "wrapped").expect("write");
    let why = MasterKeys::load(&stage.state, None).expect_err("missing");
    assert!(why.to_string().contains("state.key"), "{why}");
    assert!(!stage.state.join("key").exists());
}

#[tokio::test]
async fn a_rotation_that_cannot_be_finished_takes_no_third_key() {
    let mut stage = Stage::set();
    for user in ["alice", "carol"] {
        stage.fill(user).await;
    }
    let whole = fs::read(stage.key("carol")).expect("read");
    fs::write(stage.key("carol"), "no key").expect("write");
    let begin = || Some(MasterKey::random().expect("a key"));
    let first = rotate_all(&stage, begin()).await.expect("rotated");
    assert!(first.begun && first.wrapped == 1 && !first.is_over());
    let files = || ["key", "key.next"].map(|name| fs::read(stage.state.join(name)).expect("read"));
    let before = files();
    // The next key lies where a third one would.
    let second = rotate_all(&stage, begin()).await.expect("looked");
    assert!(!second.begun && second.wrapped == 0 && second.unusable.len() == 1);
    assert_eq!(files(), before);
    fs::write(stage.key("carol"), whole).expect("write");
    let third = rotate_all(&stage, begin()).await.expect("rotated");
    // Carol's with the second key, then both with the third.
    assert!(third.begun && third.wrapped == 3 && third.is_over());
    stage.masters = MasterKeys::load(&stage.state, None).expect("one key");
    assert!(!stage.masters.is_rotating());
    for user in ["alice", "carol"] {
        assert_eq!(stage.read(user).await.expect("it opens"), all());
    }
}

#[tokio::test]
async fn a_disk_that_hangs_under_one_user_holds_up_no_other() {
    let stage = Stage::set();
    for user in ["alice", "bob", "carol"] {
        stage.fill(user).await;
    }
    // Bob's earlier call hangs, in threads of its own: the clock goes on while nothing else is done.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let bobs = UncancellableWork::new(Room::new("hangs", 1));
    let hanging = bobs.clone();
    let hangs = tokio::spawn(async move { hanging.on_disk(move || wait.recv()).await });
    while bobs.is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let room = Room::of_the_caller("rotation");
    let others = UncancellableWork::new(room.clone());
    let work = |user: &UserId| match user.as_str() {
        "bob" => bobs.clone(),
        _ => others.clone(),
    };
    let next = Some(MasterKey::random().expect("a key"));
    let rotated = rotate(&stage.state, &stage.masters, next, &room, work).await;
    let rotated = rotated.expect("rotated");
    assert_eq!(rotated.wrapped, 2);
    let [(user, why)] = &rotated.unusable[..] else {
        panic!("{rotated:?}");
    };
    assert!(user.as_str() == "bob" && why.contains("hangs"), "{why}");
    assert!(stage.masters.is_rotating(), "the old key is kept");
    tokio::time::resume();
    drop(go);
    let _ = hangs.await.expect("it ends");
    bobs.gone().await;
    // The call that nobody waited for wrapped his key when it could.
    let rotated = rotate_all(&stage, None).await.expect("rotated");
    assert!(rotated.wrapped == 0 && rotated.is_over());
}

#[tokio::test]
async fn the_key_is_never_missing_beside_another_one() {
    let mut stage = Stage::set();
    stage.fill("alice").await;
    let key = stage.state.join("key");
    for other in ["key.next", "key.old"] {
        fs::rename(&key, stage.state.join(other)).expect("somebody's doing");
        stage.masters = MasterKeys::load(&stage.state, None).expect("it is found");
        assert!(key.exists() && !stage.state.join(other).exists(), "{other}");
        // A rotation now would write its next key over the only one.
        let next = MasterKey::random().expect("a key");
        assert_eq!(
            rotate_all(&stage, Some(next))
                .await
                .expect("rotated")
                .wrapped,
            1
        );
        assert_eq!(stage.read("alice").await.expect("it opens"), all());
    }
}

#[tokio::test]
async fn the_key_moves_into_a_credential() {
    let mut stage = Stage::set();
    stage.fill("alice").await;
    let given = stage.state.join("credentials");
    fs::create_dir(&given).expect("mkdir");
    fs::write(given.join(CREDENTIAL), [3; 32]).expect("write");
    stage.masters = MasterKeys::load(&stage.state, Some(&given)).expect("both");
    assert!(stage.masters.is_rotating());
    assert_eq!(stage.read("alice").await.expect("it opens"), all());
    assert_eq!(rotate_all(&stage, None).await.expect("rotated").wrapped, 1);
    assert!(!stage.state.join("key").exists());
    stage.masters = MasterKeys::load(&stage.state, Some(&given)).expect("one");
    assert!(!stage.masters.is_rotating());
    assert_eq!(stage.read("alice").await.expect("it opens"), all());
}
