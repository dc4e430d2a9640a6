//! A WhatsApp that takes requests and answers nothing.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasessiond::protocol::Unlink;
use wasim::{Fault, Observation};

use crate::resolver::{LOGOUT, answers_at_once};
use crate::stage::{PATIENCE, PHONE, Stage};
use crate::usage::processor;

/// A list of groups that WhatsApp owes does not keep a logout waiting, and waiting costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_an_answer_holds_up_no_logout() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let mute = Fault::NoAnswerTo("w:g2".to_owned());
    stage.sim.set_fault(mute).await.expect("a fault");
    let client = stage.client.clone();
    let asking = tokio::spawn(async move { client.groups("alice").await });
    let ignored = |seen: &Observation| {
        matches!(seen, Observation::RequestIgnored { jid, namespace, .. }
            if *jid == device && namespace == "w:g2")
    };
    let seen = stage.sim.wait_for(ignored, PATIENCE).await;
    seen.expect("it asks for its groups");

    let (began, used_before) = (Instant::now(), processor(&stage));
    let report = timeout(LOGOUT, stage.client.force_logout("alice")).await;
    let report = report.expect("an answer by the deadline");
    let report = report.expect("force-logout");
    let took = began.elapsed();
    let used = processor(&stage).saturating_sub(used_before);
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    assert_eq!(stage.of_user_on_disk("alice"), [""; 0]);
    // The logout itself takes some; waiting takes none.
    let most = Duration::from_millis(500).max(took / 5);
    assert!(used <= most, "{used:?} of processor time in {took:?}");
    let told = timeout(PATIENCE, asking).await.expect("it is answered");
    let told = told.expect("no panic");
    assert!(told.is_err(), "there are no groups to tell: {told:?}");
    answers_at_once(&stage).await;
    stage.sim.clear_faults().await.expect("clear");
    stage.ended("alice").await;
    stage.pair("alice", PHONE).await;
}
