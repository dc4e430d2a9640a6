use std::os::unix::fs::symlink;

use tokio::task::JoinSet;

use super::super::{AccountLock, Found, Record};
use super::fixtures::intent;
use super::*;
use crate::protocol::{Account, Cause, Redacted, Unlink};

fn store_with_alice(root: &Path) -> (Store, UserId) {
    let store = Store::open(root).expect("open");
    let alice: UserId = "alice".parse().expect("id");
    store.create(&alice, &Record::new(1000)).expect("create");
    fs::write(store.vault_db(&alice), b"0123456789").expect("write");
    (store, alice)
}

fn history(store: &Store) -> Arc<History> {
    Arc::new(store.history(1000).expect("history"))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("read")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What is left of sessions, and of the intents.
fn left(root: &Path) -> (Vec<String>, Vec<String>, u64) {
    let intents = fs::metadata(root.join("intents.jsonl"));
    (
        names(&root.join("sessions")),
        names(&root.join("trash")),
        intents.map_or(0, |about| about.len()),
    )
}

const NOTHING: (Vec<String>, Vec<String>, u64) = (Vec::new(), Vec::new(), 0);

#[tokio::test]
async fn a_removal_leaves_nothing_and_can_be_repeated() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let history = history(&store);
    let mut removal = store.removal(&alice);
    assert!(!removal.is_committed());
    let entry = removal.carry_out(&intent("alice"), &history).await;
    let entry = entry.expect("it is removed");
    assert!(removal.is_committed());
    assert_eq!(entry.removed.files, 2);
    assert!(entry.removed.bytes > 10);
    assert_eq!(left(dir.path()), NOTHING);
    let again = removal.carry_out(&intent("alice"), &history).await;
    assert_eq!(again.expect("again"), entry);
    assert_eq!(history.read().newest_first().collect::<Vec<_>>(), [&entry]);
}

#[tokio::test]
async fn a_crash_after_the_rename_leaves_the_line_for_the_history() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let mut removal = store.removal(&alice);
    removal.commit(&intent("alice")).await.expect("commit");
    let id = removal.id.clone();
    drop((removal, store));
    let store = Store::open(dir.path()).expect("the next start");
    let mut found = store.leftovers().expect("leftovers");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, id);
    let entry = found[0].entry.clone().expect("entry");
    assert_eq!((entry.cause, entry.removed.files), (Cause::ForceLogout, 2));
    assert_eq!(entry.removed.targets, 2);
    let token = entry.appeal_token.as_ref().expect("the token");
    assert_eq!(token.reveal(), "token-4711");
    let history = history(&store);
    found[0].conclude(&history).await.expect("conclude");
    assert!(store.leftovers().expect("leftovers").is_empty());
    assert_eq!(history.read().newest_first().collect::<Vec<_>>(), [&entry]);
    assert_eq!(left(dir.path()), NOTHING);
}

#[tokio::test]
async fn what_a_failed_task_left_is_found_without_a_look_at_the_rest_of_the_trash() {
    let dir = tempfile::tempdir().expect("tempdir");
    // Of an earlier run; nobody has finished it yet.
    let earlier = dir.path().join("trash/alice.unlinked.01");
    fs::create_dir_all(&earlier).expect("mkdir");
    let (store, alice) = store_with_alice(dir.path());
    assert_eq!(store.unfinished(&alice).len(), 0);
    // Two ends whose removals were broken off. The clock was set back between them.
    let mut intent = intent("alice");
    let mut ids = Vec::new();
    for at in [60, 0] {
        if !store.session_dir(&alice).exists() {
            store.create(&alice, &Record::new(1000)).expect("create");
        }
        intent.at = jiff::Timestamp::from_second(at).expect("a time");
        let mut removal = store.removal(&alice);
        removal.commit(&intent).await.expect("commit");
        ids.push(removal.id.clone());
    }
    let bob: UserId = "bob".parse().expect("id");
    assert_eq!(store.unfinished(&bob).len(), 0);
    let mut found = store.unfinished(&alice);
    let found_ids: Vec<_> = found.iter().map(|left| left.id.clone()).collect();
    assert_eq!(found_ids, ids, "in the order in which they ended");
    let entry = found[1].entry.as_ref().expect("its line");
    assert_eq!(entry.at, intent.at);
    assert_eq!(store.unfinished(&alice).len(), 0, "they are taken");
    let history = history(&store);
    for left in &mut found {
        left.conclude(&history).await.expect("conclude");
    }
    assert_eq!(names(&dir.path().join("trash")), ["alice.unlinked.01"]);
}

/// Puts something in the way of the removal: a rename onto a non-empty directory fails, for root too.
fn in_the_way(store: &Store, removal: &Removal) -> PathBuf {
    let name = trash::name(&intent("alice"), &removal.id);
    let obstacle = store.trash().join(name);
    fs::create_dir(&obstacle).expect("mkdir");
    fs::write(obstacle.join("x"), b"x").expect("write");
    obstacle
}

#[tokio::test]
async fn a_rename_that_was_not_made_leaves_nothing_to_finish() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let mut removal = store.removal(&alice);
    let obstacle = in_the_way(&store, &removal);
    removal
        .commit(&intent("alice"))
        .await
        .expect_err("something is in the way");
    fs::remove_dir_all(&obstacle).expect("rmdir");
    let id = removal.id.clone();
    drop(removal);
    assert_eq!(store.unfinished(&alice).len(), 0);
    assert!(store.intents().get(&id).is_none(), "its intent is dropped");
    assert!(store.vault_db(&alice).exists());
}

#[tokio::test]
async fn an_intent_without_its_rename_is_dropped_and_the_session_goes_on() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let mut removal = store.removal(&alice);
    removal.prepare(&intent("alice")).await.expect("prepare");
    std::mem::forget(removal);
    let (sessions, _, intents) = left(dir.path());
    assert!(sessions == ["alice"] && intents > 0);
    let copy = dir.path().join("copy");
    fs::copy(dir.path().join("intents.jsonl"), &copy).expect("copy");
    let elsewhere = tempfile::tempdir().expect("tempdir");
    fs::copy(copy, elsewhere.path().join("intents.jsonl")).expect("copy");
    let store = Store::open(elsewhere.path()).expect("the next start");
    assert!(store.leftovers().expect("leftovers").is_empty());
    assert_eq!(left(elsewhere.path()), NOTHING);
}

#[tokio::test]
async fn a_failed_rename_leaves_the_session_whole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let history = history(&store);
    let mut removal = store.removal(&alice);
    let obstacle = in_the_way(&store, &removal);
    let failed = removal.carry_out(&intent("alice"), &history).await;
    let failed = failed.expect_err("the rename").to_string();
    let session = store.session_dir(&alice).display().to_string();
    assert!(
        failed.starts_with(&format!("{session} is left: ")),
        "{failed}"
    );
    assert!(!removal.is_committed());
    assert!(store.vault_db(&alice).exists());
    fs::remove_dir_all(&obstacle).expect("rmdir");
    let removed = removal.carry_out(&intent("alice"), &history).await;
    removed.expect("once the way is free");
    assert_eq!(left(dir.path()), NOTHING);
}

#[tokio::test]
async fn a_user_with_dots_keeps_its_id_apart() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let user: UserId = "a.b.c".parse().expect("id");
    store.create(&user, &Record::new(0)).expect("create");
    let mut removal = store.removal(&user);
    removal.commit(&intent("a.b.c")).await.expect("commit");
    let found = store.leftovers().expect("leftovers");
    let named = (found[0].user.as_str(), found[0].id.as_str());
    assert_eq!(named, ("a.b.c", removal.id.as_str()));
}

#[tokio::test]
async fn without_an_intent_the_name_and_the_record_tell_the_most_of_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let mut removal = store.removal(&alice);
    removal.commit(&intent("alice")).await.expect("commit");
    // As a full disk would have left it.
    drop((removal, store));
    fs::write(dir.path().join("intents.jsonl"), b"{\"id").expect("tear it");
    let store = Store::open(dir.path()).expect("the next start");
    let found = store.leftovers().expect("leftovers");
    let entry = found[0].entry.clone().expect("entry");
    assert_eq!((&entry.user, entry.cause), (&alice, Cause::ForceLogout));
    assert_eq!((entry.owner, entry.unlink), (1000, Unlink::Unreachable));
    assert_eq!(entry.removed.files, 2);
}

#[tokio::test]
async fn without_an_intent_the_record_keeps_what_whatsapp_said_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let alice: UserId = "alice".parse().expect("id");
    let mut lock = AccountLock::new(jiff::Timestamp::UNIX_EPOCH);
    lock.seen(lock.since, Some("locked".to_owned()), Some("once".into()));
    let mut record = Record::new(1000);
    record.lock = Some(lock);
    store.create(&alice, &record).expect("create");
    let mut removal = store.removal(&alice);
    removal.commit(&intent("alice")).await.expect("commit");
    drop((removal, store));
    fs::remove_file(dir.path().join("intents.jsonl")).expect("a disk that had no room for it");

    let store = Store::open(dir.path()).expect("the next start");
    let mut found = store.leftovers().expect("leftovers");
    let history = history(&store);
    found[0].conclude(&history).await.expect("conclude");
    let lines = history.read();
    let line = lines.newest_first().next().expect("a line");
    let token = line.appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!(
        (token, line.text.as_deref()),
        (Some("once"), Some("locked"))
    );
}

#[tokio::test]
async fn a_history_that_cannot_be_written_loses_nothing_that_belongs_into_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let broken = history(&store);
    let file = dir.path().join("history.jsonl");
    fs::create_dir(&file).expect("something in its place");
    let mut removal = store.removal(&alice);
    let failed = removal.carry_out(&intent("alice"), &broken).await;
    let failed = failed.expect_err("no history").to_string();
    assert!(failed.contains("history.jsonl"), "{failed}");
    // What takes room is gone; what tells whose session it was is not.
    let moved = removal.moved.clone().expect("it was moved");
    assert_eq!(names(&moved), ["session.toml"]);
    let found = store.leftovers().expect("leftovers");
    let entry = found[0].entry.clone().expect("entry");
    assert_eq!(entry.removed.files, 2);
    fs::remove_dir(&file).expect("rmdir");
    let told = removal.carry_out(&intent("alice"), &broken).await;
    assert_eq!(told.expect("again"), entry);
    assert_eq!(left(dir.path()), NOTHING);
}

#[tokio::test]
async fn intents_that_cannot_be_written_stop_no_removal() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    fs::create_dir(dir.path().join("intents.jsonl")).expect("something in its place");
    let mut removal = store.removal(&alice);
    let removed = removal.carry_out(&intent("alice"), &history(&store)).await;
    removed.expect("it is removed all the same");
    assert_eq!(names(&dir.path().join("sessions")), Vec::<String>::new());
    assert_eq!(names(&dir.path().join("trash")), Vec::<String>::new());
}

#[tokio::test]
async fn whatever_stands_in_the_place_of_a_session_is_erased() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let history = history(&store);
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("theirs"), b"x").expect("write");
    for what in ["file", "link", "dangling link", "loop", "deep", "pipe"] {
        let user: UserId = "alice".parse().expect("id");
        let place = store.session_dir(&user);
        match what {
            "file" => fs::write(&place, b"a file"),
            "link" => symlink(&outside, &place),
            "loop" => symlink(&place, &place),
            "dangling link" => symlink("nowhere", &place),
            "pipe" => nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU)
                .map_err(std::io::Error::from),
            _ => fs::create_dir_all(place.join("a/b/c")),
        }
        .expect(what);
        let mut removal = store.removal(&user);
        let removed = removal.carry_out(&intent("alice"), &history).await;
        removed.expect(what);
        assert_eq!(left(dir.path()), NOTHING, "{what}");
    }
    assert_eq!(names(&outside), ["theirs"], "what a link points to stays");
}

#[tokio::test]
async fn pipes_in_the_trash_stall_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let moved = dir.path().join("trash/alice.unlinked.01");
    fs::create_dir(&moved).expect("mkdir");
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&moved.join("session.toml"), mode).expect("a pipe");
    let mut found = store.leftovers().expect("leftovers");
    let entry = found[0].entry.clone().expect("from its name");
    assert_eq!(entry.cause, Cause::Unlinked);
    let concluded = found[0].conclude(&history(&store)).await;
    concluded.expect("conclude");
    assert_eq!(left(dir.path()), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_leave_nothing_and_a_line_each() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let history = history(&store);
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let user: UserId = format!("u{n}").parse().expect("id");
        store.create(&user, &Record::new(1000)).expect("create");
        let (store, history) = (store.clone(), Arc::clone(&history));
        tasks.spawn(async move {
            let mut removal = store.removal(&user);
            let intent = intent(user.as_str());
            removal.carry_out(&intent, &history).await.map(|_| ())
        });
    }
    for done in tasks.join_all().await {
        done.expect("it is removed");
    }
    assert_eq!(left(dir.path()), NOTHING);
    let mut users: Vec<_> = history
        .read()
        .newest_first()
        .map(|e| e.user.clone())
        .collect();
    users.sort();
    users.dedup();
    assert_eq!(users.len(), 200);
}

fn alices_account() -> Account {
    Account {
        jid: "15550100999:7@s.whatsapp.net".to_owned(),
        phone: "+15550100999".to_owned(),
        name: Some("Alice".to_owned()),
    }
}

/// Where neither the intent nor the line can be written, only the record says whose session it was: its key is
/// destroyed when the line is durable, and not before.
#[tokio::test]
async fn a_record_that_is_needed_keeps_its_key_until_its_line_is_written() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (store, alice) = store_with_alice(dir.path());
    let mut record = Record::new(1000);
    record.account = Some(alices_account());
    // Her key is made with the record.
    fs::remove_file(store.vault_db(&alice)).expect("remove");
    store.save(&alice, &record).expect("save");
    let broken = history(&store);
    for name in ["intents.jsonl", "history.jsonl"] {
        fs::create_dir(dir.path().join(name)).expect("something in its place");
    }
    let mut key = fs::File::open(store.session_dir(&alice).join("key")).expect("a key");
    let mut removal = store.removal(&alice);
    let failed = removal.carry_out(&intent("alice"), &broken).await;
    failed.expect_err("no history");
    let moved = removal.moved.clone().expect("it was moved");
    assert_eq!(names(&moved), ["key", "session.toml"]);
    drop((removal, store));
    for name in ["intents.jsonl", "history.jsonl"] {
        fs::remove_dir(dir.path().join(name)).expect("rmdir");
    }

    let before = fs::read(moved.join("key")).expect("read");
    let store = Store::open(dir.path()).expect("the next start");
    let mut found = store.leftovers().expect("leftovers");
    let entry = found[0].entry.clone().expect("entry");
    assert_eq!(entry.account, Some(alices_account()));
    let history = history(&store);
    found[0].conclude(&history).await.expect("conclude");
    assert_eq!(history.read().newest_first().collect::<Vec<_>>(), [&entry]);
    assert_eq!(left(dir.path()), NOTHING);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut key, &mut bytes).expect("read");
    assert!(
        bytes.len() == before.len() && bytes != before,
        "it is destroyed"
    );
}

/// The session's key is lost. Its end is recorded, without what nobody can read.
#[tokio::test]
async fn a_session_whose_key_is_lost_leaves_nothing() {
    for has_intent in [true, false] {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut record = Record::new(1000);
        record.account = Some(alices_account());
        // Her key is made with the record.
        fs::remove_file(store.vault_db(&alice)).expect("remove");
        store.save(&alice, &record).expect("save");
        fs::write(store.session_dir(&alice).join("key"), "damaged").expect("write");
        let found = store.find(&alice).expect("found");
        let is_hers = matches!(&found, Found::Unusable { owner: 1000, why } if why.contains("key"));
        assert!(is_hers, "{found:?}");
        if has_intent {
            let mut removal = store.removal(&alice);
            let removed = removal.carry_out(&intent("alice"), &history(&store)).await;
            removed.expect("removed");
        } else {
            let mut removal = store.removal(&alice);
            removal.commit(&intent("alice")).await.expect("commit");
            drop((removal, store));
            fs::remove_file(dir.path().join("intents.jsonl")).expect("remove");
            let store = Store::open(dir.path()).expect("the next start");
            let mut found = store.leftovers().expect("leftovers");
            let entry = found[0].entry.clone().expect("entry");
            assert_eq!((entry.owner, &entry.account), (1000, &None));
            found[0].conclude(&history(&store)).await.expect("conclude");
        }
        assert_eq!(left(dir.path()), NOTHING);
    }
}

#[tokio::test]
async fn what_a_former_version_left_in_the_trash_in_clear_is_destroyed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::open(dir.path()).expect("open");
    let moved = dir.path().join("trash/alice.unlinked.01");
    fs::create_dir(&moved).expect("mkdir");
    let text = "version = 1\nowner = 7\ncreated_at = \"2026-11-24T09:00:00Z\"\ndesired = \"up\"\n\
        [account]\njid = \"15550100999:7@s.whatsapp.net\"\nphone = \"+15550100999\"\nname = \"Alice\"\n";
    fs::write(moved.join("session.toml"), text).expect("write");
    let mut open = fs::File::open(moved.join("session.toml")).expect("open");
    let mut found = store.leftovers().expect("leftovers");
    let entry = found[0].entry.clone().expect("entry");
    assert_eq!((entry.owner, entry.account), (7, Some(alices_account())));
    found[0].conclude(&history(&store)).await.expect("conclude");
    assert_eq!(left(dir.path()), NOTHING);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut open, &mut bytes).expect("read");
    assert!(
        bytes.len() == text.len() && bytes != text.as_bytes(),
        "it is noise"
    );
}
