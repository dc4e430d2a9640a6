//! All sessions lose the server at once, for a while: how many logins a second the server gets when it is
//! back, and how long it takes until all sessions are online again. The simulator runs in this process.
//!
//! ```text
//! cargo bench --features simulator --bench storm                # 1000 sessions, away for 1 s and for 30 s
//! cargo bench --features simulator --bench storm -- 200 1 300   # 200 sessions, away for 1 s and for 5 min
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
mod limit;
#[path = "../harness/relay.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod relay;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use relay::Relay;
use stage::Stage;
use tokio::sync::mpsc;
use wasim::Observation;

/// People who are paired at once while the stage is set.
const GROUP: usize = 50;

fn main() {
    limit::raise();
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    let sessions: u64 = numbers.next().unwrap_or(1000);
    let mut away: Vec<u64> = numbers.collect();
    if away.is_empty() {
        away = vec![1, 30];
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(sessions, &away));
}

async fn run(sessions: u64, away: &[u64]) {
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let sim = sim.expect("start the simulator");
    let mut relay = Relay::to(sim.address()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let program = Command::new(daemon::PROGRAM);
    let config = "[sessions]\nmax = 100000\n";
    let mut stage = Stage::at(&relay.url(), sim, dir, config, program).await;
    let people: Vec<(String, String)> = (1..=sessions)
        .map(|n| (format!("user{n}"), (15_550_000_000 + n).to_string()))
        .collect();
    for group in people.chunks(GROUP) {
        stage.pair_all(group).await;
    }
    println!("{sessions} sessions online");
    for seconds in away {
        storm(&stage, &mut relay, sessions, Duration::from_secs(*seconds)).await;
    }
    stage.stop();
}

async fn storm(stage: &Stage, relay: &mut Relay, sessions: u64, away: Duration) {
    // What the server sees is taken at once, so that nothing is lost however busy this process is.
    let mut observed = stage.sim.subscribe();
    let (saw, mut seen) = mpsc::unbounded_channel();
    let watching = tokio::spawn(async move {
        while let Ok(observation) = observed.recv().await {
            let _ = saw.send((Instant::now(), observation));
        }
    });
    relay.go_away();
    tokio::time::sleep(away).await;
    relay.come_back().await;
    let began = Instant::now();
    let (mut logins, mut online) = (Vec::new(), BTreeMap::new());
    while u64::try_from(online.len()).expect("a number") < sessions {
        let patience = Duration::from_mins(10);
        let next = tokio::time::timeout(patience, seen.recv()).await;
        match next
            .expect("it happens in time")
            .expect("the server is there")
        {
            (at, Observation::Login { .. }) => logins.push(at.duration_since(began)),
            (at, Observation::Online { jid, .. }) => {
                online.insert(jid, at.duration_since(began));
            }
            _ => {}
        }
    }
    watching.abort();
    let mut per_second = BTreeMap::<u64, usize>::new();
    for login in &logins {
        *per_second.entry(login.as_secs()).or_default() += 1;
    }
    let mut counts: Vec<_> = per_second.into_values().collect();
    counts.sort_unstable();
    let mut half: Vec<_> = online.into_values().collect();
    half.sort_unstable();
    println!(
        "away for {:>3} s: logins a second at most {}, median {}; half back after {:.1} s, all after {:.1} s",
        away.as_secs(),
        busiest(&logins),
        counts.get(counts.len() / 2).copied().unwrap_or(0),
        half[half.len() / 2].as_secs_f64(),
        half.last().expect("a session").as_secs_f64(),
    );
}

/// The most logins within any second, wherever it begins.
fn busiest(logins: &[Duration]) -> usize {
    let within = |from: &Duration| {
        let second = *from..*from + Duration::from_secs(1);
        logins.iter().filter(|login| second.contains(login)).count()
    };
    logins.iter().map(within).max().unwrap_or(0)
}
