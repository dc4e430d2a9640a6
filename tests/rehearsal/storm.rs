//! All sessions lose their links at once: they come back at a pace, in an order.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use wasessiond::protocol::Phase;
use wasim::{Fault, Observation};

use crate::daemon::PROGRAM;
use crate::relay::Relay;
use crate::stage::{PATIENCE, Stage};

async fn stage(concurrency: usize) -> (Stage, Relay) {
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let sim = sim.expect("start the simulator");
    let relay = Relay::to(sim.address()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "[sessions]\nrestore_concurrency = {concurrency}\n[access]\nmax_sessions_per_uid = 1000\n"
    );
    let stage = Stage::at(&relay.url(), sim, dir, &config, Command::new(PROGRAM)).await;
    (stage, relay)
}

fn people(count: u64) -> Vec<(String, String)> {
    let person = |n: u64| (format!("user{n:02}"), (15_550_002_000 + n).to_string());
    (0..count).map(person).collect()
}

/// What the server saw while everybody came back.
#[derive(Debug, Default)]
struct Seen {
    /// The devices, in the order of their logins.
    order: Vec<String>,
    /// The most connections that were there and not yet online.
    most: usize,
}

/// Watches the server until so many devices have come online again.
async fn everybody_back(observed: &mut Receiver<Observation>, count: usize) -> Seen {
    let mut seen = Seen::default();
    let mut connecting = HashSet::new();
    let mut online = HashSet::new();
    while online.len() < count {
        let next = timeout(PATIENCE, observed.recv()).await;
        match next
            .expect("it happens in time")
            .expect("the server is there")
        {
            Observation::ClientConnected { connection } => {
                connecting.insert(connection);
                seen.most = seen.most.max(connecting.len());
            }
            Observation::Login { jid, .. } => seen.order.push(jid),
            Observation::Online { connection, jid } => {
                connecting.remove(&connection);
                online.insert(jid);
            }
            Observation::Disconnected { connection, .. } => {
                connecting.remove(&connection);
            }
            _ => {}
        }
    }
    seen
}

async fn slow_logins(stage: &Stage, milliseconds: u64) {
    let delay = Fault::Delay {
        stage: wasim::Stage::Login,
        milliseconds,
    };
    stage.sim.set_fault(delay).await.expect("a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_logins_than_may_be_are_under_way_at_the_server() {
    const MOST: usize = 3;
    let (mut stage, mut relay) = stage(MOST).await;
    let people = people(20);
    let devices = stage.pair_all(&people).await;
    // Long enough that all would be there at once, if nothing held them back.
    slow_logins(&stage, 300).await;
    let mut observed = stage.sim.subscribe();
    relay.go_away();
    relay.come_back().await;
    let seen = everybody_back(&mut observed, devices.len()).await;
    assert_eq!(seen.most, MOST, "{seen:?}");
    // The same gate, after a start.
    for (user, _) in &people {
        stage.until(user, Phase::Online).await;
    }
    stage.stop();
    let mut observed = stage.sim.subscribe();
    stage.start().await;
    let seen = everybody_back(&mut observed, devices.len()).await;
    assert_eq!(seen.most, MOST, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_come_those_that_were_online_longest() {
    let (mut stage, mut relay) = stage(1).await;
    let mut devices = Vec::new();
    for (user, phone) in people(6) {
        devices.push(stage.pair(&user, &phone).await);
    }
    let mut observed = stage.sim.subscribe();
    relay.go_away();
    relay.come_back().await;
    let seen = everybody_back(&mut observed, devices.len()).await;
    assert_eq!(seen.order, devices);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_for_does_not_wait_behind_the_storm() {
    let (mut stage, mut relay) = stage(1).await;
    let people = people(6);
    let mut devices = Vec::new();
    for (user, phone) in &people {
        devices.push(stage.pair(user, phone).await);
    }
    slow_logins(&stage, 1000).await;
    let mut observed = stage.sim.subscribe();
    relay.go_away();
    relay.come_back().await;
    // The last in the line is asked for while the first connects.
    let connected = |seen: &Observation| matches!(seen, Observation::ClientConnected { .. });
    loop {
        let next = timeout(PATIENCE, observed.recv()).await;
        if connected(
            &next
                .expect("it happens in time")
                .expect("the server is there"),
        ) {
            break;
        }
    }
    let (last, _) = people.last().expect("people");
    stage.connect(last).await;
    let seen = everybody_back(&mut observed, devices.len()).await;
    let place = seen
        .order
        .iter()
        .position(|jid| Some(jid) == devices.last());
    assert!(
        place.is_some_and(|place| place < 2),
        "{place:?} of {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_alone_is_back_at_once() {
    let (mut stage, mut relay) = stage(1).await;
    let (user, phone) = people(1).remove(0);
    stage.pair(&user, &phone).await;
    relay.go_away();
    relay.come_back().await;
    let lost = stage.phase(&user, Phase::BackingOff).await;
    let back = stage.phase(&user, Phase::Online).await;
    let took = back.since.duration_since(lost.since);
    assert!(took.unsigned_abs() < Duration::from_secs(10), "{took}");
    assert!(relay.accepted() >= 2);
}

/// While nobody can reach WhatsApp, the waits grow. The first that reaches it spares the others theirs.
#[tokio::test(flavor = "multi_thread")]
async fn when_one_is_back_the_others_need_not_wait() {
    let (mut stage, mut relay) = stage(4).await;
    let people = people(3);
    stage.pair_all(&people).await;
    relay.go_away();
    // Until each has to wait for at least five seconds more.
    let mut retries = HashMap::new();
    let enough = |retries: &HashMap<String, Timestamp>| {
        let soon = Timestamp::now() + Duration::from_secs(5);
        retries.len() == people.len() && retries.values().all(|at| *at > soon)
    };
    while !enough(&retries) {
        let event = stage.any_event(|_| true).await;
        let user = event.user.to_string();
        match event.status.and_then(|status| status.retry_at) {
            Some(at) => drop(retries.insert(user, at)),
            None => drop(retries.remove(&user)),
        }
    }
    relay.come_back().await;
    let asked = "user00";
    stage.connect(asked).await;
    for (user, _) in &people {
        let back = stage.until(user, Phase::Online).await.since;
        assert!(
            user == asked || back < retries[user],
            "{user} {back} {retries:?}"
        );
    }
}
