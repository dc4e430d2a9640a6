//! A kernel that gives no more threads, or no `/proc`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use wasessiond::client::ClientError;
use wasessiond::protocol::{Cause, FailureCode, Phase, Unlink};

use crate::daemon::PROGRAM;
use crate::mounts;
use crate::preloaded::compile;
use crate::stage::{PHONE, Stage};

/// An idle thread of tokio's goes after ten seconds.
const IDLE: Duration = Duration::from_secs(12);

/// Waits until the daemon has no thread left that goes by itself.
fn until_idle_threads_are_gone(stage: &Stage) {
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let (mut last, mut since) = (threads(), Instant::now());
    while since.elapsed() < IDLE {
        // Nobody is told when a thread ends.
        std::thread::sleep(Duration::from_millis(100));
        let now = threads();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// Work waits for the threads that there are, or is refused with words that say why. Nothing panics.
#[tokio::test(flavor = "multi_thread")]
async fn without_more_threads_nothing_panics() {
    let mut stage = Stage::set().await;
    let home = stage.dir.path().to_owned();
    let Some(object) = compile(include_str!("threads.c"), &home) else {
        return;
    };
    stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.stop();
    let none = home.join("hang");
    let mut command = Command::new(PROGRAM);
    command
        .env("LD_PRELOAD", object)
        .env("WASESSIOND_TEST_HANG", &none);
    stage.start_by(command).await;
    for user in ["alice", "bob"] {
        stage.until(user, Phase::Online).await;
    }
    fs::write(&none, "").expect("write");
    tokio::task::block_in_place(|| until_idle_threads_are_gone(&stage));

    let refused = |told: Result<(), ClientError>| {
        let failure = told.err();
        if let Some(ClientError::Failure(failure)) = &failure {
            assert_ne!(failure.code, FailureCode::Internal, "{failure:?}");
        } else {
            assert!(failure.is_none(), "{failure:?}");
        }
    };
    refused(stage.client.disconnect("alice").await.map(drop));
    refused(stage.client.force_logout("alice").await.map(drop));
    refused(stage.client.connect_session("carol", None).await.map(drop));
    stage.client.ping().await.expect("ping");
    let log = stage.log();
    assert!(!log.contains("panicked"), "{log}");

    fs::remove_file(&none).expect("remove");
    stage.until("bob", Phase::Online).await;
    let report = stage
        .client
        .force_logout("bob")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    match stage.client.force_logout("alice").await {
        Ok(_) => {}
        told => assert_eq!(Stage::code(told), FailureCode::NotFound),
    }
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
