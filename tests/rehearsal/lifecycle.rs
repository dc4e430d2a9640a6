//! A session's whole life: paired, online, restored, lost, and begun anew, on one daemon.

use wasessiond::client::Disconnected;
use wasessiond::protocol::{Cause, Phase, Unlink};

use crate::stage::{PHONE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn unlinked_on_the_phone_and_paired_again_without_a_restart() {
    let mut stage = Stage::set().await;
    for _ in 0..3 {
        let device = stage.pair("alice", PHONE).await;
        let status = stage.client.status("alice").await.expect("status");
        let account = status.account.expect("an account");
        assert_eq!(
            (account.jid, account.phone),
            (device.clone(), format!("+{PHONE}"))
        );
        assert!(stage.on_disk().contains_key("sessions/alice/vault.db"));

        stage.sim.unlink(&device).await.expect("unlink");
        let entry = stage.ended("alice").await;
        assert_eq!(entry.requested_by, None);
        assert!(entry.removed.files >= 2, "{entry:?}");
        stage
            .assert_gone("alice", Cause::Unlinked, Unlink::NotLinked)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_restores_without_a_qr_code() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.stop();
    assert!(
        stage
            .sim
            .devices(PHONE)
            .await
            .expect("devices")
            .iter()
            .any(|d| d.jid == device)
    );
    stage.start().await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    assert!(
        stage
            .client
            .history(None, None)
            .await
            .expect("history")
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    for _ in 0..3 {
        stage.kill();
        stage.start().await;
        let status = stage.phase("alice", Phase::Online).await;
        assert_eq!(status.account.expect("an account").jid, device);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_lasts_until_connect() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    match stage.client.disconnect("alice").await.expect("disconnect") {
        Disconnected::Kept(status) => assert_eq!(status.phase, Phase::Disconnected),
        other => panic!("{other:?}"),
    }
    assert!(stage.descriptors("alice").is_empty());
    stage.stop();
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Disconnected);
    assert!(status.next_action.contains("wactl connect alice"));
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    // And again: it says so.
    let again = stage
        .client
        .connect_session("alice", None)
        .await
        .expect("connect");
    assert_eq!(again.phase, Phase::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinked_while_the_daemon_was_down() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let other = stage.pair("bob", "15550001002").await;
    stage.stop();
    stage.sim.unlink(&device).await.expect("unlink");
    stage.start().await;
    let entry = stage.ended("alice").await;
    assert_eq!(entry.account.expect("an account").jid, device);
    // One unlinked account does not stop the others.
    stage.until("bob", Phase::Online).await;
    assert!(stage.sim.devices("15550001002").await.expect("devices")[0].jid == other);
    stage.client.force_logout("bob").await.expect("bob");
    stage
        .assert_gone("alice", Cause::LoggedOut, Unlink::NotLinked)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidated_session_ends_at_its_next_login() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage
        .sim
        .fail_next_login(&device, wasim::Failure::reason(406))
        .await
        .expect("fail");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::Invalidated, Unlink::NotKnown)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_is_disconnected_never_wiped() {
    let mut stage = Stage::with("[sessions]\nidle_after = \"1s\"\n").await;
    let device = stage.pair("alice", PHONE).await;
    let status = stage.phase("alice", Phase::Disconnected).await;
    assert_eq!(status.reason, Some(Cause::Idle));
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
}
