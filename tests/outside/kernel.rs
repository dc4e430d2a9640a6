//! A kernel that gives no more threads, or no `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use wasessiond::protocol::{Cause, Phase, Unlink};

use crate::daemon::PROGRAM;
use crate::mounts;
use crate::preloaded::compile;
use crate::stage::{PHONE, Stage};

/// Longer than a thread stays that has nothing to do and is not kept.
const IDLE: Duration = Duration::from_secs(25);

/// The rooms of the daemon, each of which keeps a thread of its name.
const ROOMS: [&str; 7] = [
    "accounts",
    "commit",
    "configuration",
    "disk",
    "probe",
    "resolver",
    "web",
];
/// The threads of the pool for the library's database.
const POOL: &str = "tokio-rt-worker";
/// The daemon has so many workers, which are threads of the pool, too.
const WORKERS: usize = 2;

/// Who is paired, each with a phone.
const PEOPLE: [(&str, &str); 2] = [("alice", PHONE), ("bob", "15550001002")];

/// Who asks for a code later.
const STRANGERS: [&str; 8] = ["carol", "dave", "erin", "fay", "gus", "hal", "ida", "joe"];

/// The names of the daemon's threads, and how many there are of each.
fn threads(stage: &Stage) -> BTreeMap<String, usize> {
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let mut threads = BTreeMap::new();
    for task in tasks.flatten() {
        // One that ends now is not there any more.
        if let Ok(name) = fs::read_to_string(task.path().join("comm")) {
            *threads.entry(name.trim_end().to_owned()).or_default() += 1;
        }
    }
    threads
}

/// Waits until the daemon has no thread left that goes by itself, and returns those that stay.
fn until_idle_threads_are_gone(stage: &Stage) -> BTreeMap<String, usize> {
    let (mut last, mut since) = (threads(stage), Instant::now());
    while since.elapsed() < IDLE {
        // Nobody is told when a thread ends.
        std::thread::sleep(Duration::from_millis(100));
        let now = threads(stage);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// Where the system gives no more threads, each kind of blocking call goes on with the one thread that is kept for
/// it, slowly. Nothing is refused, and nothing panics.
#[tokio::test(flavor = "multi_thread")]
async fn without_more_threads_everything_goes_on_with_those_that_are_kept() {
    let mut stage = Stage::set().await;
    let home = stage.dir.path().to_owned();
    let Some(object) = compile(include_str!("threads.c"), &home) else {
        return;
    };
    for (user, phone) in PEOPLE {
        stage.pair(user, phone).await;
    }
    stage.stop();
    let none = home.join("hang");
    let mut command = Command::new(PROGRAM);
    command
        .env("LD_PRELOAD", object)
        .env("WASESSIOND_TEST_HANG", &none)
        .env("TOKIO_WORKER_THREADS", WORKERS.to_string());
    stage.start_by(command).await;
    for (user, _) in PEOPLE {
        stage.until(user, Phase::Online).await;
        // A session that is online has its database written now and then, which begins threads.
        stage.client.disconnect(user).await.expect("disconnect");
    }
    let kept = tokio::task::block_in_place(|| until_idle_threads_are_gone(&stage));
    fs::write(&none, "").expect("write");
    for room in ROOMS {
        assert!(
            kept.contains_key(room),
            "no thread is kept for {room}: {kept:?}"
        );
    }
    assert!(
        kept[POOL] > WORKERS,
        "no thread is kept for the library: {kept:?}"
    );

    // Much at once: each kind of call asks for more threads, and gets none.
    let client = &stage.client;
    let strangers = join_all(STRANGERS.map(|user| client.connect_session(user, None)));
    let (report, reloaded, back, strangers) = tokio::join!(
        client.force_logout("bob"),
        client.reload(),
        client.connect_session("alice", None),
        strangers,
    );
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::Confirmed
    );
    reloaded.expect("reload");
    for connected in strangers.into_iter().chain([back]) {
        connected.expect("connect");
    }
    stage.until("alice", Phase::Online).await;
    for (n, user) in STRANGERS.into_iter().enumerate() {
        let status = stage.until(user, Phase::AwaitingScan).await;
        let code = status.qr.and_then(|qr| qr.code).expect("a code");
        let phone = format!("1555000110{n}");
        let scanned = stage.sim.scan(code.reveal(), &phone).await;
        scanned.expect("scan");
        stage.until(user, Phase::Online).await;
    }
    let report = stage.client.force_logout("alice").await;
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::Confirmed
    );
    let refused = fs::metadata(&none).expect("it is there").len();
    assert!(
        refused > 0,
        "nobody asked for a thread, so nothing was tried"
    );
    let log = stage.log();
    assert!(!log.contains("panicked"), "{log}");

    fs::remove_file(&none).expect("remove");
    stage.pair("alice", PHONE).await;
}

/// Without `/proc` the daemon cannot see what it has open; a logout is complete all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_proc_a_logout_is_complete() {
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let script = "mount -t tmpfs -o size=64k none /proc";
    let Some(command) = mounts::daemon("no /proc", script, &[]) else {
        return;
    };
    let mut stage = Stage::found(sim.expect("a simulator"), dir, "", command).await;
    let device = stage.pair("alice", PHONE).await;
    stage.sim.unlink(&device).await.expect("unlink");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::Unlinked, Unlink::NotLinked)
        .await;
    stage.pair("alice", PHONE).await;
    stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    assert_eq!(stage.of_user_on_disk("alice"), [""; 0]);
}
