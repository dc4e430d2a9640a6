//! The end of the loop that everything goes through.

use crate::daemon::failing;
use crate::stage::Stage;

/// Without its supervisor the daemon is of no use: it ends, so that whoever watches it starts another.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_supervisor_ends_ends_with_70() {
    let command = failing("supervisor=20*off->panic");
    let mut stage = Stage::launch("", command).await;
    let daemon = stage.daemon.take().expect("it runs");
    // Each request takes a turn of the loop.
    while stage.client.list().await.is_ok() {}
    let status = tokio::task::block_in_place(|| daemon.wait());
    assert_eq!(status.code(), Some(70), "{status}\n{}", stage.log());
    assert!(stage.log().contains("supervisor"), "{}", stage.log());

    // And the next one begins where this one ended.
    stage.start().await;
    stage.pair("alice", crate::stage::PHONE).await;
}
