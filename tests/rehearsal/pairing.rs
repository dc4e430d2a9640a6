//! Pairings: by code, refused, unfinished, spoiled.

use wasessiond::protocol::{Cause, EventKind, FailureCode, Phase, Unlink};
use wasim::Fault;

use crate::stage::{PHONE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn by_pair_code() {
    let mut stage = Stage::set().await;
    let status = stage
        .client
        .connect_session("alice", Some("+1 (555) 000-1001"))
        .await
        .expect("connect");
    assert_eq!(status.phase, Phase::AwaitingCode);
    let code = status.pair_code.expect("a pair code");
    assert_eq!(code.phone, "+15550001001");
    let code = code.code.expect("its text");
    let device = stage
        .sim
        .link_by_code(PHONE, code.reveal())
        .await
        .expect("link");
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pair_code_is_a_failure_and_leaves_nothing() {
    let mut stage = Stage::set().await;
    stage
        .sim
        .set_fault(Fault::RefusePairCode(429))
        .await
        .expect("fault");
    let refused = stage
        .client
        .connect_session("alice", Some("+15550001001"))
        .await;
    assert_eq!(Stage::code(refused), FailureCode::RateLimited);
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::RateLimited, Unlink::NotLinked)
        .await;
    stage.sim.clear_faults().await.expect("clear");
    stage.pair("alice", PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spoiled_by_a_wrong_hmac_it_goes_on() {
    let mut stage = Stage::set().await;
    for fault in [Fault::CorruptHmac, Fault::CorruptAccountSignature] {
        stage
            .sim
            .set_fault(wasim::FaultRule::from(fault).times(1))
            .await
            .expect("fault");
        stage.connect("alice").await;
        let qr = stage.qr("alice").await;
        let _ = stage.sim.scan(&qr, PHONE).await;
        let event = stage
            .event("alice", |e| matches!(e.kind, EventKind::Updated))
            .await;
        let status = event.status.expect("a status");
        assert_eq!(status.phase, Phase::AwaitingScan);
        assert!(status.error.is_some());
        assert_eq!(status.account, None);
        stage
            .client
            .force_logout("alice")
            .await
            .expect("force-logout");
        stage.ended("alice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_never_finished_is_removed_at_the_next_start() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    let qr = stage.qr("alice").await;
    stage.kill();
    stage.start().await;
    if stage.client.status("alice").await.is_ok() {
        stage.ended("alice").await;
    }
    stage
        .assert_gone("alice", Cause::PairingAbandoned, Unlink::NotLinked)
        .await;
    stage.connect("alice").await;
    assert_ne!(stage.qr("alice").await, qr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_no_code() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    let qr = stage.qr("alice").await;
    let listed = stage.client.list().await.expect("list");
    assert_eq!(listed[0].phase, Phase::AwaitingScan);
    let shown = listed[0].qr.as_ref().expect("that there is one");
    assert_eq!(
        (shown.number, shown.remaining, shown.code.is_none()),
        (1, 5, true)
    );
    assert!(!stage.log().contains(&qr));
}
