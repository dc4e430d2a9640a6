//! Many sessions on one daemon: what each costs, and how long a restart takes until all are back.
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
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;

use std::time::{Duration, Instant};

use held::Held;
use stage::Stage;
use wasessiond::protocol::Phase;

fn main() {
    let sessions = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(200);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(sessions));
}

async fn run(sessions: u32) {
    let mut stage = Stage::set().await;
    let empty = held(&stage);
    println!("no session:           {empty}");
    let began = Instant::now();
    for n in 1..=sessions {
        stage
            .pair(
                &format!("user{n}"),
                &(15_550_000_000_u64 + u64::from(n)).to_string(),
            )
            .await;
    }
    println!(
        "{sessions} paired, one by one:  {:.1} s",
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
