//! Another connection uses the same credentials.

use wasessiond::protocol::{Cause, Phase, Unlink};

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
