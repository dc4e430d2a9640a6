//! Another connection uses the same credentials.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasessiond::protocol::{Cause, Phase, Unlink};
use wasim::Observation;

use crate::stage::{PHONE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn logs_out_here_and_leaves_the_other_one_alone() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.sim.replace(&device).await.expect("replace");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::Replaced, Unlink::NotAsked)
        .await;
    assert_eq!(
        stage.sim.devices(PHONE).await.expect("devices").len(),
        1,
        "it is still linked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parks_where_told_so_and_connect_takes_over() {
    let mut stage = Stage::with("[sessions]\non_conflict = \"park\"\n").await;
    let device = stage.pair("alice", PHONE).await;
    stage.sim.replace(&device).await.expect("replace");
    let status = stage.phase("alice", Phase::Parked).await;
    assert_eq!(status.reason, Some(Cause::Replaced));
    // It stays so over a restart: the two would throw each other out for ever.
    stage.stop();
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(
        (status.phase, status.reason),
        (Phase::Parked, Some(Cause::Replaced))
    );
    stage.connect("alice").await;
    stage.phase("alice", Phase::Online).await;
}

/// Copies the directory of a session to a second name.
fn copy(stage: &Stage, from: &str, to: &str) {
    let (from, to) = (stage.session_dir(from), stage.session_dir(to));
    fs::create_dir(&to).expect("a directory");
    for file in fs::read_dir(from).expect("read") {
        let file = file.expect("an entry");
        fs::copy(file.path(), to.join(file.file_name())).expect("copy");
    }
}

/// The copy is parked, whatever is asked of it, and the original stays online on its one connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_directory_throws_nobody_out() {
    let mut stage = Stage::set().await;
    let device = stage.pair("bob", PHONE).await;
    stage.stop();
    // One name before the original's and one after it: the names do not decide.
    copy(&stage, "bob", "alice");
    copy(&stage, "bob", "carol");
    let position = stage.sim.position();
    stage.start().await;
    stage.until("bob", Phase::Online).await;
    for user in ["alice", "carol"] {
        let status = stage.until(user, Phase::Parked).await;
        assert_eq!(status.reason, Some(Cause::CopiedCredentials), "{status:?}");
        stage
            .client
            .connect_session(user, None)
            .await
            .expect("connect");
        let status = stage.until(user, Phase::Parked).await;
        assert_eq!(status.reason, Some(Cause::CopiedCredentials), "{status:?}");
    }
    // One more while the daemon runs; the copy of a session that is disconnected is one, too.
    stage.client.disconnect("bob").await.expect("disconnect");
    copy(&stage, "bob", "dave");
    stage
        .client
        .connect_session("dave", None)
        .await
        .expect("connect");
    let status = stage.until("dave", Phase::Parked).await;
    assert_eq!(status.reason, Some(Cause::CopiedCredentials), "{status:?}");
    stage.connect("bob").await;
    stage.until("bob", Phase::Online).await;

    // Removing the copies does not unlink the device, which is the original's.
    for user in ["alice", "carol", "dave"] {
        let report = stage.client.force_logout(user).await.expect("force-logout");
        assert_eq!(report.entry.unlink, Unlink::NotAsked);
        assert_eq!(stage.of_user_on_disk(user), Vec::<String>::new());
    }
    let devices = stage.sim.devices(PHONE).await.expect("devices");
    assert_eq!(devices.len(), 1, "it is still linked");
    let status = stage.client.status("bob").await.expect("status");
    assert_eq!(status.phase, Phase::Online);
    let logins = AtomicUsize::new(0);
    let count = |seen: &Observation| {
        if matches!(seen, Observation::Login { jid, .. } if *jid == device) {
            logins.fetch_add(1, Ordering::Relaxed);
        }
        false
    };
    let seen = stage.sim.wait_after(position, count, Duration::ZERO).await;
    assert!(seen.is_err());
    assert_eq!(logins.into_inner(), 2, "only bob logs in, twice");
}

/// A directory under another name is the session all the same, where nothing else has its credentials:
/// renamed, or brought back from a backup after the original has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_directory_is_no_copy() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.stop();
    fs::rename(stage.session_dir("alice"), stage.session_dir("renamed")).expect("rename");
    stage.start().await;
    let status = stage.until("renamed", Phase::Online).await;
    assert_eq!(status.account.map(|account| account.jid), Some(device));
    stage.stop();
    copy(&stage, "renamed", "copy");
    stage.start().await;
    stage.until("renamed", Phase::Online).await;
    stage.until("copy", Phase::Parked).await;
    // The original goes without its device being unlinked; then the copy is the session.
    stage.stop();
    fs::remove_dir_all(stage.session_dir("renamed")).expect("remove");
    stage.start().await;
    stage.until("copy", Phase::Online).await;
    let report = stage
        .client
        .force_logout("copy")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
}
