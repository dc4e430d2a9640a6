//! Pairs and unlinks on one daemon, over and over, and prints what the daemon's process holds: after
//! a thousand rounds it must be what it was after fifty.
//!
//! ```text
//! cargo bench --features simulator --bench rounds            # 1000 rounds
//! cargo bench --features simulator --bench rounds -- 200     # 200
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
mod held;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use held::Held;
use stage::{PHONE, Stage};

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(rounds));
}

async fn run(rounds: usize) {
    let mut stage = Stage::set().await;
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let mut times = Vec::with_capacity(rounds);
    println!(
        " round {:>42} {:>9} {:>9}",
        "the daemon holds", "pair ms", "unlink ms"
    );
    for round in 1..=rounds {
        let began = Instant::now();
        let device = stage.pair("alice", PHONE).await;
        let paired = began.elapsed();
        let began = Instant::now();
        stage.sim.unlink(&device).await.expect("unlink");
        stage.ended("alice").await;
        times.push((paired, began.elapsed()));
        assert_eq!(
            stage.on_disk(),
            BTreeMap::new(),
            "round {round} left something"
        );
        if round == 50 || round % 250 == 0 || round == rounds {
            let (pair, unlink) = medians(&times);
            println!(
                "{round:>6} {:>42} {:>9.1} {:>9.1}",
                Held::by(pid).to_string(),
                ms(pair),
                ms(unlink)
            );
        }
    }
    let mut unlinks: Vec<_> = times.iter().map(|(_, unlink)| *unlink).collect();
    unlinks.sort();
    let at = |share: usize| unlinks[(unlinks.len() - 1) * share / 100];
    println!(
        "from the server's stanza to logged_out: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        ms(at(50)),
        ms(at(99)),
        ms(at(100))
    );
}

fn medians(times: &[(Duration, Duration)]) -> (Duration, Duration) {
    let middle = |mut values: Vec<Duration>| {
        values.sort();
        values[values.len() / 2]
    };
    let pairs = times.iter().map(|(pair, _)| *pair).collect();
    let unlinks = times.iter().map(|(_, unlink)| *unlink).collect();
    (middle(pairs), middle(unlinks))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
