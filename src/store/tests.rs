use std::os::unix::fs::PermissionsExt;

use super::*;

fn user(id: &str) -> UserId {
    id.parse().expect("a good id")
}

#[test]
fn one_daemon_a_directory() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path().join("state");
    let store = Store::open(&root).expect("first");
    let second = Store::open(&root).expect_err("second");
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    assert!(second.to_string().contains(&std::process::id().to_string()));
    drop(store);
    Store::open(&root).expect("after the first has gone");
}

#[test]
fn everything_is_private() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path().join("state");
    let store = Store::open(&root).expect("open");
    store
        .create(&user("alice"), &Record::new(1000))
        .expect("create");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    for path in [
        &root,
        &root.join("sessions"),
        &root.join("trash"),
        &root.join("sessions/alice"),
    ] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&root.join("sessions/alice/session.toml")), 0o600);
    assert_eq!(mode(&root.join("lock")), 0o600);
}

#[test]
fn a_record_comes_back_and_never_brings_a_session_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
    let mut record = Record::new(1000);
    store.create(&alice, &record).expect("create");
    record.targets = vec!["120363012345678901@g.us".parse().expect("jid")];
    record.desired = Desired::Down;
    store.save(&alice, &record).expect("save");
    match store.find(&alice).expect("find") {
        Found::Session(found) => assert_eq!(*found, record),
        other => panic!("{other:?}"),
    }
    fs::remove_dir_all(store.session_dir(&alice)).expect("remove");
    store.save(&alice, &record).expect_err("a late save");
    assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
}

#[test]
fn what_cannot_be_read_is_corrupt_not_absent() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    let file = store.session_dir(&alice).join("session.toml");
    store.create(&alice, &Record::new(1000)).expect("create");
    for (text, why) in [
        ("", "version"),
        ("version = 99\n", "newer"),
        ("version = 1\nowner = \"x\"\n", "owner"),
        ("\u{0}\u{0}\u{0}", "session.toml"),
    ] {
        fs::write(&file, text).expect("write");
        match store.find(&alice).expect("find") {
            Found::Unusable { why: told, .. } => assert!(told.contains(why), "{text:?}: {told}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    for (text, is_way_unknown) in [
        ("version = 99\n", false),
        ("version = 99\nproxy = \"none\"\n", true),
        ("version = 99\n[proxy]\nurl = \"x\"\n", true),
        ("version = 1\nproxy = socks5://x\n", true),
        ("version = 1\n[account]\nproxy = \"x\"\n", true),
        ("version = 1\nProxy = \"x\"\n", true),
        ("", true),
        ("\u{0}\u{0}\u{0}", true),
    ] {
        fs::write(&file, text).expect("write");
        let stand_in = store.stand_in(&alice);
        assert!(stand_in.is_stand_in);
        assert_eq!(stand_in.is_way_unknown, is_way_unknown, "{text:?}");
    }
    fs::remove_file(&file).expect("remove");
    assert!(store.stand_in(&alice).is_way_unknown);
    fs::write(store.vault_db(&alice), b"credentials").expect("write");
    assert!(matches!(store.find(&alice), Ok(Found::Unusable { .. })));
    assert!(store.vault_db(&alice).exists());
}

#[test]
fn a_directory_that_never_got_its_record_is_no_session() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    for left in [&[][..], &[".new-x"], &["key"], &["key", ".new-x"]] {
        let session = store.session_dir(&alice);
        fs::create_dir(&session).expect("mkdir");
        for name in left {
            fs::write(session.join(name), b"version").expect("write");
        }
        assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
        assert!(session.exists(), "a query changes nothing");
        store.tidy(&alice, None);
        assert!(!session.exists());
    }
}

#[test]
fn half_a_write_is_tidied_away_and_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    store.create(&alice, &Record::new(1000)).expect("create");
    let session = store.session_dir(&alice);
    let (half, theirs) = (session.join(".new-x"), session.join("theirs"));
    for file in [&half, &theirs] {
        fs::write(file, b"x").expect("write");
    }
    assert!(matches!(store.find(&alice), Ok(Found::Session(_))));
    assert!(half.exists(), "a query changes nothing");
    store.tidy(&alice, Some(&mut Record::new(1000)));
    assert!(!half.exists() && theirs.exists());
    assert!(matches!(store.find(&alice), Ok(Found::Session(_))));
    // A directory that is not empty stays, whatever was found.
    store.tidy(&alice, None);
    assert!(theirs.exists());
}

#[test]
fn a_session_that_cannot_be_sealed_is_not_made() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let mut record = Record::new(1000);
    record.expect = Some("+15550100999".parse().expect("a number"));
    store.create(&user("alice"), &record).expect("create");
    drop(store);
    fs::remove_file(dir.path().join("key")).expect("lose the master key");
    let store = Store::open(dir.path()).expect("it opens");
    let why = store.create(&user("bob"), &record).expect_err("no key");
    assert!(
        why.to_string()
            .contains("is missing: neither the credential"),
        "{why}"
    );
    assert!(!store.session_dir(&user("bob")).exists());
    // A key that cannot be written leaves nothing, either.
    let next = tempfile::tempdir().expect("tempdir");
    let store = Store::open(next.path()).expect("open");
    fs::create_dir(next.path().join("key")).expect("something in its place");
    store.create(&user("bob"), &record).expect_err("no key");
    assert!(!store.session_dir(&user("bob")).exists());
}

#[test]
fn a_new_session_never_takes_what_it_did_not_make() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    let session = store.session_dir(&alice);
    for theirs in [false, true] {
        fs::create_dir(&session).expect("mkdir");
        if theirs {
            fs::write(session.join("theirs"), b"precious").expect("write");
        }
        let refused = store
            .create(&alice, &Record::new(1000))
            .expect_err("it is there");
        assert!(matches!(refused, StoreError::Unusable { .. }), "{refused}");
        assert!(refused.to_string().contains("already"), "{refused}");
        assert_eq!(session.join("theirs").exists(), theirs);
        fs::remove_dir_all(&session).expect("remove");
    }
    fs::write(&session, b"a file").expect("write");
    store
        .create(&alice, &Record::new(1000))
        .expect_err("it is there");
    assert_eq!(fs::read(&session).expect("read"), b"a file");
}

#[test]
fn the_lock_is_the_directorys_own() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (root, link) = (dir.path().join("state"), dir.path().join("link"));
    let store = Store::open(&root).expect("first");
    std::os::unix::fs::symlink(&root, &link).expect("link");
    let refused = |root: &Path| {
        let refused = Store::open(root).expect_err("it is held");
        assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    };
    refused(&link);
    fs::remove_file(root.join("lock")).expect("remove");
    refused(&root);
    fs::write(root.join("lock"), b"").expect("replace");
    refused(&root);
    refused(&link);
    drop(store);
    Store::open(&link).expect("after the first has gone");
}

#[test]
fn a_directory_that_was_replaced_is_noticed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (root, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let store = Store::open(&root).expect("open");
    assert!(store.answers());
    fs::rename(&root, &aside).expect("rename");
    assert!(!store.answers(), "nothing is there");
    fs::create_dir(&root).expect("mkdir");
    assert!(!store.answers(), "another is there");
    fs::remove_dir(&root).expect("rmdir");
    fs::rename(&aside, &root).expect("rename");
    assert!(store.answers());
}

/// Only root can give a directory away.
#[test]
fn the_directory_of_another_user_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path().join("state");
    drop(Store::open(&root).expect("open"));
    for part in ["sessions", "."] {
        let place = root.join(part);
        if let Err(e) = std::os::unix::fs::chown(&place, Some(54_321), None) {
            assert_eq!(e.kind(), io::ErrorKind::PermissionDenied);
            return;
        }
        let refused = Store::open(&root).expect_err("it is another user's");
        let told = refused.to_string();
        assert!(
            matches!(refused, StoreError::Foreign { owner: 54_321, .. }),
            "{told}"
        );
        for word in ["uid 54321", "--state", "as that user"] {
            assert!(told.contains(word), "{told}");
        }
        let uid = nix::unistd::geteuid().as_raw();
        std::os::unix::fs::chown(&place, Some(uid), None).expect("take it back");
    }
}

#[test]
fn a_record_that_cannot_be_opened_now_is_not_unusable() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    store.create(&alice, &Record::new(1000)).expect("create");
    let file = store.session_dir(&alice).join("session.toml");
    fs::remove_file(&file).expect("remove");
    // What the kernel refuses to open for root, too.
    std::os::unix::fs::symlink(&file, &file).expect("a loop");
    let unavailable = store.find(&alice).expect_err("it cannot be opened");
    assert!(
        matches!(unavailable, StoreError::Unavailable { .. }),
        "{unavailable}"
    );
}

#[test]
fn pipes_in_the_place_of_files_stall_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice = user("alice");
    store.create(&alice, &Record::new(1000)).expect("create");
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(path, mode).expect("a pipe");
    };
    pipe(&store.session_dir(&alice).join("session.toml"));
    assert!(matches!(store.find(&alice), Ok(Found::Unusable { .. })));
    drop(store);
    pipe(&dir.path().join("lock"));
    let refused = Store::open(dir.path()).expect_err("a pipe").to_string();
    assert!(refused.contains("not a regular file"), "{refused}");
}

#[test]
fn strangers_are_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    store.create(&user("bob"), &Record::new(0)).expect("create");
    store
        .create(&user("alice"), &Record::new(0))
        .expect("create");
    fs::create_dir(dir.path().join("sessions/.hidden")).expect("mkdir");
    let (users, strangers) = store.users().expect("users");
    assert_eq!(users, [user("alice"), user("bob")]);
    assert_eq!(strangers, [dir.path().join("sessions/.hidden")]);
}

#[test]
fn a_start_knows_whether_the_daemon_before_it_died() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Store::open(dir.path()).expect("a store");
    assert!(!open().was_left_by_a_crash(), "there was none");
    assert!(open().was_left_by_a_crash(), "it was not stopped");
    open().ends_well();
    assert!(!open().was_left_by_a_crash(), "it was stopped");
    // Whatever somebody wrote into the file.
    fs::write(dir.path().join("lock"), "no pid").expect("write");
    assert!(!open().was_left_by_a_crash());
}
