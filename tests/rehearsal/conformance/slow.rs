//! The rows that take as long as they take: silence, servers that never answer, codes nobody scans,
//! the backoff after a 429. They are played at the same time.

use std::time::{Duration, Instant};

use tokio::time::interval;
use wasessiond::protocol::{Cause, EventKind, Phase, Status, Unlink, WarningKind};
use wasim::{AppState, Failure, Fault, FaultRule, Observation, Stanza, StreamError};

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
        // The answer to a storm of logins must not park everybody.
        row(
            "F429",
            Act::Login(Failure::reason(429)),
            Class::RetryLong(Cause::RateLimited),
        ),
    ];
    play(&stage, rows).await;
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
}

/// The link is lost, and another one is made.
async fn logs_in_anew(stage: &Stage, person: &mut Person) {
    let dropped = stage.sim.drop_connection(&person.device).await;
    dropped.expect("drop");
    lost(person, Cause::ConnectionLost).await;
    person.online().await;
}

/// A server that leaves one of the requests after a login unanswered, and says nothing unasked, is
/// asked for a sign of life, and taken for alive.
async fn one_answer_is_missing() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let unanswered = Fault::NoAnswerTo("abt".to_owned());
    stage.sim.set_fault(unanswered).await.expect("fault");
    logs_in_anew(&stage, &mut person).await;
    let begin = Instant::now();
    let before = person.client.status(&person.user).await.expect("status");
    let ping = |o: &Observation| matches!(o, Observation::Ping { .. });
    let asked = stage.sim.wait_for(ping, Duration::from_secs(90)).await;
    asked.expect("a ping");
    let after = person.client.status(&person.user).await.expect("status");
    assert_eq!((after.phase, after.since), (before.phase, before.since));
    report("X8-", "-     one answer missing", "ok", begin.elapsed());
}

/// A server that goes on speaking, and whom nobody can understand any more.
async fn garbled() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let rule = FaultRule::from(Fault::Garble).times(1);
    stage.sim.set_fault(rule).await.expect("fault");
    logs_in_anew(&stage, &mut person).await;
    let begin = Instant::now();
    let (sim, device) = (person.sim.clone(), person.device.clone());
    let chatter = async {
        let mut tick = interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            // The connection may be gone already.
            let _ = sim.send_raw(&device, Stanza::new("ib")).await;
        }
    };
    tokio::select! {
        _ = lost(&mut person, Cause::Silent) => {}
        () = chatter => {}
    }
    let took = begin.elapsed();
    assert!(took <= Duration::from_secs(90), "{took:?}");
    person.online().await;
    report(
        "X8noise",
        Class::Retry(Cause::Silent).to_string(),
        "ok",
        took,
    );
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

/// After this long the library has broken a link without the account's settings.
const LIBRARY_WAITS: Duration = Duration::from_secs(200);

/// Looks at somebody who is online, and stays so, until that is enough.
async fn stays_online(person: &Person, enough: impl Fn(&Status) -> bool) -> Status {
    let online = person.client.status(&person.user).await.expect("status");
    let mut tick = interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let status = person.client.status(&person.user).await.expect("status");
        assert_eq!((status.phase, status.since), (Phase::Online, online.since));
        if enough(&status) {
            return status;
        }
    }
}

/// The account's settings never come after a pairing: the session is online and says what is missing, and
/// does not flap. The library would break the link every three minutes, after a restart of the daemon too.
async fn settings_never_come(over_a_restart: bool) {
    let mut stage = Stage::set().await;
    let unanswered = Fault::NoAnswerTo("w:sync:app:state".to_owned());
    for fault in [Fault::NoKeyShare, unanswered] {
        stage.sim.set_fault(fault).await.expect("fault");
    }
    let mut person = Person::paired(&stage, 0).await;
    if over_a_restart {
        come_again(&mut stage, &mut person).await;
    }
    let begin = Instant::now();
    let position = person.sim.position();
    let warned = stays_online(&person, |status| {
        let is_warned = !status.warnings.is_empty();
        assert!(
            is_warned || begin.elapsed() < LIBRARY_WAITS,
            "no word of it"
        );
        is_warned
    })
    .await;
    assert_eq!(warned.warnings[0].kind, WarningKind::AppStateMissing);
    assert_eq!(warned.next_action, warned.warnings[0].text);
    // The library breaks the link at the same moment at which the daemon warns.
    let lost = |o: &Observation| matches!(o, Observation::Disconnected { .. });
    let waited = Duration::from_secs(10);
    let lost = stage.sim.wait_after(position, lost, waited).await;
    assert!(lost.is_err(), "it flaps: {lost:?}");
    let took = begin.elapsed();
    come_again(&mut stage, &mut person).await;
    let again = person.client.status(&person.user).await.expect("status");
    assert_eq!(again.warnings, warned.warnings);
    report("A5", "-     online, warned", "ok", took);
}

/// However the account's settings fail to come, at once or after minutes: the session is online and warned, and does
/// not lose its link. When they come at a later login, the warning goes.
async fn settings_fail(mut person: Person, way: AppState) {
    let set = person.sim.set_app_state(&person.phone, way);
    set.await.expect("set");
    person.pair().await;
    let begin = Instant::now();
    let position = person.sim.position();
    let warned = stays_online(&person, |_| begin.elapsed() > LIBRARY_WAITS).await;
    let kinds: Vec<_> = warned.warnings.iter().map(|w| w.kind).collect();
    assert_eq!(kinds, [WarningKind::AppStateMissing]);
    let flaps = |o: &Observation| matches!(o, Observation::Disconnected { .. });
    assert_eq!(person.seen(position, flaps).await, None, "it flaps");

    let served = person.sim.set_app_state(&person.phone, AppState::Served);
    served.await.expect("set");
    let dropped = person.sim.drop_connection(&person.device).await;
    dropped.expect("drop");
    lost(&mut person, Cause::ConnectionLost).await;
    let account = loop {
        let status = person.next().await.status.expect("it goes on");
        if status.phase == Phase::Online && status.warnings.is_empty() {
            break status.account.expect("an account");
        }
    };
    assert!(account.name.is_some(), "{account:?}");
    report(
        "A5",
        format!("-     {way:?}: warned"),
        "ok",
        begin.elapsed(),
    );
}

async fn settings_fail_in_every_way() {
    let stage = Stage::set().await;
    let mut running = Vec::new();
    for (number, way) in [
        AppState::NoKeys,
        AppState::Unanswered,
        AppState::Failed,
        AppState::Refused,
        AppState::Denied,
        AppState::Omitted,
        AppState::NoSnapshot,
        AppState::Garbled,
    ]
    .into_iter()
    .enumerate()
    {
        let person = Person::new(&stage, number).await;
        let played = tokio::spawn(settings_fail(person, way));
        running.push((format!("A5 {way:?}"), played));
    }
    finish(running).await;
}

/// Restarts the daemon, and waits until the person is online again.
async fn come_again(stage: &mut Stage, person: &mut Person) {
    stage.stop();
    stage.start().await;
    person.rejoin(stage).await;
    person.until(Some(Phase::Online)).await;
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
        ("X8noise".to_owned(), tokio::spawn(garbled())),
        ("X8-".to_owned(), tokio::spawn(one_answer_is_missing())),
        ("A5".to_owned(), tokio::spawn(settings_never_come(false))),
        ("A5".to_owned(), tokio::spawn(settings_never_come(true))),
        (
            "A5 in every way".to_owned(),
            tokio::spawn(settings_fail_in_every_way()),
        ),
    ];
    finish(running).await;
}
