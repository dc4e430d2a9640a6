//! Many sessions on one daemon: what each costs, how long a restart takes until all are back, and what
//! is given back when all have ended. The figures are the daemon's alone: the simulator runs in this
//! process.
//!
//! ```text
//! cargo bench --features simulator --bench crowd            # 200 sessions
//! cargo bench --features simulator --bench crowd -- 1000    # 1000
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
mod limit;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;

use std::time::{Duration, Instant};

use held::Held;
use stage::Stage;
use wasessiond::client::WatchItem;
use wasessiond::protocol::Phase;

/// People who are paired at once while the stage is set.
const GROUP: usize = 50;
/// What a daemon without sessions may hold, and how soon after the end of the last.
const GIVEN_BACK_KIB: u64 = 30 * 1024;
const GIVEN_BACK_WITHIN: Duration = Duration::from_mins(1);

fn main() {
    limit::raise();
    let sessions = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(200);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(sessions));
}

async fn run(sessions: u32) {
    let mut stage = Stage::with("[sessions]\nmax = 100000\n").await;
    let empty = held(&stage);
    println!("no session:           {empty}");
    let began = Instant::now();
    let people: Vec<(String, String)> = (1..=sessions)
        .map(|n| {
            (
                format!("user{n}"),
                (15_550_000_000_u64 + u64::from(n)).to_string(),
            )
        })
        .collect();
    let mut devices = Vec::new();
    for group in people.chunks(GROUP) {
        devices.extend(stage.pair_all(group).await);
    }
    println!(
        "{sessions} paired:           {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let full = held(&stage);
    println!("{sessions} online:          {full}");
    println!("a session:            {}", full.each(&empty, sessions));

    let began = Instant::now();
    stage.stop();
    println!(
        "stop:                 {:.2} s",
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    stage.start().await;
    println!(
        "ready after:          {:.2} s",
        began.elapsed().as_secs_f64()
    );
    until_online(&mut stage, sessions as usize).await;
    println!(
        "all online after:     {:.2} s",
        began.elapsed().as_secs_f64()
    );
    let back = held(&stage);
    println!("{sessions} restored:        {back}");
    println!("a session:            {}", back.each(&empty, sessions));

    let began = Instant::now();
    for device in &devices {
        stage.sim.unlink(device).await.expect("unlink");
    }
    for _ in &devices {
        until_one_ends(&mut stage).await;
    }
    println!(
        "all ended after:      {:.2} s",
        began.elapsed().as_secs_f64()
    );
    give_back(&stage).await;
}

/// Prints how the memory goes down after the last session's end, until it is little or a minute is over.
async fn give_back(stage: &Stage) {
    let ended = Instant::now();
    let mut told = u64::MAX;
    loop {
        let now = held(stage);
        let after = ended.elapsed();
        let is_given_back = now.rss_kib() <= GIVEN_BACK_KIB;
        let is_over = is_given_back || after >= GIVEN_BACK_WITHIN;
        // A line for each tenth that is given back.
        if is_over || now.rss_kib() < told - told / 10 {
            println!("{:>5.1} s later:        {now}", after.as_secs_f64());
            told = now.rss_kib();
        }
        if is_over {
            let wanted = GIVEN_BACK_KIB / 1024;
            let verdict = if is_given_back { "is" } else { "is not" };
            println!("the memory {verdict} given back to {wanted} MiB within a minute");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn until_one_ends(stage: &mut Stage) {
    loop {
        let next = tokio::time::timeout(stage::PATIENCE, stage.watch.next()).await;
        match next
            .expect("it happens in time")
            .expect("the watch goes on")
        {
            WatchItem::Event(event) if event.kind.ended().is_some() => return,
            WatchItem::Event(_) => {}
            WatchItem::Lagged { .. } => panic!("the benchmark fell behind"),
        }
    }
}

fn held(stage: &Stage) -> Held {
    Held::by(stage.daemon.as_ref().expect("it runs").pid())
}

async fn until_online(stage: &mut Stage, sessions: usize) {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        let online = stage
            .watch
            .view()
            .sessions()
            .filter(|s| s.phase == Phase::Online)
            .count();
        if online == sessions {
            return;
        }
        assert!(Instant::now() < deadline, "only {online} came back");
        stage.watch.next().await.expect("the watch goes on");
    }
}
