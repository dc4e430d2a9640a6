//! F405: WhatsApp accepts no client of this version any more.

use std::collections::BTreeSet;

use tokio::time::timeout;
use wasessiond::client::WatchItem;
use wasessiond::protocol::{Cause, Phase, Status, WarningKind};
use wasim::{Failure, Fault, FaultRule, Observation};

use crate::stage::{PATIENCE, Stage};

/// Everybody on one daemon.
fn people(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| (format!("user{n}"), format!("1555000{:04}", 3000 + n)))
        .collect()
}

/// Waits until everybody's session is like this. Looks at each change once.
async fn all(stage: &mut Stage, people: &[(String, String)], is: impl Fn(&Status) -> bool) {
    let mut there: BTreeSet<String> = BTreeSet::new();
    let listed = stage.client.list().await.expect("list");
    there.extend(listed.iter().filter(|s| is(s)).map(|s| s.user.to_string()));
    while there.len() < people.len() {
        let next = timeout(PATIENCE, stage.watch.next()).await;
        let Ok(item) = next else {
            let listed = stage.client.list().await.expect("list");
            panic!("not everybody got there: {listed:#?}");
        };
        let WatchItem::Event(event) = item.expect("the watch goes on") else {
            continue;
        };
        assert_eq!(event.kind.ended(), None, "somebody was logged out");
        let Some(status) = event.status else { continue };
        if is(&status) {
            there.insert(event.user.to_string());
        } else {
            there.remove(event.user.as_str());
        }
    }
}

/// Whether it waits for minutes, not for a quick try.
fn waits(status: &Status) -> bool {
    let long = status
        .retry_at
        .is_some_and(|at| at.duration_since(status.since).as_secs() >= 240);
    status.phase == Phase::BackingOff && status.reason == Some(Cause::ClientOutdated) && long
}

/// Pairs everybody, and raises the lowest version that the server accepts.
async fn refused_by_all(count: usize) -> Refused {
    let mut stage = Stage::set().await;
    let people = people(count);
    let devices = stage.pair_all(&people).await;
    let refuse = FaultRule::from(Fault::FailLogin(Failure::reason(405)));
    stage.sim.set_fault(refuse).await.expect("fault");
    let mut seen = stage.sim.subscribe();
    for device in &devices {
        stage.sim.drop_connection(device).await.expect("drop");
    }
    all(&mut stage, &people, waits).await;
    let mut refusals = 0;
    while let Ok(observation) = seen.try_recv() {
        refusals += usize::from(matches!(observation, Observation::LoginRefused { .. }));
    }
    Refused {
        stage,
        people,
        devices,
        refusals,
    }
}

/// Everybody waits, because WhatsApp does not accept the version.
struct Refused {
    stage: Stage,
    people: Vec<(String, String)>,
    devices: Vec<String>,
    /// How many logins were refused.
    refusals: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_refused_with_405_and_comes_back_by_itself() {
    let Refused {
        mut stage,
        people,
        devices,
        refusals,
    } = refused_by_all(20).await;
    // One warning, which concerns the daemon.
    let info = stage.client.info().await.expect("info");
    let [warning] = info.warnings.as_slice() else {
        panic!("{:?}", info.warnings);
    };
    assert_eq!(warning.kind, WarningKind::ClientOutdated);
    assert!(warning.text.contains("2.3000.1"), "{}", warning.text);
    assert_eq!(
        stage.log().matches("names: no session can log in").count(),
        1
    );
    let status = stage.client.status("user7").await.expect("status");
    assert!(
        status.next_action.contains("daemon info"),
        "{}",
        status.next_action
    );
    // What helps nobody is not repeated by everybody.
    assert!(refusals <= 40, "{refusals} logins of 20 sessions");
    // The cure: the first login that succeeds ends everybody's wait.
    stage.sim.clear_faults().await.expect("clear");
    stage.connect("user0").await;
    all(&mut stage, &people, |status| status.phase == Phase::Online).await;
    let info = stage.client.info().await.expect("info");
    assert_eq!(info.warnings, []);
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
    for ((user, _), device) in people.iter().zip(devices) {
        let status = stage.client.status(user).await.expect("status");
        assert_eq!(status.account.expect("an account").jid, device);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_in_a_reload_ends_the_wait_for_one() {
    let Refused {
        mut stage, people, ..
    } = refused_by_all(3).await;
    stage.sim.clear_faults().await.expect("clear");
    let file = stage.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).expect("read");
    let newer = text.replace("\"2.3000.1\"", "\"2.3000.2\"");
    assert_ne!(newer, text);
    std::fs::write(&file, newer).expect("write");
    let reloaded = stage.client.reload().await.expect("reload");
    assert_eq!(reloaded.changed, ["whatsapp.version"]);
    assert!(reloaded.needs_restart.is_empty(), "{reloaded:?}");
    all(&mut stage, &people, |status| status.phase == Phase::Online).await;
    assert_eq!(stage.client.info().await.expect("info").warnings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_wait_for_another_version() {
    let Refused {
        mut stage, people, ..
    } = refused_by_all(3).await;
    stage.stop();
    stage.sim.clear_faults().await.expect("clear");
    stage.start().await;
    all(&mut stage, &people, |status| status.phase == Phase::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_405_costs_one_quick_try_and_no_warning() {
    let mut stage = Stage::set().await;
    let people = people(2);
    let devices = stage.pair_all(&people).await;
    for _ in 0..2 {
        let failure = Failure::reason(405);
        let failed = stage.sim.fail_next_login(&devices[0], failure).await;
        failed.expect("fail");
        stage.sim.drop_connection(&devices[0]).await.expect("drop");
        loop {
            let status = stage.phase("user0", Phase::BackingOff).await;
            let at = status.retry_at.expect("a time");
            assert!(at.duration_since(status.since).as_secs() < 30, "{status:?}");
            if status.reason == Some(Cause::ClientOutdated) {
                break;
            }
        }
        stage.phase("user0", Phase::Online).await;
        assert_eq!(stage.client.info().await.expect("info").warnings, []);
    }
    let other = stage.client.status("user1").await.expect("status");
    assert_eq!(other.phase, Phase::Online);
}

/// Nobody is there to be paired with, so the pairing says why, and ends by itself like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_is_refused_with_405_says_so() {
    let mut stage = Stage::set().await;
    let refuse = FaultRule::from(Fault::FailLogin(Failure::reason(405)));
    stage.sim.set_fault(refuse).await.expect("fault");
    stage.connect("alice").await;
    let status = loop {
        let status = stage.phase("alice", Phase::BackingOff).await;
        if waits(&status) {
            break status;
        }
        assert_eq!(status.reason, Some(Cause::ClientOutdated));
    };
    assert!(
        status.next_action.contains("daemon info"),
        "{}",
        status.next_action
    );
    stage.sim.clear_faults().await.expect("clear");
    stage.connect("alice").await;
    stage.qr("alice").await;
}
