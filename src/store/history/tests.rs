use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::protocol::fixtures::bare_entry;
use crate::protocol::{Account, Cause, Unlink};
use crate::store::masters::Masters;

fn entry(user: &str) -> HistoryEntry {
    HistoryEntry {
        appeal_token: Some("token".into()),
        ..bare_entry(user, Cause::Unlinked)
    }
}

fn owned(user: &str, owner: u32) -> HistoryEntry {
    HistoryEntry {
        owner,
        ..entry(user)
    }
}

fn abandoned(user: &str, owner: u32) -> HistoryEntry {
    HistoryEntry {
        owner,
        ..bare_entry(user, Cause::PairingAbandoned)
    }
}

fn seal(path: &Path) -> LineSeal {
    let state = path.parent().expect("a directory");
    LineSeal::new(state, Masters::new(state, None))
}

fn open(path: &Path, limit: usize) -> History {
    History::open(path, limit, Room::new("history", 1), seal(path)).expect("open")
}

fn users(history: &History) -> Vec<String> {
    history
        .read()
        .newest_first()
        .map(|e| e.user.to_string())
        .collect()
}

/// Waits until nothing is written, shortening included.
async fn settled(history: &History) {
    let nothing = |_: &mut OnDisk, _| Ok(());
    let line = Line::new("", entry("nobody"));
    let done = history.log.commit(line, nothing, |_| ()).await;
    done.expect("nothing is written");
}

fn shorten_now(history: &History) -> Result<u64, StoreError> {
    shorten(&history.path, &history.memory, &history.seal, false)
}

async fn put(history: &History, id: impl ToString, entry: &HistoryEntry) {
    let appended = history.append(&id.to_string(), entry).await;
    appended.expect("append");
}

#[tokio::test]
async fn entries_come_back_newest_first_and_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let history = open(&path, 10);
    for (id, user) in [("1", "a"), ("2", "b"), ("2", "b")] {
        put(&history, id, &entry(user)).await;
    }
    assert_eq!(users(&history), ["b", "a"]);
    let again = open(&path, 10);
    assert_eq!(users(&again), ["b", "a"]);
    assert_eq!(again.read().newest_first().next(), Some(&entry("b")));
    assert!(again.read().contains("1") && !again.read().contains("3"));
}

#[tokio::test]
async fn it_is_bounded_in_memory_and_on_the_disk() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let history = open(&path, 3);
    for n in 0..20 {
        put(&history, n, &entry(&format!("u{n}"))).await;
        let lines = fs::read_to_string(&path).expect("read").lines().count();
        assert!(lines <= 7, "{lines} lines");
    }
    assert_eq!(users(&history), ["u19", "u18", "u17"]);
    settled(&history).await;
    assert_eq!(users(&open(&path, 3)), ["u19", "u18", "u17"]);
}

#[tokio::test]
async fn a_torn_line_is_dropped_and_the_rest_kept() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    put(&open(&path, 10), 1, &entry("a")).await;
    let mut text = fs::read_to_string(&path).expect("read");
    text.push_str("{\"id\":\"2\",\"entry\":{\"at\":");
    fs::write(&path, text).expect("write");
    let history = open(&path, 10);
    assert_eq!(users(&history), ["a"]);
    put(&history, 3, &entry("c")).await;
    assert_eq!(users(&open(&path, 10)), ["c", "a"]);
}

#[tokio::test]
async fn a_line_of_a_newer_version_is_kept() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let newer = "{\"id\":\"9\",\"entry\":{\"cause\":\"of tomorrow\"}}";
    fs::write(&path, format!("{newer}\n")).expect("write");
    let history = open(&path, 4);
    for n in 0..3 {
        put(&history, n, &entry("a")).await;
    }
    assert_eq!(users(&history), ["a", "a", "a"]);
    assert_eq!(shorten_now(&history).expect("shorten"), 4);
    let text = fs::read_to_string(&path).expect("read");
    assert_eq!(text.lines().next(), Some(newer));
    assert_eq!(text.lines().count(), 4);
}

#[tokio::test]
async fn what_a_newer_version_put_into_a_line_stays_when_the_file_is_rewritten() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    put(&open(&path, 10), "1", &entry("a")).await;
    let known = fs::read_to_string(&path).expect("read");
    let newer = known.replacen('{', "{\"sequence\":7,", 1).replacen(
        "\"entry\":{",
        "\"entry\":{\"colour\":\"blue\",",
        1,
    );
    fs::write(&path, &newer).expect("write");
    put(&open(&path, 10), "2", &entry("a")).await;
    let history = open(&path, 10);
    assert_eq!(users(&history), ["a", "a"], "what is known of it is read");
    shorten_now(&history).expect("shorten");
    let again = fs::read_to_string(&path).expect("read");
    assert_eq!(again.lines().next(), newer.lines().next());
    // Only what differs is kept twice.
    let history = open(&path, 10);
    let memory = read(&history.memory);
    let are_own = memory.before(None).map(Line::is_own);
    assert_eq!(are_own.collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn many_lines_at_once_are_all_there_and_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let history = Arc::new(open(&path, 1000));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let history = Arc::clone(&history);
        // Each of them twice.
        tasks.spawn(async move { put(&history, n / 2, &entry(&format!("u{}", n / 2))).await });
    }
    tasks.join_all().await;
    let mut found = users(&open(&path, 1000));
    found.sort();
    let mut wanted: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn nobodys_ends_are_lost_to_another_owners_churn() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let history = open(&path, 10);
    for n in 0..3 {
        put(&history, format!("bob{n}"), &owned(&format!("bob{n}"), 2)).await;
    }
    for n in 0..40 {
        put(&history, n, &owned(&format!("u{n}"), 1)).await;
    }
    let wanted = [
        "u39", "u38", "u37", "u36", "u35", "u34", "u33", "bob2", "bob1", "bob0",
    ];
    assert_eq!(users(&history), wanted);
    // Neither when it is read again, in whatever state the file is.
    assert_eq!(users(&open(&path, 10)), wanted);
    settled(&history).await;
    assert_eq!(users(&open(&path, 10)), wanted);
}

#[tokio::test]
async fn pairings_given_up_go_before_real_ends() {
    let dir = tempfile::tempdir().expect("tempdir");
    let history = open(&dir.path().join("history.jsonl"), 5);
    for n in 0..4 {
        put(&history, format!("real{n}"), &owned(&format!("real{n}"), 1)).await;
    }
    for n in 0..50 {
        let mut line = abandoned(&format!("p{n}"), 1);
        if n % 2 == 0 {
            line.cause = Cause::ForceLogout;
            line.unlink = Unlink::NotLinked;
        }
        put(&history, n, &line).await;
        // Whoever was told of the last one finds it.
        let user = line.user.clone();
        assert_eq!(
            history
                .read()
                .last_of(&user, |_| true)
                .map(|(_, entry)| entry),
            Some(&line)
        );
    }
    assert_eq!(users(&history), ["p49", "real3", "real2", "real1", "real0"]);
    put(&history, "real4", &owned("real4", 1)).await;
    assert_eq!(
        users(&history),
        ["real4", "real3", "real2", "real1", "real0"]
    );
}

#[tokio::test]
async fn it_is_bounded_in_bytes_too() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let history = open(&path, 20);
    put(&history, "small", &owned("small", 2)).await;
    for n in 0..40 {
        let mut line = owned(&format!("u{n}"), 1);
        line.text = Some("\u{1}".repeat(4000));
        put(&history, n, &line).await;
    }
    // Each is of more than 32 000 bytes, so it counts as eight.
    assert_eq!(users(&history), ["u39", "u38", "small"]);
    settled(&history).await;
    assert!(fs::metadata(&path).expect("a file").len() < 40 * 4096);
}

#[tokio::test]
async fn a_user_or_an_owner_is_found_among_others() {
    let dir = tempfile::tempdir().expect("tempdir");
    let history = open(&dir.path().join("history.jsonl"), 100);
    let lines = [
        owned("alice", 1),
        owned("bob", 1),
        abandoned("alice", 2),
        abandoned("alice", 1),
        owned("alicia", 1),
    ];
    for (n, line) in lines.iter().enumerate() {
        put(&history, n, line).await;
    }
    let entries = history.read();
    let alice: UserId = "alice".parse().expect("an id");
    let ghost: UserId = "ghost".parse().expect("an id");
    let found = |before: Option<&str>, user: Option<&UserId>, owner| -> Vec<String> {
        let found = entries.select(before, user, owner);
        found.map(|(id, _)| id.to_owned()).collect()
    };
    assert_eq!(found(None, None, None), ["4", "3", "2", "1", "0"]);
    assert_eq!(found(Some("3"), None, None), ["2", "1", "0"]);
    assert_eq!(found(None, Some(&alice), None), ["3", "2", "0"]);
    assert_eq!(found(Some("3"), Some(&alice), None), ["2", "0"]);
    assert_eq!(found(None, Some(&alice), Some(1)), ["3", "0"]);
    assert_eq!(found(None, None, Some(1)), ["4", "3", "1", "0"]);
    assert_eq!(found(Some("3"), None, Some(1)), ["1", "0"]);
    assert!(found(None, Some(&ghost), None).is_empty());
    assert!(found(Some("none"), None, None).is_empty());
    assert_eq!(
        entries.last_of(&alice, |_| true).map(|(_, entry)| entry),
        Some(&lines[3])
    );
    assert_eq!(
        entries
            .last_of(&alice, |owner| owner == 2)
            .map(|(_, entry)| entry),
        Some(&lines[2])
    );
    assert_eq!(entries.last_of(&alice, |owner| owner == 3), None);
    assert_eq!(entries.last_of(&ghost, |_| true), None);
}

#[tokio::test]
async fn a_reader_whose_line_is_forgotten_goes_on_from_there() {
    let dir = tempfile::tempdir().expect("tempdir");
    let history = open(&dir.path().join("history.jsonl"), 4);
    put(&history, "bob", &owned("bob", 2)).await;
    for n in 0..10 {
        put(&history, n, &owned(&format!("u{n}"), 1)).await;
    }
    let entries = history.read();
    let older: Vec<_> = entries.before(Some("5")).map(|(id, _)| id).collect();
    assert_eq!(older, ["bob"], "5 is forgotten, and bob is older");
}

/// A look-up in a long history costs what it costs in a short one.
#[test]
fn look_ups_do_not_grow_with_it() {
    let fill = |lines: usize| {
        let mut memory = Memory::new(lines);
        for n in 0..lines {
            let owner = u32::try_from(n % 7).expect("small");
            let line = Line::new(&n.to_string(), owned(&format!("u{n}"), owner));
            memory.push(Kept::Line(Arc::new(Weighed::new(line, 1))));
        }
        memory
    };
    let (short, long) = (fill(100), fill(50_000));
    let ghost: UserId = "ghost".parse().expect("an id");
    let time = |memory: &Memory| {
        let began = Instant::now();
        for _ in 0..1000 {
            assert!(memory.last_of(&ghost, |_| true).is_none());
            assert!(!memory.contains("ghost"));
            assert_eq!(memory.select(Some("50"), None, Some(3)).count(), 7);
            assert_eq!(memory.before(Some("10")).count(), 10);
        }
        began.elapsed()
    };
    time(&short);
    let (short, long) = (time(&short), time(&long));
    let most = short * 20 + Duration::from_millis(20);
    assert!(long < most, "{long:?} among 50 000, {short:?} among 100");
}

#[test]
fn a_pipe_in_its_place_is_told_and_waits_for_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let room = Room::new("history", 1);
    let refused = History::open(&path, 9, room, seal(&path)).expect_err("a pipe");
    assert!(
        refused.to_string().contains("not a regular file"),
        "{refused}"
    );
}

/// What a reader finds in the file, key or no key.
const SECRETS: [&str; 4] = ["15550100999", "Alice", "so they said", "token-4711"];

/// An entry with all that is to be sealed.
fn telling(user: &str) -> HistoryEntry {
    HistoryEntry {
        account: Some(Account {
            jid: "15550100999:7@s.whatsapp.net".to_owned(),
            phone: "+15550100999".to_owned(),
            name: Some("Alice".to_owned()),
        }),
        text: Some("so they said".to_owned()),
        appeal_token: Some("token-4711".into()),
        ..bare_entry(user, Cause::ForceLogout)
    }
}

fn assert_sealed(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn a_missing_key_hides_the_account_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let [master, aside] = ["key", "aside"].map(|name| dir.path().join(name));
    put(&open(&path, 10), "1", &telling("alice")).await;
    let before = fs::read_to_string(&path).expect("read");
    assert_sealed(&before);
    assert!(
        before.contains("\"user\":\"alice\"") && before.contains("force_logout"),
        "{before}"
    );
    fs::rename(&master, &aside).expect("take it away");

    let history = open(&path, 10);
    let shown = HistoryEntry {
        account: None,
        text: None,
        appeal_token: None,
        ..telling("alice")
    };
    assert_eq!(history.read().newest_first().collect::<Vec<_>>(), [&shown]);
    // An end without its key is written all the same, and never in clear.
    put(&history, "2", &telling("bob")).await;
    put(&history, "3", &bare_entry("carol", Cause::PairingAbandoned)).await;
    shorten_now(&history).expect("shorten");
    let now = fs::read_to_string(&path).expect("read");
    assert!(now.starts_with(&before), "byte by byte: {now}");
    assert_sealed(&now);
    assert!(!master.exists(), "no other master key is made");
    fs::rename(&aside, &master).expect("give it back");

    let history = open(&path, 10);
    assert_eq!(users(&history), ["carol", "bob", "alice"]);
    assert_eq!(
        history.read().newest_first().last(),
        Some(&telling("alice"))
    );
}

#[tokio::test]
async fn a_damaged_key_locks_what_it_has_sealed_and_nothing_that_comes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let [key, aside] = ["state.key", "state.key.1"].map(|name| dir.path().join(name));
    put(&open(&path, 10), "1", &telling("alice")).await;
    let whole = fs::read(&key).expect("read");
    let mut damaged = whole.clone();
    damaged[60] ^= 1;
    fs::write(&key, &damaged).expect("write");
    put(&open(&path, 10), "2", &telling("bob")).await;
    let history = open(&path, 10);
    let shown: Vec<_> = history.read().newest_first().cloned().collect();
    assert_eq!(shown[0], telling("bob"));
    assert_eq!(
        (&shown[1].user, &shown[1].account),
        (&telling("alice").user, &None)
    );
    assert_eq!(fs::read(&aside).expect("it is kept"), damaged);
    // One of a newer version stays.
    fs::write(&key, b"wasession key 2\nof a newer version").expect("write");
    put(&open(&path, 10), "3", &telling("carol")).await;
    assert!(key.exists() && !dir.path().join("state.key.2").exists());
}

#[tokio::test]
async fn a_real_end_whose_account_is_hidden_is_no_unfinished_pairing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    let end = HistoryEntry {
        unlink: Unlink::NotLinked,
        ..telling("alice")
    };
    put(&open(&path, 3), "end", &end).await;
    fs::remove_file(dir.path().join("key")).expect("lose it");
    let history = open(&path, 3);
    for n in 0..4 {
        put(&history, n, &abandoned(&format!("p{n}"), end.owner)).await;
    }
    assert_eq!(users(&history), ["p3", "p2", "alice"]);
}

#[tokio::test]
async fn lines_in_clear_are_sealed_at_the_start() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.jsonl");
    // As version 0.1.0 wrote it.
    let former = concat!(
        r#"{"id":"a","entry":{"at":"2026-11-24T13:08:46Z","user":"alice","cause":"force_logout","account":"#,
        r#"{"jid":"15550100999:7@s.whatsapp.net","phone":"+15550100999","name":"Alice"},"owner":0,"#,
        r#""requested_by":null,"unlink":"confirmed","removed":{"files":2,"bytes":3,"targets":0},"#,
        r#""text":"so they said","appeal_token":"token-4711"}}"#,
        "\nstrange\n"
    );
    fs::write(&path, former).expect("write");
    let mut old = File::open(&path).expect("open");
    let told = |history: &History| history.read().newest_first().next().cloned();
    let entry = told(&open(&path, 10)).expect("a line");
    assert_eq!(
        (&entry.account, &entry.text),
        (&telling("a").account, &telling("a").text)
    );
    let sealed = fs::read_to_string(&path).expect("read");
    assert_sealed(&sealed);
    assert_eq!(sealed.lines().nth(1), Some("strange"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut old, &mut bytes).expect("read");
    assert!(
        bytes.len() == former.len() && bytes != former.as_bytes(),
        "it is noise"
    );
    assert_eq!(told(&open(&path, 10)).as_ref(), Some(&entry));
    assert_eq!(fs::read_to_string(&path).expect("read"), sealed, "once");

    // Without a key that can seal them, they stay as they are.
    fs::write(&path, former).expect("write");
    fs::remove_file(dir.path().join("key")).expect("lose it");
    let history = open(&path, 10);
    assert_eq!(told(&history).as_ref(), Some(&entry));
    assert_eq!(fs::read_to_string(&path).expect("read"), former);
    shorten_now(&history).expect("shorten");
    assert_eq!(told(&open(&path, 10)), Some(entry));
}
