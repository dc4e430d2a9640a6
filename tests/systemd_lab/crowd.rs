//! A restart with many sessions online: all are back, without a QR code.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasessiond::client::{Client, WatchItem};
use wasessiond::protocol::{EventKind, Phase};

use crate::lab::say;
use crate::stage::{Stage, join};

const SESSIONS: usize = 200;
/// How many are paired at a time.
const AT_A_TIME: usize = 8;

#[tokio::test]
async fn a_restart_brings_two_hundred_sessions_back_and_a_watcher_misses_nothing() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    let began = Instant::now();
    pair_all(&mut stage).await;
    say(&format!(
        "{SESSIONS} paired after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let devices = stage.sim.logins().await.expect("logins").len();
    assert_eq!(devices, SESSIONS);

    let began = Instant::now();
    stage.lab.run("systemctl restart wasessiond.service").await;
    say(&format!(
        "ready again after {:.2} s",
        began.elapsed().as_secs_f64()
    ));
    // The watcher read nothing while it happened. It sees everything to the end, and goes on.
    let before = read_to_the_end(&mut stage).await;
    let (client, _) = join(&stage.lab).await;
    stage.watch = stage.watch.resume(&client).await.expect("it resumes");
    let beginning = stage.watch.beginning();
    assert!(beginning.gap, "it is told that this is another run");
    assert_ne!(beginning.epoch, before);
    assert_eq!(
        beginning.sessions().count(),
        SESSIONS,
        "every session is there from the first moment"
    );
    let mut last = beginning.seq();
    let all_online = timeout(Duration::from_mins(3), async {
        while stage
            .watch
            .view()
            .sessions()
            .any(|s| s.phase != Phase::Online)
        {
            match stage.watch.next().await.expect("the watch goes on") {
                WatchItem::Event(event) => {
                    last += 1;
                    assert_eq!(event.seq, last, "an event is missing");
                    let fresh = matches!(event.kind, EventKind::Qr | EventKind::PairCode);
                    assert!(!fresh && event.kind.ended().is_none(), "{event:?}");
                }
                lagged @ WatchItem::Lagged { .. } => panic!("{lagged:?}"),
            }
        }
    });
    assert!(all_online.await.is_ok(), "{}", stage.lab.show("StatusText"));
    say(&format!(
        "{SESSIONS} online again after {:.2} s",
        began.elapsed().as_secs_f64()
    ));
    stage
        .lab
        .until_shows("StatusText", &format!("{SESSIONS} online"));
    assert_eq!(client.history(None, None).await.expect("history"), []);
}

/// Pairs all of them, some at a time.
async fn pair_all(stage: &mut Stage) {
    let users: Vec<_> = (1..=SESSIONS).map(|n| format!("user{n}")).collect();
    let client: Client = stage.client.clone();
    let mut waiting = users.iter();
    let mut scanned = BTreeSet::new();
    let mut online = BTreeSet::new();
    for user in waiting.by_ref().take(AT_A_TIME) {
        client.connect_session(user, None).await.expect("connect");
    }
    while online.len() < SESSIONS {
        let item = timeout(Duration::from_mins(1), stage.watch.next()).await;
        let WatchItem::Event(event) = item.expect("something happens").expect("the watch goes on")
        else {
            panic!("the watcher fell behind");
        };
        let Some(status) = event.status else {
            panic!("{:?}", event.kind)
        };
        let user = status.user.to_string();
        if let (EventKind::Qr, Some(qr)) = (&event.kind, &status.qr)
            && scanned.insert(user.clone())
        {
            let phone = (15_550_000_000_u64 + scanned.len() as u64).to_string();
            let code = qr.code.as_ref().expect("its text");
            stage.sim.scan(code.reveal(), &phone).await.expect("scan");
        }
        if status.phase == Phase::Online
            && online.insert(user)
            && let Some(next) = waiting.next()
        {
            client.connect_session(next, None).await.expect("connect");
        }
    }
}

/// Reads until the daemon said goodbye; returns the run it was.
async fn read_to_the_end(stage: &mut Stage) -> u64 {
    let mut last = stage.watch.position().seq;
    while let Ok(item) = stage.watch.next().await {
        let WatchItem::Event(event) = item else {
            panic!("{item:?}")
        };
        last += 1;
        assert_eq!(event.seq, last, "an event is missing");
        assert!(event.kind.ended().is_none(), "{event:?}");
    }
    stage.watch.position().epoch.expect("a run")
}
