//! The rows that take as long as they take: silence, servers that never answer, codes nobody scans,
//! the backoff after a 429. They are played at the same time.

use std::time::{Duration, Instant};

use wasessiond::protocol::{Cause, EventKind, Unlink};
use wasim::{Fault, FaultRule, StreamError};

use super::person::Person;
use super::row::{Act, Class, finish, lost, play, report, row};
use crate::stage::Stage;

async fn on_one_daemon() {
    let stage = Stage::set().await;
    let silent = Class::Retry(Cause::Silent);
    let slow_down = Act::Stream(StreamError::code(429));
    let rows = vec![
        row("X8ice", Act::Freeze, silent),
        row("X8mute", Act::Hang, silent),
        row("S12", slow_down, Class::RetryLong(Cause::RateLimited)),
    ];
    play(&stage, rows).await;
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
}

/// A server that accepts and then says nothing.
async fn unanswered(id: &'static str, fault: Fault, cause: Cause) {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let rule = FaultRule::from(fault).times(1);
    stage.sim.set_fault(rule).await.expect("fault");
    stage
        .sim
        .drop_connection(&person.device)
        .await
        .expect("drop");
    let begin = Instant::now();
    lost(&mut person, Cause::ConnectionLost).await;
    lost(&mut person, cause).await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");
    person.online().await;
    report(id, Class::Retry(cause).to_string(), "ok", took);
}

async fn nobody_scans() {
    let stage = Stage::set().await;
    stage.sim.set_fault(Fault::Refs(1)).await.expect("fault");
    let mut person = Person::new(&stage, 0).await;
    person.connect().await;
    let first = person.qr().await;
    let begin = Instant::now();
    let event = person.event(|e| e.kind.ended().is_some()).await;
    let took = begin.elapsed();
    assert!(matches!(event.kind, EventKind::PairingExpired(_)));
    person
        .is_gone(Cause::PairingExpired, Unlink::NotLinked)
        .await;
    stage.sim.clear_faults().await.expect("clear");
    person.connect().await;
    assert_ne!(person.qr().await, first);
    report("X10", "removed, pairing_expired", "ok", took);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_its_time() {
    let running = vec![
        ("X8, S12".to_owned(), tokio::spawn(on_one_daemon())),
        (
            "X5mute".to_owned(),
            tokio::spawn(unanswered("X5mute", Fault::NoUpgrade, Cause::Unreachable)),
        ),
        (
            "X7mute".to_owned(),
            tokio::spawn(unanswered(
                "X7mute",
                Fault::NoServerHello,
                Cause::HandshakeFailed,
            )),
        ),
        ("X10".to_owned(), tokio::spawn(nobody_scans())),
    ];
    finish(running).await;
}
