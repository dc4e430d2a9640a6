//! Whoever follows sessions learns of every logout, once, over restarts and crashes of the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;
use wasessiond::client::{Client, Follow, FollowItem, Options};
use wasessiond::protocol::{Cause, Phase};

use crate::stage::{PATIENCE, PHONE, Stage};

/// A way to the daemon that can be taken away while the daemon runs.
struct Way(PathBuf);

impl Way {
    fn to(stage: &Stage) -> Self {
        let way = Self(stage.dir.path().join("way.sock"));
        way.open();
        way
    }

    fn open(&self) {
        symlink("control.sock", &self.0).expect("make a link");
    }

    fn close(&self) {
        fs::remove_file(&self.0).expect("remove the link");
    }

    async fn follow(&self, users: &[&str]) -> Follow {
        let client = Client::connect(&self.0, Options::default()).await;
        let client = client.expect("a connection");
        let follow = client.follow(users.iter().copied(), None).await;
        follow.expect("it begins")
    }
}

async fn next(follow: &mut Follow) -> FollowItem {
    let item = timeout(PATIENCE, follow.next()).await;
    item.expect("in time").expect("it goes on")
}

/// Reads on to the next state; returns who ended before it, with the cause, and how that was told.
async fn until_state(follow: &mut Follow) -> Vec<(String, Cause, &'static str)> {
    let mut ends = Vec::new();
    loop {
        let item = next(follow).await;
        let how = match &item {
            FollowItem::State(_) => return ends,
            FollowItem::Missed(_) => "missed",
            FollowItem::Replayed(_) => "replayed",
            _ => "live",
        };
        let ended = item.ended();
        ends.extend(ended.map(|entry| (entry.user.to_string(), entry.cause, how)));
    }
}

/// Waits until every session has ended.
async fn nobody_left(stage: &mut Stage) {
    while !stage.watch.view().is_empty() {
        let item = timeout(PATIENCE, stage.watch.next()).await;
        item.expect("in time").expect("it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_daemon_is_survived_and_is_no_logout() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let way = Way::to(&stage);
    let mut follow = way.follow(&["alice"]).await;
    assert_eq!(until_state(&mut follow).await, []);
    let before = follow.position();

    stage.stop();
    assert!(matches!(next(&mut follow).await, FollowItem::Lost(_)));
    stage.start().await;
    assert_eq!(until_state(&mut follow).await, []);
    assert_ne!(follow.position().epoch, before.epoch);

    // It follows what comes, and what it says goes over the new connection.
    stage.until("alice", Phase::Online).await;
    let ask = follow.client().status("alice").await;
    assert_eq!(
        ask.expect("a status").account.map(|a| a.jid),
        Some(device.clone())
    );
    stage.sim.unlink(&device).await.expect("unlink");
    loop {
        let item = next(&mut follow).await;
        if let Some(ended) = item.ended() {
            assert!(matches!(item, FollowItem::Event(_)));
            assert_eq!(ended.cause, Cause::Unlinked);
            break;
        }
    }
    assert!(follow.view().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_behind_a_followers_back_is_told_from_the_history() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    let bob = stage.pair("bob", "15550001002").await;
    stage.pair("carol", "15550001003").await;
    stage.client.force_logout("carol").await.expect("gone");
    let way = Way::to(&stage);
    let mut everyone = way.follow(&[]).await;
    let mut only_bob = way.follow(&["bob"]).await;
    assert_eq!(until_state(&mut everyone).await, []);
    assert_eq!(until_state(&mut only_bob).await, []);

    // Two end where nobody sees it: in a run of the daemon that no follower is told of.
    way.close();
    stage.kill();
    stage.sim.unlink(&alice).await.expect("unlink");
    stage.sim.unlink(&bob).await.expect("unlink");
    stage.start().await;
    nobody_left(&mut stage).await;
    stage.stop();
    way.open();
    stage.start().await;

    let mut told = until_state(&mut everyone).await;
    told.sort();
    // F401 at the login: WhatsApp does not say that it was the phone.
    let (user, cause, how) = &told[0];
    assert_eq!((user.as_str(), *how), ("alice", "missed"));
    assert_eq!(told[1], ("bob".to_owned(), *cause, "missed"));
    assert_eq!(told.len(), 2, "{told:?}");
    let only = until_state(&mut only_bob).await;
    assert_eq!(only, [("bob".to_owned(), *cause, "missed")]);
    assert!(everyone.view().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_same_run_what_was_missed_is_replayed() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let way = Way::to(&stage);
    let first = way.follow(&[]).await;
    let position = first.position();
    drop(first);
    stage.sim.unlink(&device).await.expect("unlink");
    stage.ended("alice").await;

    let client = Client::connect(&way.0, Options::default()).await;
    let client = client.expect("a connection");
    let follow = client.follow([""; 0], Some(position)).await;
    let mut follow = follow.expect("it begins");
    let told = until_state(&mut follow).await;
    assert_eq!(told, [("alice".to_owned(), Cause::Unlinked, "replayed")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_in_the_middle_of_logouts_loses_or_doubles_one() {
    const ROUNDS: usize = 4;
    let mut stage = Stage::set().await;
    let way = Way::to(&stage);
    let mut follow = way.follow(&[]).await;
    assert_eq!(until_state(&mut follow).await, []);
    let mut told: BTreeMap<String, u32> = BTreeMap::new();

    for round in 0..ROUNDS {
        let people: Vec<_> = (0..4)
            .map(|n| (format!("user{round}-{n}"), format!("1555000{round}{n:03}")))
            .collect();
        let devices = stage.pair_all(&people).await;
        for device in &devices {
            stage.sim.unlink(device).await.expect("unlink");
        }
        // Some are gone by now, some are in the middle, some have not begun.
        let (first, _) = &people[round];
        stage.ended(first).await;
        stage.kill();
        stage.start().await;
        let last = format!("done{round}");
        // What is left ends at its login. Then somebody comes and goes, so that the end is seen.
        nobody_left(&mut stage).await;
        let coming = stage.client.connect_session(&last, None).await;
        coming.expect("it begins");
        stage.client.force_logout(&last).await.expect("gone");
        while !told.contains_key(&last) {
            let item = next(&mut follow).await;
            if let Some(ended) = item.ended() {
                *told.entry(ended.user.to_string()).or_default() += 1;
            }
        }
    }
    let history = stage.client.history(None, None).await.expect("a history");
    let in_history = history
        .iter()
        .map(|entry| (entry.user.to_string(), 1))
        .collect();
    assert_eq!(told, in_history);
    assert_eq!(told.len(), ROUNDS * 5);
}

/// A process that follows. Dropped, it is killed.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wactl_watch_survives_a_restart_of_the_daemon() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let wactl = Command::new(env!("CARGO_BIN_EXE_wactl"))
        .args(["--json", "watch"])
        .env("WASESSIOND_SOCKET", stage.dir.path().join("control.sock"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut wactl = Follower(wactl.expect("start wactl"));
    let mut lines = BufReader::new(wactl.0.stdout.take().expect("a pipe")).lines();
    let mut object = move || -> serde_json::Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("an object")
    };
    let first = object();
    assert_eq!(first["watching"]["sessions"][0]["phase"], "online");

    stage.stop();
    stage.start().await;
    let again = loop {
        let object = object();
        if !object["watching"].is_null() {
            break object;
        }
    };
    assert_ne!(again["watching"]["epoch"], first["watching"]["epoch"]);
    stage.until("alice", Phase::Online).await;
    stage.sim.unlink(&device).await.expect("unlink");
    let ended = loop {
        let object = object();
        if object["event"] == "logged_out" {
            break object;
        }
    };
    assert_eq!(ended["cause"], "unlinked");

    let pid = i32::try_from(wactl.0.id()).expect("a pid fits");
    // Not SIGINT: whoever runs the tests in the background of a shell has it ignored.
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("stop wactl");
    wactl.0.wait().expect("it ends");
    let talk = std::io::read_to_string(wactl.0.stderr.take().expect("a pipe"));
    let talk = talk.expect("text");
    assert!(
        talk.contains("It is asked again until it is back"),
        "{talk}"
    );
}
