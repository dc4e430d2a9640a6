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
mod times;

use std::collections::BTreeMap;
use std::time::Instant;

use held::Held;
use stage::{PHONE, Stage};
use times::Times;

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
            println!(
                "{round:>6} {:>42} {:>9.1} {:>9.1}",
                Held::by(pid).to_string(),
                Times::new(times.iter().map(|(pair, _)| *pair)).percent(50),
                Times::new(times.iter().map(|(_, unlink)| *unlink)).percent(50)
            );
        }
    }
    let unlinks = Times::new(times.into_iter().map(|(_, unlink)| unlink));
    println!(
        "from the server's stanza to logged_out: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        unlinks.percent(50),
        unlinks.percent(99),
        unlinks.percent(100)
    );
}
