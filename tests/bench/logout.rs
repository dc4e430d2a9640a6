//! How long a logout takes: from the server's stanza to `logged_out`, one at a time and all at once,
//! beside the bare cost of the same writes, syncs, renames and unlinks on the same disk.
//!
//! ```text
//! cargo bench --features simulator --bench logout            # 100 one by one, 1000 at once
//! cargo bench --features simulator --bench logout -- 200     # 200 at once
//! ```

#![allow(
    clippy::panic,
    clippy::match_wild_err_arm,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that fails, fails"
)]

#[path = "../rehearsal/daemon.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod daemon;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;
mod times;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use stage::Stage;
use times::{Times, ms};
use tokio::time::timeout;
use wasessiond::client::WatchItem;

const ONE_BY_ONE: usize = 100;
/// As many as the daemon gives the disk at once.
const THREADS: usize = 8;
/// People who are paired at once while the stage is set.
const GROUP: usize = 50;

fn main() {
    let crowd = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(crowd));
}

async fn run(crowd: usize) {
    let mut stage = Stage::set().await;
    let people: Vec<(String, String)> = (0..ONE_BY_ONE + crowd)
        .map(|n| (format!("u{n}"), format!("1555{n:07}")))
        .collect();
    let mut devices = Vec::new();
    for group in people.chunks(GROUP) {
        devices.extend(stage.pair_all(group).await);
    }
    let files = sizes(&stage.session_dir("u0"));
    let pairs: Vec<(String, String)> = people
        .into_iter()
        .map(|(user, _)| user)
        .zip(devices)
        .collect();
    let (singles, all) = pairs.split_at(ONE_BY_ONE);

    let mut times = Vec::new();
    for single in singles {
        times.extend(unlink(&mut stage, std::slice::from_ref(single)).await);
    }
    let singly = Times::new(times);
    let began = Instant::now();
    let at_once = Times::new(unlink(&mut stage, all).await);
    let took = began.elapsed();
    assert_eq!(stage.on_disk(), BTreeMap::new(), "something is left");

    let bare = Bare::new(stage.dir.path().join("bare"), files);
    let bare_singly = Times::new((0..ONE_BY_ONE).map(|n| bare.logout(n)));
    let (bare_at_once, bare_took) = bare.crowd(crowd);

    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>10}",
        "", "median ms", "p99 ms", "longest", "all in"
    );
    line("one by one", &singly, None);
    line("bare", &bare_singly, None);
    line(&format!("{crowd} at once"), &at_once, Some(took));
    line("bare", &bare_at_once, Some(bare_took));
    println!(
        "the daemon takes {:.1} times the bare cost one by one, {:.1} times for all of {crowd} at once",
        singly.percent(50) / bare_singly.percent(50),
        took.as_secs_f64() / bare_took.as_secs_f64()
    );
}

fn line(name: &str, times: &Times, all: Option<Duration>) {
    println!(
        "{name:>12} {:>10.1} {:>10.1} {:>10.1} {:>10}",
        times.percent(50),
        times.percent(99),
        times.percent(100),
        all.map_or_else(String::new, |all| format!("{:.0}", ms(all)))
    );
}

/// Unlinks these on the phone at once, and returns how long each took from the server's stanza to
/// `logged_out`.
async fn unlink(stage: &mut Stage, pairs: &[(String, String)]) -> Vec<Duration> {
    let mut sent = HashMap::new();
    for (user, device) in pairs {
        sent.insert(user.clone(), Instant::now());
        stage.sim.unlink(device).await.expect("unlink");
    }
    let mut times = Vec::new();
    while times.len() < pairs.len() {
        let next = timeout(stage::PATIENCE, stage.watch.next()).await;
        match next
            .expect("it happens in time")
            .expect("the watch goes on")
        {
            WatchItem::Event(event) if event.kind.ended().is_some() => {
                times.push(sent[event.user.as_str()].elapsed());
            }
            WatchItem::Event(_) => {}
            WatchItem::Lagged { .. } => panic!("the benchmark fell behind"),
        }
    }
    times
}

/// What a session's directory holds.
fn sizes(dir: &Path) -> Vec<u64> {
    let entries = fs::read_dir(dir).expect("read");
    let size = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("entry").metadata().expect("metadata").len()
    };
    entries.map(size).collect()
}

/// The same changes of the disk, and nothing else.
struct Bare {
    root: PathBuf,
    files: Vec<u64>,
    history: Mutex<File>,
}

impl Bare {
    fn new(root: PathBuf, files: Vec<u64>) -> Self {
        for part in ["sessions", "trash"] {
            fs::create_dir_all(root.join(part)).expect("mkdir");
        }
        let history = OpenOptions::new()
            .create(true)
            .append(true)
            .open(root.join("history.jsonl"))
            .expect("open");
        Self {
            root,
            files,
            history: Mutex::new(history),
        }
    }

    fn set(&self, n: usize) {
        let dir = self.root.join("sessions").join(n.to_string());
        fs::create_dir(&dir).expect("mkdir");
        for (n, size) in self.files.iter().enumerate() {
            let bytes = vec![7; usize::try_from(*size).expect("it fits")];
            let file = File::create(dir.join(n.to_string()))
                .and_then(|mut file| file.write_all(&bytes).map(|()| file));
            file.and_then(|file| file.sync_all()).expect("write");
        }
        sync(&dir);
        sync(&self.root.join("sessions"));
    }

    /// Sets one up, and returns how long its removal takes.
    fn logout(&self, n: usize) -> Duration {
        self.set(n);
        let began = Instant::now();
        self.remove(n);
        began.elapsed()
    }

    fn remove(&self, n: usize) {
        let dir = self.root.join("sessions").join(n.to_string());
        let moved = self.root.join("trash").join(n.to_string());
        let line = [b'x'; 300];
        let intent = dir.join("new");
        let written = File::create(&intent).and_then(|mut file| {
            file.write_all(&line)?;
            file.sync_all()
        });
        written.expect("write the intent");
        fs::rename(&intent, dir.join("intent")).expect("rename");
        sync(&dir);
        fs::rename(&dir, &moved).expect("rename");
        sync(&self.root.join("sessions"));
        sync(&self.root.join("trash"));
        let mut history = self.history.lock().expect("no panic");
        history
            .write_all(&line)
            .and_then(|()| history.sync_data())
            .expect("append");
        drop(history);
        for entry in fs::read_dir(&moved).expect("read") {
            fs::remove_file(entry.expect("entry").path()).expect("remove");
        }
        fs::remove_dir(&moved).expect("remove");
        sync(&self.root.join("trash"));
    }

    /// So many at once, by as many threads as the daemon has for it. Each time is from the beginning
    /// of all.
    fn crowd(&self, crowd: usize) -> (Times, Duration) {
        let numbers: Vec<usize> = (0..crowd).map(|n| ONE_BY_ONE + n).collect();
        for n in &numbers {
            self.set(*n);
        }
        let began = Instant::now();
        let times = Mutex::new(Vec::new());
        let collected = &times;
        std::thread::scope(|scope| {
            for part in numbers.chunks(crowd.div_ceil(THREADS)) {
                scope.spawn(move || {
                    for n in part {
                        self.remove(*n);
                        collected.lock().expect("no panic").push(began.elapsed());
                    }
                });
            }
        });
        let took = began.elapsed();
        (Times::new(times.into_inner().expect("no panic")), took)
    }
}

fn sync(dir: &Path) {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .expect("sync");
}
