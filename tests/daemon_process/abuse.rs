//! Hostile and careless neighbours: what each attack was answered, and what it cost everybody else.
//!
//! ```text
//! cargo test --features simulator --test daemon_process abuse -- --nocapture
//! ```

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::attacks::{ATTACKS, PINNED};
use crate::neighbour::Neighbour;
use crate::process::{Client, DEADLINE, Home};
use crate::skipped::skipped;

/// No ping of anybody else takes longer while one attacks. On an idle machine it is a hundredth of this.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// An attack leaves no more than this in the daemon's memory, and at no time takes more than that.
const LEFT_KIB: u64 = 32 * 1024;
const TAKEN_KIB: u64 = 96 * 1024;

/// The attacks that take seconds because the daemon is patient.
const SLOW: [&str; 3] = ["half frames", "silence", "deaf"];

#[test]
fn no_attack_costs_the_neighbours_their_ping() {
    withstand(|name| name != PINNED && !SLOW.contains(&name));
}

#[test]
fn no_slowness_costs_the_neighbours_their_ping() {
    withstand(|name| SLOW.contains(&name));
}

/// One uid may not pin memory with requests that wait. Without a simulator's build the sessions that the
/// attack begins would reach WhatsApp.
#[cfg(feature = "simulator")]
#[test]
fn what_waits_takes_little_memory_and_gives_it_back() {
    withstand(|name| name == PINNED);
}

/// Carries the attacks out one after the other, on one daemon, and prints what came of them.
fn withstand(chosen: impl Fn(&str) -> bool) {
    let home = Home::new();
    home.configure("[socket]\nmode = \"0666\"\n");
    let running = home.start();
    let directory = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home.path("run"), directory).expect("a mode");
    let pid = running.child.id();
    let attacker = if nix::unistd::geteuid().is_root() {
        Neighbour::new(61_666)
    } else {
        skipped("without root, attacker and neighbour are the same uid");
        Neighbour::new(nix::unistd::getuid().as_raw())
    };
    println!("{}", Row::HEAD);
    let mut failed = Vec::new();
    for (name, what, answer) in ATTACKS.into_iter().filter(|(name, ..)| chosen(name)) {
        let before = Held::by(pid);
        let calm = Prober::begin(&home.socket(), pid).after(Duration::from_millis(300));
        let prober = Prober::begin(&home.socket(), pid);
        let (mut child, mut back) = attacker.attack(&home, name);
        let mut told = String::new();
        // How long an attack takes is its own affair, and a busy machine has the more of it.
        back.set_read_timeout(Some(DEADLINE * 12))
            .expect("a time-out");
        back.read_to_string(&mut told).expect("what came of it");
        child.wait().expect("it ended");
        if told.is_empty() {
            "killed".clone_into(&mut told);
        }
        let during = prober.after(Duration::ZERO);
        let after = Held::settled(pid, &before);
        let row = Row {
            what,
            told: &told,
            calm,
            during,
            before,
            after,
        };
        println!("{row}");
        failed.extend(row.judge(answer).err().map(|why| format!("{name}: {why}")));
    }
    assert_eq!(failed, [""; 0]);
    running.stop();
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    files: usize,
    rss_kib: u64,
}

impl Held {
    fn by(pid: u32) -> Self {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            files: files.count(),
            rss_kib: rss.expect("its size"),
        }
    }

    /// What it holds once it noticed that the attackers are gone, and its allocator has given their memory
    /// back. There is no event for either.
    fn settled(pid: u32, before: &Self) -> Self {
        let until = Instant::now() + DEADLINE;
        loop {
            let now = Self::by(pid);
            let given_back = now.rss_kib.saturating_sub(before.rss_kib) < LEFT_KIB;
            if (now.files <= before.files && given_back) || Instant::now() > until {
                return now;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How somebody else fared meanwhile.
struct Probed {
    pings: Vec<Duration>,
    knocks: Vec<Duration>,
    most_kib: u64,
}

/// Somebody else: pings on a connection that is open, and on new ones.
struct Prober {
    enough: Arc<AtomicBool>,
    probing: JoinHandle<Probed>,
}

impl Prober {
    fn begin(socket: &Path, pid: u32) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let probing = {
            let (enough, socket) = (Arc::clone(&enough), PathBuf::from(socket));
            std::thread::spawn(move || probe(&socket, pid, &enough))
        };
        Self { enough, probing }
    }

    fn after(self, time: Duration) -> Probed {
        std::thread::sleep(time);
        self.enough.store(true, Ordering::Relaxed);
        self.probing.join().expect("every ping is answered")
    }
}

fn probe(socket: &Path, pid: u32, enough: &AtomicBool) -> Probed {
    let mut probed = Probed {
        pings: Vec::new(),
        knocks: Vec::new(),
        most_kib: 0,
    };
    let mut client = Client::json(socket);
    while probed.pings.len() < 100 || !enough.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.ping();
        probed.pings.push(began.elapsed());
        if probed.pings.len().is_multiple_of(10) {
            let began = Instant::now();
            Client::json(socket).ping();
            probed.knocks.push(began.elapsed());
            probed.most_kib = probed.most_kib.max(Held::by(pid).rss_kib);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    probed.pings.sort();
    probed.knocks.sort();
    probed
}

/// The time that this share of them is not longer than.
fn percent(times: &[Duration], share: usize) -> Duration {
    times[(times.len() - 1) * share / 100]
}

struct Row<'a> {
    what: &'a str,
    told: &'a str,
    calm: Probed,
    during: Probed,
    before: Held,
    after: Held,
}

impl Row<'_> {
    const HEAD: &'static str = "| attack | answered | ping p50/p99 before, ms | during | connect and ping p50/p99 during, ms | RSS before, most, after, MiB | files before/after |\n|---|---|---|---|---|---|---|";

    fn judge(&self, answer: &str) -> Result<(), String> {
        let slowest = percent(&self.during.pings, 99);
        let knock = percent(&self.during.knocks, 99);
        let left = self.after.rss_kib.saturating_sub(self.before.rss_kib);
        let taken = self.during.most_kib.saturating_sub(self.before.rss_kib);
        let checks = [
            (
                self.told.contains(answer),
                format!("answered {:?}", self.told),
            ),
            (slowest < PING_WITHIN, format!("a ping took {slowest:?}")),
            (knock < PING_WITHIN, format!("a connection took {knock:?}")),
            (left < LEFT_KIB, format!("it left {left} KiB behind")),
            (taken < TAKEN_KIB, format!("it took {taken} KiB")),
            (
                self.after.files <= self.before.files,
                format!("files: {:?}", self.after),
            ),
        ];
        let failed: Vec<_> = checks.into_iter().filter(|(good, _)| !good).collect();
        match failed.as_slice() {
            [] => Ok(()),
            failed => Err(failed
                .iter()
                .map(|(_, why)| why.as_str())
                .collect::<Vec<_>>()
                .join(", ")),
        }
    }
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |times: &[Duration], share| percent(times, share).as_secs_f64() * 1000.0;
        let mib = |kib: u64| kib.div_ceil(1024);
        write!(
            f,
            "| {} | {} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} / {:.2} | {}, {}, {} | {}/{} |",
            self.what,
            self.told,
            ms(&self.calm.pings, 50),
            ms(&self.calm.pings, 99),
            ms(&self.during.pings, 50),
            ms(&self.during.pings, 99),
            ms(&self.during.knocks, 50),
            ms(&self.during.knocks, 99),
            mib(self.before.rss_kib),
            mib(self.during.most_kib),
            mib(self.after.rss_kib),
            self.before.files,
            self.after.files,
        )
    }
}
