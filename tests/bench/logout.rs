//! How long a logout takes, from the server's stanza to `logged_out`: of one session among ever more, and
//! of very many at once, each beside the bare cost of the same writes, syncs, renames and removals on
//! the same disk in the same run.
//!
//! ```text
//! cargo bench --features simulator --bench logout                  # among 10, 100, 1000 and 4000
//! cargo bench --features simulator --bench logout -- 10 100 1000   # among these
//! ```
//!
//! The disk is the one that holds `TMPDIR`.

#![allow(
    clippy::panic,
    clippy::match_wild_err_arm,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that fails, fails"
)]

#[path = "../rehearsal/daemon.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod daemon;
mod limit;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;
mod times;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stage::Stage;
use times::{Times, ms};
use tokio::time::timeout;
use wasessiond::client::WatchItem;

/// Among how many sessions one is unlinked, unless others are asked for.
const SIZES: [usize; 4] = [10, 100, 1000, 4000];
/// How often, for each of them.
const SAMPLES: usize = 40;
/// How many are unlinked at once, if there are so many.
const STORM: usize = 950;
/// People who are paired at once while the stage is set.
const GROUP: usize = 50;
/// After a pairing the library still has to do for a moment, and so has the disk.
const SETTLE: Duration = Duration::from_millis(100);

fn main() {
    limit::raise();
    let mut sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes = SIZES.to_vec();
    }
    sizes.sort_unstable();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&sizes));
}

/// A crowd of paired sessions, each a user with a device.
struct Crowd {
    stage: Stage,
    paired: Vec<(String, String)>,
    next: usize,
}

impl Crowd {
    /// Lets it grow until there are so many.
    async fn grow_to(&mut self, size: usize) {
        while self.paired.len() < size {
            let more = GROUP.min(size - self.paired.len());
            let people: Vec<(String, String)> = (self.next..self.next + more)
                .map(|n| (format!("u{n}"), format!("1555{n:07}")))
                .collect();
            self.next += more;
            let devices = self.stage.pair_all(&people).await;
            let users = people.into_iter().map(|(user, _)| user);
            self.paired.extend(users.zip(devices));
        }
    }

    /// How long one logout takes among so many sessions, again and again, and the bare cost between
    /// them: the disk is not always as fast.
    async fn one_among(&mut self, size: usize, bare: &Bare) -> (Times, Times) {
        let (mut times, mut bare_times) = (Vec::new(), Vec::new());
        for n in 0..SAMPLES {
            self.grow_to(size).await;
            tokio::time::sleep(SETTLE).await;
            let one = self.paired.pop().expect("there are some");
            times.extend(unlink(&mut self.stage, &[one]).await);
            bare_times.push(bare.logout(n));
        }
        (Times::new(times), Times::new(bare_times))
    }
}

async fn run(sizes: &[usize]) {
    let mut crowd = Crowd {
        stage: Stage::with("[sessions]\nmax = 100000\n").await,
        paired: Vec::new(),
        next: 0,
    };
    crowd.grow_to(1).await;
    let user = crowd.paired[0].0.clone();
    let files = file_sizes(&crowd.stage.session_dir(&user));
    let bare = Bare::new(crowd.stage.dir.path().join("bare"), files);
    println!(
        "{:>20} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "median ms", "p99 ms", "longest", "all in", "of bare"
    );
    let mut medians = Vec::new();
    for size in sizes {
        let (times, bare_times) = crowd.one_among(*size, &bare).await;
        let ratio = times.percent(50) / bare_times.percent(50);
        line(&format!("one of {size}"), &times, None, Some(ratio));
        line("bare", &bare_times, None, None);
        medians.push(times.percent(50));
    }
    if let (Some(first), Some(last), Some(few), Some(many)) =
        (medians.first(), medians.last(), sizes.first(), sizes.last())
    {
        println!(
            "one logout takes {:.2} times as long among {many} as among {few}",
            last / first
        );
    }

    let many = STORM.min(crowd.paired.len());
    let rest = crowd.paired.len() - many;
    let storm = crowd.paired.split_off(rest);
    let (began, before) = (Instant::now(), processor_ms(&crowd.stage));
    let times = Times::new(unlink(&mut crowd.stage, &storm).await);
    let took = began.elapsed();
    let processor = processor_ms(&crowd.stage) - before;
    let (bare_times, bare_took) = bare.one_after_the_other(many);
    let ratio = took.as_secs_f64() / bare_took.as_secs_f64();
    line(&format!("{many} at once"), &times, Some(took), Some(ratio));
    line("bare, one by one", &bare_times, Some(bare_took), None);
    println!(
        "the daemon used {processor} ms of processor time for the {many}; the simulator and this program ran beside it"
    );
    for (user, _) in &storm {
        let left = crowd.stage.of_user_on_disk(user);
        assert_eq!(left, [""; 0], "something is left");
    }
}

/// The processor time that the daemon has used, in milliseconds.
fn processor_ms(stage: &Stage) -> u64 {
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name in parentheses may hold anything. USER_HZ is 100 on every Linux that there is.
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<u64>().expect("a number") * 10)
        .sum()
}

fn line(name: &str, times: &Times, all: Option<Duration>, ratio: Option<f64>) {
    println!(
        "{name:>20} {:>10.1} {:>10.1} {:>10.1} {:>10} {:>10}",
        times.percent(50),
        times.percent(99),
        times.percent(100),
        all.map_or_else(String::new, |all| format!("{:.0}", ms(all))),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
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
fn file_sizes(dir: &Path) -> Vec<u64> {
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
    history: File,
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
            history,
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
        let mut history = &self.history;
        history
            .write_all(&line)
            .and_then(|()| history.sync_data())
            .expect("append");
        for entry in fs::read_dir(&moved).expect("read") {
            fs::remove_file(entry.expect("entry").path()).expect("remove");
        }
        fs::remove_dir(&moved).expect("remove");
        sync(&self.root.join("trash"));
    }

    /// So many, one after the other.
    fn one_after_the_other(&self, many: usize) -> (Times, Duration) {
        for n in 0..many {
            self.set(n);
        }
        let began = Instant::now();
        let times: Vec<_> = (0..many)
            .map(|n| {
                let began = Instant::now();
                self.remove(n);
                began.elapsed()
            })
            .collect();
        let took = began.elapsed();
        (Times::new(times), took)
    }
}

fn sync(dir: &Path) {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .expect("sync");
}
