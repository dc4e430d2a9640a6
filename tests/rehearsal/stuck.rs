//! Connecting that makes no progress is seen, torn down and tried afresh, later and later; and many
//! sessions that come back at once do not come back all at once.
//!
//! The rest of it: `conformance/slow.rs` plays frozen peers and upgrades and handshakes without an answer,
//! `obstacles.rs` a 503 on a socket that stays open; the machine's own tests, in its own time, that the
//! wait doubles and begins anew after a good minute, and that what is parked, held or disconnected is due
//! for nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use wasessiond::protocol::{Cause, Phase, Stage as Reached, Status};
use wasim::{Fault, FaultRule, Observation};

use crate::conformance::person::Person;
use crate::stage::{PATIENCE, Stage};

/// The wait before the next try, in seconds, told to a tenth.
fn wait(status: &Status) -> f64 {
    let at = status.retry_at.expect("a time");
    at.duration_since(status.since).as_secs_f64()
}

/// Waits until it backs off for this.
async fn backs_off(person: &mut Person, cause: Cause) -> Status {
    loop {
        let event = person.phase(Phase::BackingOff).await;
        let status = event.status.expect("a status");
        if status.reason == Some(cause) {
            return status;
        }
        assert_eq!(status.reason, Some(Cause::ConnectionLost), "{status:?}");
    }
}

/// Each try waits twice as long as the one before, less up to a half by luck; and a person who asks does
/// not wait.
#[tokio::test(flavor = "multi_thread")]
async fn each_try_waits_longer_and_a_connect_does_not() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 1).await;
    stage
        .sim
        .set_fault(Fault::HttpStatus(503))
        .await
        .expect("fault");
    let (sim, device) = (person.sim.clone(), person.device.clone());
    sim.drop_connection(&device).await.expect("drop");
    let lost = backs_off(&mut person, Cause::ConnectionLost).await;
    assert!((0.5..=1.0).contains(&wait(&lost)), "{lost:?}");
    for longest in [2.0, 4.0] {
        let status = backs_off(&mut person, Cause::ServerUnavailable).await;
        let next = wait(&status);
        assert!(
            (longest / 2.0..=longest).contains(&next),
            "{next} of {longest}"
        );
    }
    // The wait begins anew, too.
    assert_eq!(person.connect().await, Phase::Connecting);
    let status = backs_off(&mut person, Cause::ServerUnavailable).await;
    assert!((0.5..=1.0).contains(&wait(&status)), "{status:?}");
    stage.sim.clear_faults().await.expect("clear");
    person.online().await;
}

/// A server that ends every handshake: it is told, and tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_refused_for_ever_is_told_and_tried_again() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 1).await;
    let (sim, device) = (person.sim.clone(), person.device.clone());
    sim.set_fault(Fault::CloseOnHello).await.expect("fault");
    sim.drop_connection(&device).await.expect("drop");
    for _ in 0..3 {
        let status = backs_off(&mut person, Cause::HandshakeFailed).await;
        let error = status.error.expect("an error");
        assert!(error.contains("handshake"), "{error}");
        person.has_credentials();
    }
    sim.clear_faults().await.expect("clear");
    // Not to wait for the backoff.
    person.connect().await;
    person.online().await;
}

/// A server that ends the short handshake of a known device without a word is offered the full one; one
/// that asks for another handshake is given that.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_handshake_that_fails_is_no_way_to_go_on() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 1).await;
    let (sim, device) = (person.sim.clone(), person.device.clone());
    let refuse = FaultRule::from(Fault::CloseOnIk).only(&device);
    sim.set_fault(refuse).await.expect("fault");
    let position = sim.position();
    sim.drop_connection(&device).await.expect("drop");
    backs_off(&mut person, Cause::HandshakeFailed).await;
    person.online().await;
    let full = |o: &Observation| matches!(o, Observation::HandshakeXx { .. });
    let seen = sim.wait_after(position, full, PATIENCE).await;
    seen.expect("the full handshake");
    sim.clear_faults().await.expect("clear");

    let ask_for_another = FaultRule::from(Fault::RefuseIk).only(&device);
    sim.set_fault(ask_for_another).await.expect("fault");
    sim.drop_connection(&device).await.expect("drop");
    backs_off(&mut person, Cause::ConnectionLost).await;
    person.connect().await;
    person.online().await;
    let other = |o: &Observation| matches!(o, Observation::HandshakeFallback { .. });
    let seen = sim.wait_after(position, other, PATIENCE).await;
    seen.expect("the other handshake");
}

/// While a stage hangs the status says which, and since when; then it is torn down and tried afresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_hangs_is_told_while_it_hangs() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 1).await;
    let (sim, device) = (person.sim.clone(), person.device.clone());
    let silent = FaultRule::from(Fault::NoSuccess).times(1);
    sim.set_fault(silent).await.expect("fault");
    let began = Timestamp::now();
    sim.drop_connection(&device).await.expect("drop");
    let ignored = |o: &Observation| matches!(o, Observation::LoginIgnored { .. });
    sim.wait_for(ignored, PATIENCE)
        .await
        .expect("a login without an answer");
    person.until_stage(Reached::Login).await;
    let status = person.client.status(&person.user).await.expect("status");
    let connecting = status.connecting.expect("how far it got");
    assert_eq!((connecting.stage, connecting.attempt), (Reached::Login, 1));
    assert!(connecting.stage_since >= began && connecting.stage_since <= Timestamp::now());

    let told = backs_off(&mut person, Cause::Stuck).await;
    let stuck_for = told.since.duration_since(connecting.stage_since).as_secs();
    assert!((25..90).contains(&stuck_for), "{stuck_for} s");
    assert!(told.error.is_some_and(|e| e.contains("login")));
    // A fresh connection, as the same device.
    person.online().await;
}

const STORED: usize = 40;
const AT_A_TIME: usize = 4;

/// The most connections that waited for their login at the same time.
fn most_at_once(seen: &mut Receiver<Observation>) -> (usize, usize) {
    let (mut waiting, mut most, mut logins) = (BTreeSet::new(), 0, 0);
    loop {
        match seen.try_recv() {
            Ok(Observation::ClientConnected { connection }) => {
                waiting.insert(connection);
                most = most.max(waiting.len());
            }
            Ok(Observation::Login { connection, .. }) => {
                waiting.remove(&connection);
                logins += 1;
            }
            Ok(Observation::Disconnected { connection, .. }) => {
                waiting.remove(&connection);
            }
            Ok(_) => {}
            Err(tokio::sync::broadcast::error::TryRecvError::Empty) => return (most, logins),
            Err(e) => panic!("it saw too much: {e}"),
        }
    }
}

/// After a start so many connect at a time, and no more; and one that hangs holds up nobody.
#[tokio::test(flavor = "multi_thread")]
async fn stored_sessions_come_back_a_few_at_a_time() {
    let config = format!("[sessions]\nrestore_concurrency = {AT_A_TIME}\n");
    let mut stage = Stage::with(&config).await;
    let mut pairing = Vec::new();
    for number in 1..=STORED {
        let mut person = Person::new(&stage, number).await;
        pairing.push(tokio::spawn(async move {
            person.pair().await;
            person
        }));
    }
    let mut people = Vec::new();
    for person in pairing {
        people.push(person.await.expect("paired"));
    }
    tokio::task::block_in_place(|| stage.stop());

    // Every login takes a while, so that all of them would wait at the same time.
    let slow = Fault::Delay {
        stage: wasim::Stage::Login,
        milliseconds: 50,
    };
    let hangs = FaultRule::from(Fault::NoSuccess).only(&people[0].device);
    stage.sim.set_fault(slow).await.expect("fault");
    stage.sim.set_fault(hangs).await.expect("fault");
    let mut seen = stage.sim.subscribe();
    stage.start().await;
    for person in &mut people[1..] {
        person.rejoin(&stage).await;
        person.until(Some(Phase::Online)).await;
    }
    let (most, logins) = most_at_once(&mut seen);
    assert_eq!(logins, STORED - 1);
    // The one that hangs gives its turn away after a while, and still waits.
    assert!(
        (AT_A_TIME..=AT_A_TIME + 1).contains(&most),
        "{most} at once"
    );
}
