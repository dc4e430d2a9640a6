//! F403: WhatsApp locks the account. The same credentials may be accepted again after the lock.

use wasessiond::protocol::{Cause, HistoryEntry, Phase, ProxyEdit, Redacted, Status, Unlink};
use wasim::Failure;

use super::APPEAL_TOKEN;
use crate::stage::{PHONE, Stage};

const SAID: &str = "You have been logged out Open WhatsApp on your phone for details";

/// Pairs somebody, whose account WhatsApp locks then.
async fn locked(stage: &mut Stage) -> String {
    let device = stage.pair("alice", PHONE).await;
    let failure = Failure::account_locked(APPEAL_TOKEN);
    let failed = stage.sim.fail_next_login(&device, failure).await;
    failed.expect("fail");
    stage.sim.drop_connection(&device).await.expect("drop");
    device
}

fn token(of: Option<&Redacted>) -> Option<&str> {
    of.map(Redacted::reveal)
}

fn is_held_with_its_token(status: &Status) {
    assert_eq!(status.phase, Phase::Held);
    assert_eq!(status.reason, Some(Cause::AccountLocked));
    assert_eq!(status.error.as_deref(), Some(SAID));
    assert_eq!(token(status.appeal_token.as_ref()), Some(APPEAL_TOKEN));
    assert!(
        status.next_action.contains("phone"),
        "{}",
        status.next_action
    );
}

fn has_what_came_once(entry: &HistoryEntry) {
    assert_eq!(token(entry.appeal_token.as_ref()), Some(APPEAL_TOKEN));
    assert_eq!(entry.text.as_deref(), Some(SAID));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_held_with_its_token_and_comes_back_with_the_same_credentials() {
    let mut stage = Stage::set().await;
    let device = locked(&mut stage).await;
    is_held_with_its_token(&stage.phase("alice", Phase::Held).await);
    // A crash does not lose the token. A change is answered when what was to be written before is written.
    let written = stage.client.proxy("alice", ProxyEdit::Clear).await;
    written.expect("it is on the disk");
    stage.kill();
    stage.start().await;
    is_held_with_its_token(&stage.until("alice", Phase::Held).await);
    let listed = stage.client.list().await.expect("list");
    assert!(listed.iter().all(|status| status.appeal_token.is_none()));
    assert!(!stage.log().contains(APPEAL_TOKEN), "it is a secret");
    // A person may try once. Nothing but 403 so far: held again, and longer.
    let again = stage.sim.fail_next_login(&device, Failure::reason(403));
    again.await.expect("fail");
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Held).await;
    is_held_with_its_token(&status);
    let held = status.held_until.expect("an end");
    let hours = held.duration_since(status.since).as_secs() / 3600;
    assert!((5..=6).contains(&hours), "{hours} hours");
    // The lock is over.
    stage.connect("alice").await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    assert_eq!(status.appeal_token, None);
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_that_is_given_up_has_its_token_in_the_history() {
    let mut stage = Stage::set().await;
    locked(&mut stage).await;
    stage.phase("alice", Phase::Held).await;
    let report = stage.client.force_logout("alice").await;
    let entry = report.expect("force-logout").entry;
    assert_eq!(entry.cause, Cause::ForceLogout);
    has_what_came_once(&entry);
    stage.ended("alice").await;
    let kept = stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
    assert_eq!(kept, entry);
    assert!(!stage.log().contains(APPEAL_TOKEN), "it is a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_logs_out_at_once_where_told_so_and_the_device_may_remain() {
    let mut stage = Stage::with("[sessions]\non_locked = \"logout\"\n").await;
    locked(&mut stage).await;
    has_what_came_once(&stage.ended("alice").await);
    let kept = stage
        .assert_gone("alice", Cause::AccountLocked, Unlink::NotKnown)
        .await;
    has_what_came_once(&kept);
    let linked = stage.sim.devices(PHONE).await.expect("devices");
    assert_eq!(
        linked.len(),
        1,
        "a lock is on the account, not on the device"
    );
    // Ready for the next one, with no restart.
    stage.pair("alice", PHONE).await;
}
