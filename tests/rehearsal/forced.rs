//! `force-logout`, wherever a session is.

use wasessiond::client::Disconnected;
use wasessiond::protocol::{Cause, FailureCode, Phase, Unlink};
use wasim::{Fault, UnlinkAnswer};

use crate::stage::{PHONE, Stage};

async fn forced(stage: &Stage, unlink: Unlink) {
    let report = stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, unlink);
    assert_eq!(report.entry.cause, Cause::ForceLogout);
    assert!(report.entry.requested_by.is_some());
    let remains = report.next_action.contains("Linked devices");
    assert_eq!(
        remains,
        unlink.device_may_remain(),
        "{}",
        report.next_action
    );
    stage.assert_gone("alice", Cause::ForceLogout, unlink).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_online() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    forced(&stage, Unlink::Confirmed).await;
    assert!(stage.sim.devices(PHONE).await.expect("devices").is_empty());
    stage.ended("alice").await;
    stage.pair("alice", PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_disconnected_it_connects_to_unlink() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    stage.client.disconnect("alice").await.expect("disconnect");
    forced(&stage, Unlink::Confirmed).await;
    assert!(stage.sim.devices(PHONE).await.expect("devices").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_whatsapp_cannot_be_reached() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage
        .sim
        .set_listening(false)
        .await
        .expect("stop listening");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.phase("alice", Phase::BackingOff).await;
    forced(&stage, Unlink::Unreachable).await;
    stage.sim.set_listening(true).await.expect("listen");
    stage.ended("alice").await;
    stage.pair("alice", PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_connecting_to_a_server_that_hangs() {
    let mut stage = Stage::with("[logout]\nunlink_timeout = \"1s\"\n").await;
    let device = stage.pair("alice", PHONE).await;
    stage
        .sim
        .set_fault(Fault::NoServerHello)
        .await
        .expect("fault");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage
        .event("alice", |e| {
            e.status
                .as_ref()
                .and_then(|s| s.connecting)
                .is_some_and(|c| c.stage == wasessiond::protocol::Stage::Handshake)
        })
        .await;
    forced(&stage, Unlink::Unreachable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_waiting_to_be_scanned() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    let qr = stage.qr("alice").await;
    forced(&stage, Unlink::NotLinked).await;
    stage.ended("alice").await;
    // The old code is worth nothing, and the next one is another.
    stage.sim.scan(&qr, PHONE).await.expect_err("the old code");
    stage.connect("alice").await;
    assert_ne!(stage.qr("alice").await, qr);
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_at_once_is_one_logout() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let (first, second) = tokio::join!(
        stage.client.force_logout("alice"),
        stage.client.force_logout("alice")
    );
    assert_eq!(first.expect("first"), second.expect("second"));
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
    let history = stage.client.history(None, None).await.expect("history");
    assert_eq!(history.len(), 1, "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_comes_meanwhile_pairs_afresh() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let (gone, begun) = tokio::join!(
        stage.client.force_logout("alice"),
        stage.client.connect_session("alice", None)
    );
    gone.expect("force-logout");
    // It came before the logout, even if its answer had to wait for the disk, or after it: then there is a new
    // pairing.
    let begun = begun.expect("connect");
    if !matches!(begun.phase, Phase::Online | Phase::LoggingOut) {
        stage.qr("alice").await;
        assert_eq!(
            stage.client.status("alice").await.expect("status").phase,
            Phase::AwaitingScan
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_whatsapp_answers_the_unlink() {
    let mut stage = Stage::with("[logout]\nunlink_timeout = \"1s\"\n").await;
    for (answer, unlink) in [
        (UnlinkAnswer::Result, Unlink::Confirmed),
        (UnlinkAnswer::ConflictOnly, Unlink::Confirmed),
        (UnlinkAnswer::ResultThenConflict, Unlink::Confirmed),
        (UnlinkAnswer::Refuse(403), Unlink::Refused),
        (UnlinkAnswer::Ignore, Unlink::Unreachable),
        (UnlinkAnswer::CloseSocket, Unlink::Unreachable),
    ] {
        stage.pair("alice", PHONE).await;
        stage.sim.on_unlink(None, answer).await.expect("on_unlink");
        forced(&stage, unlink).await;
        stage.ended("alice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nobody_is_not_found_and_harms_nobody() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    for (user, code) in [
        ("bob", FailureCode::NotFound),
        ("", FailureCode::InvalidUser),
        ("..", FailureCode::InvalidUser),
        ("alice/", FailureCode::InvalidUser),
        (".", FailureCode::InvalidUser),
        ("ali\0ce", FailureCode::InvalidUser),
    ] {
        assert_eq!(
            Stage::code(stage.client.force_logout(user).await),
            code,
            "{user:?}"
        );
    }
    assert_eq!(
        stage.client.status("alice").await.expect("status").phase,
        Phase::Online
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_of_a_pairing_leaves_nothing() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    stage.qr("alice").await;
    match stage.client.disconnect("alice").await.expect("disconnect") {
        Disconnected::Removed(report) => assert_eq!(report.entry.cause, Cause::PairingAbandoned),
        other => panic!("{other:?}"),
    }
    stage
        .assert_gone("alice", Cause::PairingAbandoned, Unlink::NotLinked)
        .await;
}
