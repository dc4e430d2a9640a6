//! The end of the loop that everything goes through.

use tokio::time::timeout;
use wasessiond::protocol::Phase;

use crate::daemon::failing;
use crate::stage::{PATIENCE, PHONE, Stage};

/// Without its supervisor the daemon is of no use: it ends, so that whoever watches it starts another.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_supervisor_ends_ends_with_70() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    stage.stop();
    stage.start_by(failing("supervisor=panic")).await;
    let daemon = stage.daemon.take().expect("it runs");
    // A new session is its work.
    let asked = timeout(PATIENCE, stage.client.connect_session("bob", None)).await;
    assert!(asked.expect("an answer").is_err(), "nobody began it");
    let status = tokio::task::block_in_place(|| daemon.wait());
    assert_eq!(status.code(), Some(70), "{status}\n{}", stage.log());
    assert!(stage.log().contains("supervisor"), "{}", stage.log());

    // And the next one begins where this one ended.
    stage.start().await;
    stage.until("alice", Phase::Online).await;
}
