//! What the store's removals cost, beside the bare renames, writes, syncs and unlinks of the same
//! removals on the same disk, made one after the other.
//!
//! ```text
//! cargo bench --features simulator --bench removal            # 50 one by one, 950 at once
//! cargo bench --features simulator --bench removal -- 200     # 200 at once
//! ```

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints, and one that fails, fails"
)]

mod times;

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use times::{Times, ms};
use tokio::task::JoinSet;
use wasessiond::protocol::{Cause, Unlink, UserId};
use wasessiond::store::{History, Intent, Record, Store};

const ONE_BY_ONE: usize = 50;
const HISTORY: usize = 1_000_000;
const LOOK_UPS: u32 = 10_000;
/// The credentials of a session that was just linked, in a database of so many bytes.
const CREDENTIALS: usize = 256 * 1024;

fn main() {
    let crowd = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(950);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(crowd));
}

async fn run(crowd: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("state")).expect("a store");
    let history = Arc::new(store.history(100_000).expect("a history"));
    let mut bare = Bare::new(dir.path().join("bare"));

    let mut times = Vec::new();
    let mut bare_times = Vec::new();
    for n in 0..ONE_BY_ONE {
        let user = session(&store, n);
        let began = Instant::now();
        remove(&store, &history, &user).await;
        times.push(began.elapsed());
        bare.set(n);
        let began = Instant::now();
        bare.remove(n);
        bare_times.push(began.elapsed());
    }
    let (singly, bare_singly) = (Times::new(times), Times::new(bare_times));

    let users: Vec<UserId> = (0..crowd).map(|n| session(&store, n)).collect();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for user in users {
        let (store, history) = (store.clone(), Arc::clone(&history));
        tasks.spawn(async move {
            remove(&store, &history, &user).await;
            began.elapsed()
        });
    }
    let at_once = Times::new(tasks.join_all().await);
    let took = began.elapsed();
    for part in ["sessions", "trash"] {
        let mut left = fs::read_dir(store.root().join(part)).expect("read");
        assert!(left.next().is_none(), "something is left in {part}");
    }

    for n in 0..crowd {
        bare.set(n);
    }
    let began = Instant::now();
    for n in 0..crowd {
        bare.remove(n);
    }
    let bare_took = began.elapsed();

    let times = |name: &str, times: &Times| {
        println!(
            "{name:>12}: median {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            times.percent(50),
            times.percent(99),
            times.percent(100)
        );
    };
    times("one by one", &singly);
    times("bare", &bare_singly);
    times("at once", &at_once);
    println!(
        "one removal takes {:.2} times the bare cost; {crowd} at once take {:.0} ms, {:.2} times the {:.0} ms of the bare ones one after the other",
        singly.percent(50) / bare_singly.percent(50),
        ms(took),
        ratio(took, bare_took),
        ms(bare_took)
    );
    drop(store);
    long_history(&dir.path().join("state"));
}

/// How long a long history takes to be read at the start, and to be looked into.
fn long_history(state: &Path) {
    let path = state.join("history.jsonl");
    let text = fs::read_to_string(&path).expect("the history");
    let line = text.lines().next().expect("a line");
    let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    for n in 0..HISTORY {
        line["id"] = format!("{n:016x}").into();
        line["entry"]["user"] = format!("u{n}").into();
        line["entry"]["owner"] = (n % 100).into();
        writeln!(file, "{line}").expect("write");
    }
    file.flush().expect("write");
    let store = Store::open(state).expect("a store");
    let began = Instant::now();
    let history = store.history(HISTORY).expect("a history");
    let read = began.elapsed();
    let ghost: UserId = "ghost".parse().expect("an id");
    let began = Instant::now();
    for _ in 0..LOOK_UPS {
        let entries = history.read();
        assert!(entries.last_of(&ghost, |_| true).is_none());
        assert!(!entries.contains("ghost"));
    }
    println!(
        "a history of {HISTORY} lines is read in {:.0} ms, and looked into in {:.2} µs",
        ms(read),
        ms(began.elapsed()) * 1000.0 / f64::from(LOOK_UPS)
    );
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn session(store: &Store, n: usize) -> UserId {
    let user: UserId = format!("u{n}").parse().expect("an id");
    store.create(&user, &Record::new(1000)).expect("a session");
    write(&store.vault_db(&user), &vec![7; CREDENTIALS]);
    user
}

async fn remove(store: &Store, history: &Arc<History>, user: &UserId) {
    let intent = Intent {
        at: Timestamp::now(),
        user: user.clone(),
        cause: Cause::Unlinked,
        account: None,
        owner: 1000,
        requested_by: None,
        unlink: Unlink::NotLinked,
        targets: 0,
        text: None,
        appeal_token: None,
        restrictions: Vec::new(),
        linked_at: None,
    };
    let mut removal = store.removal(user);
    let removed = removal.carry_out(&intent, history).await;
    removed.expect("it is removed");
}

/// The same changes of the disk, and nothing else.
struct Bare {
    root: PathBuf,
    intents: File,
    history: File,
}

impl Bare {
    fn new(root: PathBuf) -> Self {
        for part in ["sessions", "trash"] {
            fs::create_dir_all(root.join(part)).expect("mkdir");
        }
        let open = |name| {
            let mut options = OpenOptions::new();
            let file = options.create(true).append(true).open(root.join(name));
            file.expect("open")
        };
        Self {
            intents: open("intents.jsonl"),
            history: open("history.jsonl"),
            root,
        }
    }

    fn session(&self, n: usize) -> PathBuf {
        self.root.join("sessions").join(n.to_string())
    }

    fn set(&self, n: usize) {
        let dir = self.session(n);
        fs::create_dir(&dir).expect("mkdir");
        write(&dir.join("session.toml"), &[b'x'; 100]);
        write(&dir.join("vault.db"), &vec![7; CREDENTIALS]);
        sync(&dir);
        sync(&self.root.join("sessions"));
    }

    fn remove(&mut self, n: usize) {
        let (dir, trash) = (self.session(n), self.root.join("trash"));
        let moved = trash.join(n.to_string());
        append(&mut self.intents);
        fs::rename(&dir, &moved).expect("rename");
        sync(&self.root.join("sessions"));
        sync(&trash);
        append(&mut self.history);
        for entry in fs::read_dir(&moved).expect("read") {
            fs::remove_file(entry.expect("entry").path()).expect("remove");
        }
        fs::remove_dir(&moved).expect("remove");
        sync(&trash);
        self.intents.set_len(0).expect("empty");
    }
}

fn append(file: &mut File) {
    let line = [b'x'; 300];
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    written.expect("append");
}

fn write(path: &Path, bytes: &[u8]) {
    let file = File::create(path).and_then(|mut file| file.write_all(bytes).map(|()| file));
    file.and_then(|file| file.sync_all()).expect("write");
}

fn sync(dir: &Path) {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .expect("sync");
}
