//! Much of something that one user has, and what it costs the others.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use wasessiond::client::{Client, Options};
use wasessiond::protocol::TargetEdit;

use crate::stage::{PHONE, Stage};
use crate::usage::memory;

/// How long half of the answers take at most: of one who asks for a session that is not there, over and
/// over, and of another's ping meanwhile.
async fn medians(stage: &Stage) -> (Duration, Duration) {
    const ASKED: usize = 200;
    let socket = stage.dir.path().join("control.sock");
    let other = Client::connect(&socket, Options::default()).await;
    let other = other.expect("join");
    let over = Arc::new(AtomicBool::new(false));
    let busy = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) || times.len() < ASKED {
                let began = Instant::now();
                assert!(other.status("ghost").await.is_err(), "there is no ghost");
                times.push(began.elapsed());
            }
            times
        }
    });
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let began = Instant::now();
        stage.client.ping().await.expect("ping");
        times.push(began.elapsed());
    }
    over.store(true, Ordering::Relaxed);
    let busy = busy.await.expect("no panic");
    (median(busy), median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A look-up in the history costs the same however long the history is.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_slows_nobody_down() {
    const LINES: usize = 100_000;
    let mut stage = Stage::with("[logout]\nhistory_limit = 1000000\n").await;
    stage.pair("alice", PHONE).await;
    stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    let (short_status, short_ping) = medians(&stage).await;
    stage.stop();
    let file = stage.state().join("history.jsonl");
    let line = fs::read_to_string(&file).expect("read");
    let mut long = String::with_capacity((line.len() + 16) * LINES);
    let parsed: serde_json::Value = serde_json::from_str(&line).expect("one line");
    let id = parsed["id"].as_str().expect("an id").to_owned();
    for n in 0..LINES {
        let made = line.replacen("\"alice\"", &format!("\"user{n}\""), 1);
        long.push_str(&made.replacen(&id, &format!("{id}{n}"), 1));
    }
    fs::write(&file, long).expect("write");
    stage.start().await;
    let last = stage.client.history(Some("user0"), None).await;
    assert_eq!(last.expect("a history").len(), 1);
    let (status, ping) = medians(&stage).await;
    let most = |short: Duration| 10 * short + Duration::from_millis(5);
    assert!(
        status < most(short_status) && ping < most(short_ping),
        "with one line {short_status:?} a status and {short_ping:?} a ping; \
         with {LINES} {status:?} and {ping:?}"
    );
}

/// Events that carry much are bounded in bytes, not in number.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_that_is_edited_often_takes_bounded_memory() {
    const TARGETS: usize = 1000;
    /// Each takes one group off the list; then the list is as long as before.
    const ROUNDS: usize = 4;
    const EDITS: usize = 500;
    const MOST: u64 = 40 * 1024;
    let mut stage = Stage::set().await;
    let groups: Vec<_> = (0..TARGETS)
        .map(|n| wasim::Group::new(&format!("12036300000{n:05}@g.us"), "Group"))
        .collect();
    let jids: Vec<_> = groups.iter().map(|group| group.jid.clone()).collect();
    stage.sim.set_groups(PHONE, groups).await.expect("groups");
    stage.pair("alice", PHONE).await;
    let client = &stage.client;
    let edit = async |edit| client.targets("alice", edit).await.expect("an edit");
    edit(TargetEdit::Set(jids.clone())).await;
    let before = memory(&stage);
    for _ in 0..ROUNDS {
        let removals = jids.iter().take(EDITS).cloned();
        let removals = stream::iter(removals).map(|jid| edit(TargetEdit::Remove(vec![jid])));
        removals.buffer_unordered(16).collect::<Vec<_>>().await;
        edit(TargetEdit::Set(jids.clone())).await;
    }
    let after = memory(&stage);
    assert!(
        after < before + MOST,
        "{before} KiB before {ROUNDS} times {EDITS} edits, {after} KiB after them"
    );
}
