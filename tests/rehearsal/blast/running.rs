//! Trouble that comes while all are online.

use diesel::connection::SimpleConnection;
use wasessiond::protocol::{Cause, Phase, Unlink};

use super::crowd::{Crowd, ONE, USERS, blow_up, database};
use crate::daemon::failing;
use crate::stage::Stage;

/// One after the other on the same hundred: pairing them is what takes long.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_one_is_nobody_elses() {
    let mut crowd = Crowd::gather("[sessions]\non_conflict = \"park\"\n").await;
    crowd
        .undisturbed_by("a conflict, twenty times over", conflicts)
        .await;
    crowd
        .undisturbed_by("a disk that takes no write of one's", slow_disk)
        .await;

    crowd.stage.stop();
    let panicking = failing(&format!("session_command=return({ONE})"));
    crowd.stage.start_by(panicking).await;
    crowd.until_online(USERS - 1).await;
    if crowd.stage.client.status(ONE).await.expect("status").phase != Phase::Online {
        crowd.stage.phase(ONE, Phase::Online).await;
    }
    crowd
        .undisturbed_by("a task that panics at every command", panics)
        .await;

    crowd.stage.stop();
    blow_up(&crowd.stage).await;
    crowd.stage.start().await;
    crowd.until_online(USERS - 1).await;
    crowd
        .undisturbed_by("a force-logout of 100 MB", logout)
        .await;
}

async fn conflicts(stage: &mut Stage, device: &str) {
    for _ in 0..20 {
        stage.sim.replace(device).await.expect("replace");
        let status = stage.phase(ONE, Phase::Parked).await;
        assert_eq!(status.reason, Some(Cause::Replaced));
        stage.connect(ONE).await;
        stage.phase(ONE, Phase::Online).await;
    }
}

/// Whoever wants to write to the file waits until its patience is over: so does a session on a disk
/// that has come to a halt.
async fn slow_disk(stage: &mut Stage, _: &str) {
    // An open session has its file for itself alone.
    stage.client.disconnect(ONE).await.expect("disconnect");
    let mut other = database(stage);
    other.batch_execute("BEGIN IMMEDIATE").expect("lock");
    stage.connect(ONE).await;
    let status = stage.phase(ONE, Phase::BackingOff).await;
    assert_eq!(status.reason, Some(Cause::StoreFailed), "{status:#?}");
    drop(other);
    stage.connect(ONE).await;
    stage.phase(ONE, Phase::Online).await;
}

async fn panics(stage: &mut Stage, _: &str) {
    for _ in 0..20 {
        let failed = stage.client.connect_session(ONE, None).await;
        failed.expect_err("nobody is there to answer");
        let status = stage.phase(ONE, Phase::BackingOff).await;
        assert_eq!(status.reason, Some(Cause::TaskFailed));
        assert!(status.error.is_some_and(|e| e.contains("asked to fail")));
    }
}

async fn logout(stage: &mut Stage, _: &str) {
    let report = stage.client.force_logout(ONE).await.expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    assert!(report.entry.removed.bytes > 100_000_000);
    stage.ended(ONE).await;
    assert!(!stage.session_dir(ONE).exists());
    assert!(stage.descriptors(ONE).is_empty());
}
