//! A disk without room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::time::{Instant, timeout, timeout_at};
use wasessiond::client::{ClientError, WatchItem};
use wasessiond::protocol::{Cause, EventKind, FailureCode, Phase, Status};

use crate::mounts;
use crate::stage::Stage;

const KIB: u64 = 1024;

/// What takes the room on the daemon's disk.
struct Ballast {
    state: PathBuf,
}

impl Ballast {
    /// On the disk that only this stage's daemon sees.
    fn of(stage: &Stage) -> Self {
        let pid = stage.daemon.as_ref().expect("it runs").pid();
        Self {
            state: mounts::seen_by(pid, &stage.state()),
        }
    }

    fn file(&self) -> PathBuf {
        self.state.join("ballast")
    }

    fn free(&self) -> u64 {
        let disk = statvfs(&self.state).expect("a file system");
        disk.blocks_available() * disk.fragment_size()
    }

    /// Fills the disk, but for so many bytes.
    fn leave(&self, bytes: u64) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.file())
            .expect("open");
        let block = [7; 1024];
        // The last blocks may be refused.
        while self.free() > bytes && file.write_all(&block).is_ok() {
            let much = self.free().saturating_sub(bytes) / (64 * KIB);
            for _ in 0..much * 32 {
                if file.write_all(&block).is_err() {
                    break;
                }
            }
        }
        let _ = file.sync_all();
    }

    fn remove(&self) {
        fs::remove_file(self.file()).expect("remove");
    }
}

/// How long everybody may take until there is nothing more to wait for.
const SETTLED: Duration = Duration::from_mins(3);

/// Everybody who pairs at the same time, as far as each came.
struct Pairings {
    until: Instant,
    phones: BTreeMap<String, String>,
    last: BTreeMap<String, Status>,
    refused: BTreeSet<String>,
}

impl Pairings {
    fn new(people: usize) -> Self {
        let phones = (0..people).map(|n| (format!("user{n}"), format!("1555{n:07}")));
        Self {
            until: Instant::now() + SETTLED,
            phones: phones.collect(),
            last: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    async fn connect(&mut self, stage: &Stage, user: &str) {
        match stage.client.connect_session(user, None).await {
            Ok(_) => {
                self.refused.remove(user);
            }
            Err(ClientError::Failure(failure)) => {
                assert_eq!(failure.code, FailureCode::StoreFailed, "{failure:?}");
                self.refused.insert(user.to_owned());
            }
            Err(error) => panic!("{user}: {error}"),
        }
    }

    /// Takes what happens next. A code that is shown is scanned.
    async fn step(&mut self, stage: &mut Stage) {
        let next = timeout_at(self.until, stage.watch.next()).await;
        let next = next.unwrap_or_else(|_| panic!("it does not settle: {:#?}", self.last));
        let WatchItem::Event(event) = next.expect("the watch goes on") else {
            return;
        };
        let user = event.user.to_string();
        let Some(status) = event.status else {
            self.last.remove(&user);
            return;
        };
        assert_ne!(
            status.phase,
            Phase::StoreCorrupt,
            "no room is not corruption: {status:?}"
        );
        if let (EventKind::Qr, Some(qr)) = (&event.kind, &status.qr) {
            let code = qr.code.as_ref().expect("its text").reveal().to_owned();
            let (sim, phone) = (stage.sim.clone(), self.phones[&user].clone());
            // It comes to nothing where the credentials cannot be written.
            tokio::spawn(async move { sim.scan(&code, &phone).await });
        }
        self.last.insert(user, status);
    }

    fn phase(&self, user: &str) -> Option<Phase> {
        self.last.get(user).map(|status| status.phase)
    }

    /// Whether each of them is online, or waits for room.
    fn are_settled(&self) -> bool {
        self.phones.keys().all(|user| {
            self.refused.contains(user)
                || matches!(self.phase(user), Some(Phase::Online | Phase::BackingOff))
        })
    }

    fn are_online(&self) -> bool {
        let mut users = self.phones.keys();
        users.all(|user| self.phase(user) == Some(Phase::Online))
    }
}

/// Pairings for which there is no room wait for it, and come back by themselves. None is taken for
/// corrupt: the advice for that would destroy credentials that are good.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_is_not_taken_for_corruption() {
    const PEOPLE: usize = 25;
    let dir = tempfile::tempdir().expect("a directory");
    let mounted = dir.path().join("state");
    let Some(command) = mounts::daemon(
        "a nearly full disk",
        "mkdir -p -m 0700 \"$1\"; mount -t tmpfs -o size=48m,mode=0700 none \"$1\"",
        &[&mounted],
    ) else {
        return;
    };
    let sim = simulator().await;
    let config = "[access]\nmax_sessions_per_uid = 100\n";
    let mut stage = Stage::found(sim, dir, config, command).await;
    let ballast = Ballast::of(&stage);
    ballast.leave(1536 * KIB);
    let mut pairings = Pairings::new(PEOPLE);
    let users: Vec<_> = pairings.phones.keys().cloned().collect();
    for user in &users {
        pairings.connect(&stage, user).await;
    }
    while !pairings.are_settled() {
        pairings.step(&mut stage).await;
    }
    let waiting: Vec<_> = pairings
        .last
        .values()
        .filter(|status| status.phase == Phase::BackingOff)
        .collect();
    assert!(
        waiting.len() + pairings.refused.len() > 0,
        "there was room for all: {:?} are left",
        ballast.free()
    );
    for status in waiting {
        assert_eq!(status.reason, Some(Cause::StoreFailed), "{status:?}");
        assert!(status.retry_at.is_some(), "{status:?}");
        assert!(
            !status.next_action.contains("force-logout"),
            "the advice costs good credentials: {status:?}"
        );
    }

    ballast.remove();
    pairings.until = Instant::now() + SETTLED;
    for user in &users {
        if pairings.refused.contains(user) {
            pairings.connect(&stage, user).await;
        }
    }
    while !pairings.are_online() {
        pairings.step(&mut stage).await;
    }
}

/// A file system with blocks smaller than a page: what is mapped may have no block behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_with_small_blocks_does_not_kill_the_daemon() {
    const ROUNDS: u64 = 25;
    let dir = tempfile::tempdir().expect("a directory");
    let (image, mounted) = (dir.path().join("disk.img"), dir.path().join("state"));
    let Some(command) = mounts::daemon(
        "a full disk with small blocks",
        "truncate -s 24M \"$1\"
         mkfs.ext4 -q -F -b 1024 -m 0 -O ^has_journal \"$1\"
         mkdir -p -m 0700 \"$2\"
         mount -t ext4 -o loop \"$1\" \"$2\"
         chmod 0700 \"$2\"",
        &[&image, &mounted],
    ) else {
        return;
    };
    let mut stage = Stage::found(simulator().await, dir, "", command).await;
    let ballast = Ballast::of(&stage);
    for round in 0..ROUNDS {
        // Each time there is room for a little more.
        ballast.leave(round * 12 * KIB);
        let mut pairings = Pairings::new(1);
        pairings.connect(&stage, "user0").await;
        while !pairings.are_settled() {
            pairings.step(&mut stage).await;
        }
        stage
            .client
            .ping()
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error}: {:?}", end_of(&mut stage)));
        ballast.remove();
        let gone = timeout(Duration::from_secs(30), stage.client.force_logout("user0")).await;
        match gone.expect("in time") {
            Ok(_) => drop(stage.ended("user0").await),
            // There was no room for as much as its directory.
            Err(ClientError::Failure(failure)) if failure.code == FailureCode::NotFound => {}
            Err(error) => panic!("round {round}: {error}"),
        }
    }
}

fn end_of(stage: &mut Stage) -> std::process::ExitStatus {
    stage.daemon.take().expect("it ran").wait()
}

async fn simulator() -> wasim::Server {
    let options = wasim::Options {
        // A phone that waits for a client without room gives up soon.
        pairing_deadline: Duration::from_secs(5),
        ..wasim::Options::default()
    };
    let sim = wasim::Server::start(options).await;
    sim.expect("a simulator")
}
