//! Signals while sessions are in every phase: the daemon ends well, and nothing is lost.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wasessiond::client::ClientError;
use wasessiond::protocol::{Cause, FailureCode, Phase};
use wasim::{Failure, Fault, UnlinkAnswer};

use crate::stage::{PHONE, Stage};

/// What a stop may take: ten seconds for the links, and some for everything else.
const GRACE: Duration = Duration::from_secs(17);

/// Stops it, as systemd would, and starts it again.
async fn restart(stage: &mut Stage) {
    let began = Instant::now();
    stage.stop();
    let took = began.elapsed();
    assert!(took < GRACE, "the stop took {took:?}");
    stage.start().await;
}

/// It is online again, as the same device, and nothing ended.
async fn is_back(stage: &mut Stage, device: &str, after: &str) {
    if stage.client.status("alice").await.expect("status").phase != Phase::Online {
        stage.phase("alice", Phase::Online).await;
    }
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.account.expect("an account").jid, device, "{after}");
    let history = stage.client.history(None, None).await.expect("history");
    assert_eq!(history, [], "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_any_phase_of_a_paired_session_keeps_it() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    restart(&mut stage).await;
    is_back(&mut stage, &device, "online").await;

    // At each stage of a connect that hangs there.
    for fault in [
        Fault::NoUpgrade,
        Fault::NoServerHello,
        Fault::NoSuccess,
        Fault::NoOffline,
    ] {
        let after = format!("{fault:?}");
        stage.sim.set_fault(fault).await.expect("fault");
        stage.sim.drop_connection(&device).await.expect("drop");
        stage.phase("alice", Phase::BackingOff).await;
        stage.connect("alice").await;
        restart(&mut stage).await;
        // Once more, while the restore hangs.
        restart(&mut stage).await;
        stage.sim.clear_faults().await.expect("clear");
        stage.connect("alice").await;
        restart(&mut stage).await;
        is_back(&mut stage, &device, &after).await;
    }

    stage
        .sim
        .set_fault(Fault::CloseOnAccept)
        .await
        .expect("fault");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.phase("alice", Phase::BackingOff).await;
    stage.sim.clear_faults().await.expect("clear");
    restart(&mut stage).await;
    is_back(&mut stage, &device, "backing off").await;

    let refused = Failure::reason(409);
    stage
        .sim
        .fail_next_login(&device, refused)
        .await
        .expect("fail");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.phase("alice", Phase::Parked).await;
    restart(&mut stage).await;
    stage.connect("alice").await;
    is_back(&mut stage, &device, "parked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_pairing_leaves_nothing_half() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    stage.qr("alice").await;
    restart(&mut stage).await;
    let entry = match stage.client.status("alice").await {
        Ok(_) => stage.ended("alice").await,
        Err(ClientError::Failure(failure)) => *failure.last_logout.expect("how it ended"),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(entry.cause, Cause::PairingAbandoned);
    stage.pair("alice", PHONE).await;
}

/// Whoever waits for a pair code at a stop is told of the stop, and can ask the next daemon.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_what_is_told_to_who_waits_for_a_pair_code() {
    let mut stage = Stage::set().await;
    stage.sim.set_fault(Fault::NoUpgrade).await.expect("fault");
    let client = stage.client.clone();
    let asked = tokio::spawn(async move {
        let phone = format!("+{PHONE}");
        client.connect_session("alice", Some(&phone)).await
    });
    stage.phase("alice", Phase::Connecting).await;
    restart(&mut stage).await;
    let answer = asked.await.expect("it ended");
    assert_eq!(Stage::code(answer), FailureCode::Stopping);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_logout_that_somebody_asked_for_sees_it_through() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage
        .sim
        .on_unlink(Some(&device), UnlinkAnswer::Ignore)
        .await
        .expect("silence");
    let client = stage.client.clone();
    let asked = tokio::spawn(async move { client.force_logout("alice").await });
    stage.phase("alice", Phase::LoggingOut).await;
    restart(&mut stage).await;
    // Its client may have been told, or was cut off; the history knows.
    let _ = asked.await.expect("it ended");
    let history = stage
        .client
        .history(Some("alice"), None)
        .await
        .expect("history");
    assert_eq!(
        history.first().map(|entry| entry.cause),
        Some(Cause::ForceLogout)
    );
    assert!(stage.on_disk().is_empty(), "{:?}", stage.on_disk());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reloads_disturbs_nobody_and_the_last_one_counts() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let path = stage.dir.path().join("config.toml");
    let before = std::fs::read_to_string(&path).expect("the configuration");
    let pid = Pid::from_raw(stage.daemon.as_ref().expect("it runs").pid());
    for n in 1..=1000 {
        if n % 100 == 0 {
            let max = format!("{before}[sessions]\nmax = {n}\n");
            std::fs::write(&path, max).expect("write");
        }
        kill(pid, Signal::SIGHUP).expect("a signal");
        if n % 250 == 0 {
            stage.client.ping().await.expect("it answers");
        }
    }
    // The last signal came after the last write, so whoever asks now finds nothing left to change,
    // at the latest behind the reload that was on its way.
    stage.client.reload().await.expect("a reload");
    assert_eq!(
        stage.client.reload().await.expect("a reload").changed,
        Vec::<String>::new()
    );
    is_back(&mut stage, &device, "the storm").await;
    kill(pid, Signal::SIGHUP).expect("a signal");
    restart(&mut stage).await;
    is_back(&mut stage, &device, "a reload during the stop").await;
}
