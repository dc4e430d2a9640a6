//! What must never cost credentials, and what must be told apart from it.

use std::fs;

use wasessiond::protocol::{Cause, FailureCode, Phase, TargetEdit, Unlink};
use wasim::{Fault, Saying};

use crate::conversation::nothing_waits;
use crate::stage::{PATIENCE, PHONE, Stage};

/// Loses the connection with this fault in the way, and comes back once it is gone.
async fn lost_and_back(stage: &mut Stage, device: &str, fault: Fault, cause: Cause) {
    stage.sim.set_fault(fault).await.expect("fault");
    stage.sim.drop_connection(device).await.expect("drop");
    let status = loop {
        let status = stage.phase("alice", Phase::BackingOff).await;
        if status.reason != Some(Cause::ConnectionLost) {
            break status;
        }
    };
    assert_eq!(status.reason, Some(cause), "{:?}", status.error);
    assert!(status.retry_at.is_some() && status.error.is_some());
    stage.sim.clear_faults().await.expect("clear");
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_in_trouble_is_no_logout() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    for (fault, cause) in [
        (Fault::HttpStatus(401), Cause::ProxyRefused),
        (Fault::HttpStatus(403), Cause::ProxyRefused),
        (Fault::HttpStatus(407), Cause::ProxyRefused),
        (Fault::HttpStatus(503), Cause::ServerUnavailable),
        (Fault::HttpStatus(404), Cause::Unreachable),
        (Fault::CloseOnAccept, Cause::Unreachable),
        (Fault::GarbageServerHello, Cause::HandshakeFailed),
        (Fault::CloseOnHello, Cause::HandshakeFailed),
    ] {
        lost_and_back(&mut stage, &device, fault, cause).await;
    }
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
async fn whatever_whatsapp_says_that_is_not_a_logout_keeps_the_credentials() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    for (code, cause) in [
        (503, Cause::ServerUnavailable),
        (500, Cause::StreamError),
        (777, Cause::StreamError),
    ] {
        let error = wasim::StreamError::code(code).keep_open();
        stage
            .sim
            .stream_error(&device, error)
            .await
            .expect("stream error");
        let status = stage.phase("alice", Phase::BackingOff).await;
        assert_eq!(status.reason, Some(cause));
        stage.phase("alice", Phase::Online).await;
    }
    stage.sim.end_stream(&device, false).await.expect("end");
    let status = stage.phase("alice", Phase::BackingOff).await;
    assert_eq!(status.reason, Some(Cause::StreamEnded));
    stage.phase("alice", Phase::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_with_an_end_is_held_over_a_restart() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let ban = wasim::Failure {
        code: Some(101),
        expire: Some(3600),
        ..wasim::Failure::reason(402)
    };
    stage.sim.fail_next_login(&device, ban).await.expect("fail");
    stage.sim.drop_connection(&device).await.expect("drop");
    let held = stage.phase("alice", Phase::Held).await;
    assert_eq!(held.reason, Some(Cause::TemporaryBan));
    stage.stop();
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(
        (status.phase, status.held_until),
        (Phase::Held, held.held_until)
    );
    // Asking does not help before then, and says so.
    let asked = stage
        .client
        .connect_session("alice", None)
        .await
        .expect("connect");
    assert_eq!(asked.phase, Phase::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_parked_until_somebody_says_connect() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    for (reason, cause) in [
        (400, Cause::Refused(Some(400))),
        (409, Cause::Refused(Some(409))),
        (418, Cause::Refused(Some(418))),
    ] {
        stage
            .sim
            .fail_next_login(&device, wasim::Failure::reason(reason))
            .await
            .expect("fail");
        stage.sim.drop_connection(&device).await.expect("drop");
        let status = stage.phase("alice", Phase::Parked).await;
        assert_eq!(status.reason, Some(cause));
        stage.connect("alice").await;
        stage.phase("alice", Phase::Online).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_credentials_get_no_new_identity() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let db = stage.session_dir("alice").join("vault.db");
    stage.stop();
    let whole = fs::read(&db).expect("read");
    let mut scrambled = whole.clone();
    scrambled[100..].fill(0xa5);
    let cases = [
        ("empty", Some(b"".as_slice())),
        ("garbage", Some(&[7; 5000])),
        ("truncated", Some(&whole[..whole.len() / 2])),
        ("scrambled", Some(&scrambled)),
        ("missing", None),
    ];
    for (name, bytes) in cases {
        for extension in ["db-wal", "db-shm"] {
            let _ = fs::remove_file(db.with_extension(extension));
        }
        match bytes {
            Some(bytes) => fs::write(&db, bytes).expect("write"),
            None => fs::remove_file(&db).expect("remove"),
        }
        stage.start().await;
        let status = stage.until("alice", Phase::StoreCorrupt).await;
        assert!(
            status.error.is_some_and(|e| e.contains("vault.db")),
            "{name}"
        );
        let asked = stage
            .client
            .connect_session("alice", None)
            .await
            .expect("connect");
        assert_eq!(asked.qr, None, "{name}");
        stage.stop();
        let left = fs::read(&db).ok();
        assert!(left.as_deref() == bytes, "{name}: it was overwritten");
        fs::write(&db, &whole).expect("put it back");
    }
    // Put back, it works.
    stage.start().await;
    stage.until("alice", Phase::Online).await;
}

/// They turn bad while the session is online, and the next message needs them. It is not acknowledged, so it is not
/// lost.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_turn_bad_under_a_session_end_its_link_and_cost_nothing() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    idle(&stage, "alice").await;
    let db = stage.session_dir("alice").join("vault.db");
    let whole = fs::read(&db).expect("read");
    fs::write(&db, [7; 5000]).expect("spoil it");
    let words = Saying::text("15559990001", PHONE, "a word to a friend");
    stage.sim.say(words).await.expect("said");
    let status = stage.phase("alice", Phase::StoreCorrupt).await;
    assert!(status.error.is_some_and(|e| e.contains("vault.db")));
    assert_eq!(fs::read(&db).expect("read"), [7; 5000]);
    assert!(stage.sim.waiting(&device).await.expect("a mailbox") > 0);
    // Put back, everything goes on, and the message comes.
    fs::write(&db, &whole).expect("put it back");
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    nothing_waits(&stage.sim, &device).await;
    let history = stage.client.history(None, None).await;
    assert_eq!(history.expect("history"), []);
}

/// Waits until a session that is online has no file open: an idle one has its connection, and nothing else.
async fn idle(stage: &Stage, user: &str) {
    let closed = async {
        while !stage.descriptors(user).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(PATIENCE, closed).await;
    closed.expect("it closes its files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_not_written_over() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let file = stage.session_dir("alice").join("session.toml");
    stage.stop();
    let whole = fs::read(&file).expect("read");
    let newer = b"version = 99\n";
    fs::write(&file, newer).expect("write");
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::StoreCorrupt);
    assert!(status.error.is_some_and(|e| e.contains("newer")));
    for _ in 0..2 {
        let asked = stage
            .client
            .connect_session("alice", None)
            .await
            .expect("connect");
        assert_eq!(asked.phase, Phase::StoreCorrupt);
        let refused = stage.client.targets("alice", TargetEdit::Clear).await;
        assert_eq!(Stage::code(refused), FailureCode::StoreCorrupt);
        stage.client.disconnect("alice").await.expect("disconnect");
        assert_eq!(fs::read(&file).expect("read"), newer);
        stage.stop();
        stage.start().await;
    }
    // Put right, it connects without a restart, as the same device.
    fs::write(&file, whole).expect("put it back");
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    // And force-logout is the way out otherwise.
    stage.stop();
    fs::write(&file, newer).expect("write");
    stage.start().await;
    stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_get_a_clear_error() {
    let stage = Stage::set().await;
    let too_long = "a".repeat(65);
    for user in ["", "..", "/", "a/b", "a\0b", ".hidden", too_long.as_str()] {
        let refused = stage.client.connect_session(user, None).await;
        assert_eq!(Stage::code(refused), FailureCode::InvalidUser, "{user:?}");
    }
    let refused = stage.client.connect_session("alice", Some("12")).await;
    assert_eq!(Stage::code(refused), FailureCode::InvalidArgument);
    assert!(stage.on_disk().is_empty());
}
