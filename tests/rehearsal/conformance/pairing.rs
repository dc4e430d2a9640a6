//! Pairings: X11, X12, X14, X19, and S9 where it belongs.

use std::time::Instant;

use wasessiond::client::{ClientError, Disconnected};
use wasessiond::protocol::{Cause, EventKind, FailureCode, Phase, Unlink};
use wasim::{Fault, FaultRule, Observation};

use super::person::Person;
use super::row::report;
use crate::stage::Stage;

/// 515 is how a pairing goes on: nobody sees it.
async fn restart_after_the_pairing(stage: &Stage) {
    let mut person = Person::new(stage, 1).await;
    person.connect().await;
    let qr = person.qr().await;
    let begin = Instant::now();
    person.device = person.sim.scan(&qr, &person.phone).await.expect("scan");
    person.event(|e| matches!(e.kind, EventKind::Paired)).await;
    loop {
        let event = person.next().await;
        match event.kind {
            EventKind::Connecting | EventKind::Updated => {}
            EventKind::Online => break,
            other => panic!("nobody should have seen {other}"),
        }
    }
    report("S9", "-     after the pairing", "ok", begin.elapsed());
}

/// A spoiled `<pair-success>` pairs nobody, and says so; a good one still does.
async fn spoiled(stage: &Stage, number: usize, id: &str, fault: Fault) {
    let mut person = Person::new(stage, number).await;
    let rule = FaultRule::from(fault).only(&person.phone).times(1);
    person.sim.set_fault(rule).await.expect("fault");
    person.connect().await;
    let qr = person.qr().await;
    let begin = Instant::now();
    let scanned = person.sim.scan(&qr, &person.phone).await;
    assert!(scanned.is_err(), "{scanned:?}");
    let event = person.event(|e| matches!(e.kind, EventKind::Updated)).await;
    let took = begin.elapsed();
    let status = event.status.expect("a status");
    assert_eq!((status.phase, status.account), (Phase::AwaitingScan, None));
    assert!(status.error.is_some());
    // The code goes on being shown, and being good.
    let device = person.sim.scan(&qr, &person.phone).await;
    person.device = device.expect("scan again");
    person.online().await;
    report(id, "stays in pairing", "ok", took);
}

async fn refused_code(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    let rule = FaultRule::from(Fault::RefusePairCode(429)).only(&person.phone);
    person.sim.set_fault(rule).await.expect("fault");
    let begin = Instant::now();
    let phone = format!("+{}", person.phone);
    let asked = person.client.connect_session(&person.user, Some(&phone));
    let Err(ClientError::Failure(failure)) = asked.await else {
        panic!("it should have been refused");
    };
    let took = begin.elapsed();
    assert_eq!(failure.code, FailureCode::RateLimited);
    assert!(failure.retry_after.is_some_and(|s| s > 0), "{failure:?}");
    person.event(|e| e.kind.ended().is_some()).await;
    person.is_gone(Cause::RateLimited, Unlink::NotLinked).await;
    report("X14", "failure rate_limited", "ok", took);
}

/// Abandoned, then begun anew: another code, and never a login with half an identity.
async fn abandoned(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    person.connect().await;
    let first = person.qr().await;
    match person.client.disconnect(&person.user).await {
        Ok(Disconnected::Removed(_)) => {}
        other => panic!("{other:?}"),
    }
    person.event(|e| e.kind.ended().is_some()).await;
    let begin = Instant::now();
    person.connect().await;
    let second = person.qr().await;
    let took = begin.elapsed();
    // ref, noise key, identity key, adv secret: all anew.
    for (old, new) in first.split(',').zip(second.split(',')).take(4) {
        assert_ne!(old, new);
    }
    let scanned = person.sim.scan(&first, &person.phone).await;
    assert!(scanned.is_err(), "{scanned:?}");
    person.device = person.sim.scan(&second, &person.phone).await.expect("scan");
    person.online().await;
    report("X19", "a fresh QR code", "ok", took);
}

#[tokio::test(flavor = "multi_thread")]
async fn pairings() {
    let stage = Stage::set().await;
    tokio::join!(
        restart_after_the_pairing(&stage),
        spoiled(&stage, 2, "X12hmac", Fault::CorruptHmac),
        spoiled(&stage, 3, "X12sig", Fault::CorruptAccountSignature),
        refused_code(&stage, 4),
        abandoned(&stage, 5),
    );
}

/// Whoever is told `paired` may kill the daemon at once.
#[tokio::test(flavor = "multi_thread")]
async fn paired_is_told_when_it_is_durable() {
    let mut stage = Stage::set().await;
    let mut person = Person::new(&stage, 1).await;
    person.connect().await;
    let qr = person.qr().await;
    let (sim, phone) = (person.sim.clone(), person.phone.clone());
    let scan = tokio::spawn(async move { sim.scan(&qr, &phone).await });
    let event = person.event(|e| matches!(e.kind, EventKind::Paired)).await;
    stage.kill();
    let begin = Instant::now();
    let told = event.status.and_then(|s| s.account).expect("an account");
    person.device = told.jid;
    let _ = scan.await.expect("the scan");
    let position = stage.sim.position();
    stage.start().await;
    person.rejoin(&stage).await;
    let status = person.client.status(&person.user).await.expect("status");
    if status.phase != Phase::Online {
        person.online().await;
    }
    report("X11", "paired is durable", "ok", begin.elapsed());

    // Killed while a code is shown: the next start does not log in with half an identity.
    let mut half = Person::new(&stage, 2).await;
    half.connect().await;
    let first = half.qr().await;
    stage.kill();
    let begin = Instant::now();
    stage.start().await;
    half.rejoin(&stage).await;
    if half.client.status(&half.user).await.is_ok() {
        half.event(|e| e.kind.ended().is_some()).await;
    }
    half.is_gone(Cause::PairingAbandoned, Unlink::NotLinked)
        .await;
    half.connect().await;
    assert_ne!(half.qr().await, first);
    let refused = |o: &Observation| matches!(o, Observation::LoginRefused { .. });
    let refused = stage
        .sim
        .wait_after(position, refused, std::time::Duration::ZERO)
        .await;
    assert!(refused.is_err(), "{refused:?}");
    report("X19kill", "a fresh QR code", "ok", begin.elapsed());
}
