//! A disk that does not answer for one user's directory.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasessiond::protocol::{FailureCode, Phase, Unlink};

use crate::daemon::failing;
use crate::resolver::{LOGOUT, answers_at_once};
use crate::stage::{PHONE, Stage};
use crate::watchdog::Watchdog;

/// The longest deadline of a command that waits for the disk, and a moment for a busy machine.
const DISCONNECT: Duration = Duration::from_secs(20);

/// The file that lets the disk hang for alice.
fn hangs(stage: &Stage) -> PathBuf {
    stage.dir.path().join("disk-hangs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_for_one_user_holds_up_nobody_else() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.pair("carol", "15550001003").await;
    stage.stop();
    let hang = hangs(&stage);
    let points = format!("disk_hang=return(alice:{})", hang.display());
    let mut watchdog = Watchdog::start(&mut stage, failing(&points)).await;
    for user in ["alice", "bob", "carol"] {
        stage.until(user, Phase::Online).await;
    }
    fs::write(&hang, "").expect("write");

    // Each of alice's commands is answered by its deadline, if only to say that it could not be done.
    let began = Instant::now();
    let told = timeout(DISCONNECT, stage.client.disconnect("alice")).await;
    let told = told.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed()));
    let code = Stage::code(told);
    assert!(
        matches!(
            code,
            FailureCode::DeadlineExceeded | FailureCode::StoreFailed
        ),
        "{code:?}"
    );
    answers_at_once(&stage).await;
    timeout(LOGOUT, stage.client.status("alice"))
        .await
        .expect("an answer")
        .expect("a status");
    watchdog.is_fed(1).await;

    // Others keep their time.
    let began = Instant::now();
    let report = stage
        .client
        .force_logout("bob")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    assert!(began.elapsed() < LOGOUT, "{:?}", began.elapsed());
    stage.pair("dave", "15550001004").await;
    stage.client.disconnect("carol").await.expect("disconnect");

    let began = Instant::now();
    let told = timeout(LOGOUT, stage.client.force_logout("alice")).await;
    let told = told.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed()));
    assert!(told.is_err(), "nothing can be removed yet: {told:?}");
    answers_at_once(&stage).await;
    watchdog.is_fed(2).await;

    // It answers again: the logout that was asked for is carried out.
    fs::remove_file(&hang).expect("remove");
    match stage.client.force_logout("alice").await {
        Ok(_) => {}
        // It ended by itself before this was asked.
        told => assert_eq!(Stage::code(told), FailureCode::NotFound),
    }
    assert_eq!(stage.of_user_on_disk("alice"), [""; 0]);
    stage.pair("alice", PHONE).await;
}
