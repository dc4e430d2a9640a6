//! A login of our own that was given up, and that the server concludes late: it throws our next link out.

use wasessiond::protocol::{Cause, EventKind, Phase, Stage as Reached, Unlink};
use wasim::{Fault, FaultRule, Observation};

use crate::stage::{PATIENCE, PHONE, Stage};

/// Loses the connection, and the next login, after its handshake.
async fn a_login_is_lost(stage: &mut Stage, device: &str) {
    let rule = FaultRule::from(Fault::CloseAfterHandshake).only(device);
    let lost = stage.sim.set_fault(rule.times(1)).await;
    lost.expect("fault");
    stage.sim.drop_connection(device).await.expect("drop");
    for _ in 0..2 {
        let status = stage.phase("alice", Phase::BackingOff).await;
        let broken = [Cause::ConnectionLost, Cause::HandshakeFailed];
        assert!(
            status.reason.is_some_and(|r| broken.contains(&r)),
            "{status:?}"
        );
    }
    stage.phase("alice", Phase::Online).await;
}

/// Waits until it is online again, without having been lost for anybody to see.
async fn is_back_quietly(stage: &mut Stage) {
    let event = stage
        .event("alice", |event| {
            !matches!(event.kind, EventKind::Connecting | EventKind::Updated)
        })
        .await;
    assert_eq!(event.kind, EventKind::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ghost_of_our_own_login_costs_one_more_try_and_not_the_credentials() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    a_login_is_lost(&mut stage, &device).await;
    stage.sim.replace(&device).await.expect("replace");
    is_back_quietly(&mut stage).await;
    // The second one counts.
    stage.sim.replace(&device).await.expect("replace");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::Replaced, Unlink::NotAsked)
        .await;
}

/// A daemon of alice's in the middle of a login that WhatsApp does not answer. With her device.
async fn in_a_login() -> (Stage, String) {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let silent = FaultRule::from(Fault::NoSuccess).only(&device).times(1);
    stage.sim.set_fault(silent).await.expect("fault");
    let position = stage.sim.position();
    stage.sim.drop_connection(&device).await.expect("drop");
    let ignored = |o: &Observation| matches!(o, Observation::LoginIgnored { .. });
    let seen = stage.sim.wait_after(position, ignored, PATIENCE).await;
    seen.expect("a login without an answer");
    stage
        .event("alice", |event| {
            let connecting = event.status.as_ref().and_then(|status| status.connecting);
            connecting.is_some_and(|c| c.stage == Reached::Login)
        })
        .await;
    (stage, device)
}

/// The first conflict after a restart costs one more try, the second one counts.
async fn one_conflict_is_forgiven(mut stage: Stage, device: &str) {
    stage.start().await;
    stage.until("alice", Phase::Online).await;
    stage.sim.replace(device).await.expect("replace");
    is_back_quietly(&mut stage).await;
    stage.sim.replace(device).await.expect("replace");
    assert_eq!(stage.ended("alice").await.cause, Cause::Replaced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_stop_cut_off_is_remembered_over_the_restart() {
    let (mut stage, device) = in_a_login().await;
    stage.stop();
    one_conflict_is_forgiven(stage, &device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_crash_cut_off_may_be_a_ghost_after_it() {
    let (mut stage, device) = in_a_login().await;
    stage.kill();
    one_conflict_is_forgiven(stage, &device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_without_an_open_login_a_conflict_counts() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.stop();
    stage.start().await;
    stage.until("alice", Phase::Online).await;
    stage.sim.replace(&device).await.expect("replace");
    assert_eq!(stage.ended("alice").await.cause, Cause::Replaced);
}
