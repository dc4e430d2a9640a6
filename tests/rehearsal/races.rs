//! Commands, unlinks and stops that meet: whoever comes first, a session ends once, whole, and a fresh
//! one can begin.

use std::future::Future;
use std::time::Duration;

use diesel::prelude::*;
use tokio::task::JoinHandle;
use wasessiond::client::{Client, ClientError, Disconnected, Options, WatchItem};
use wasessiond::protocol::{
    Cause, EventKind, FailureCode, HistoryEntry, LogoutReport, Phase, Stage as Reached, Unlink,
};
use wasim::{Fault, FaultRule, Observation, UnlinkAnswer};

use crate::conformance::person::Person;
use crate::stage::{PATIENCE, Stage};

const SLOW_UNLINK: &str = "[logout]\nunlink_timeout = \"2s\"\n";

/// How many moments of something are tried, and how far they are apart: a connect and a pairing take
/// some 20 to 100 ms here.
const MOMENTS: usize = 12;
const STEP: Duration = Duration::from_millis(6);

/// The moment is the point: there is no event to wait for.
async fn moment(number: usize) {
    tokio::time::sleep(STEP * u32::try_from(number).expect("a small number")).await;
}

/// Plays something with so many people on one daemon at the same time.
async fn all<F>(stage: &Stage, first: usize, count: usize, play: impl Fn(Person, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = Vec::new();
    for number in 0..count {
        let person = Person::new(stage, first + number).await;
        running.push(tokio::spawn(play(person, number)));
    }
    for task in running {
        task.await.expect("one of them went wrong");
    }
}

async fn another(person: &Person) -> Client {
    let client = Client::connect(person.socket(), Options::default()).await;
    client.expect("join the daemon")
}

/// Another client forces the logout.
async fn force(person: &Person) -> JoinHandle<Result<LogoutReport, ClientError>> {
    let (client, user) = (another(person).await, person.user.clone());
    tokio::spawn(async move { client.force_logout(&user).await })
}

/// It ended once, nothing of it is left, and a fresh connect shows a QR code.
async fn ended_once(person: &mut Person) -> HistoryEntry {
    person.until(None).await;
    let history = person.nothing_left().await;
    assert_eq!(history.len(), 1, "it ended once: {history:?}");
    if !history[0].unlink.device_may_remain() {
        let linked = person.sim.devices(&person.phone).await.expect("devices");
        assert!(linked.is_empty(), "{:?}: {linked:?}", history[0]);
    }
    begins_afresh(person).await;
    history[0].clone()
}

async fn begins_afresh(person: &mut Person) {
    while person.pending().await.is_some() {}
    person.device.clear();
    person.connect().await;
    person.qr().await;
    let removed = person.client.disconnect(&person.user).await;
    assert!(
        matches!(removed, Ok(Disconnected::Removed(_))),
        "{removed:?}"
    );
    person.nothing_left().await;
}

/// Who asks for a logout that WhatsApp decided too: the report of the one logout, or that it was over.
fn at_an_end(asked: Result<LogoutReport, ClientError>) {
    match asked {
        Ok(_) => {}
        Err(ClientError::Failure(f)) if f.code == FailureCode::NotFound => {
            assert!(f.last_logout.is_some(), "{f:?}");
        }
        Err(other) => panic!("{other}"),
    }
}

// ---- an unlink on the phone, at a bad time --------------------------------------------------------

/// It comes instead of the answer to our own.
async fn within_a_force_logout(mut person: Person) {
    person.pair().await;
    let ignore = UnlinkAnswer::Ignore;
    let set = person.sim.on_unlink(Some(&person.device), ignore).await;
    set.expect("on_unlink");
    let forced = force(&person).await;
    let asked = |o: &Observation| matches!(o, Observation::UnlinkRequested { .. });
    let device = person.device.clone();
    let ours = move |o: &Observation| asked(o) && o.jid() == Some(&device);
    person
        .sim
        .wait_for(ours, PATIENCE)
        .await
        .expect("the request");
    person.sim.unlink(&person.device).await.expect("unlink");
    let report = forced.await.expect("no panic").expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    assert_eq!(ended_once(&mut person).await.cause, Cause::ForceLogout);
}

async fn at_the_time_of_a_force_logout(mut person: Person, number: usize) {
    person.pair().await;
    let forced = force(&person).await;
    moment(number).await;
    // It may be unlinked already.
    let _ = person.sim.unlink(&person.device).await;
    at_an_end(forced.await.expect("no panic"));
    let ended = ended_once(&mut person).await;
    assert!(
        matches!(ended.cause, Cause::ForceLogout | Cause::Unlinked),
        "{ended:?}"
    );
}

async fn in_the_middle_of_a_pairing(mut person: Person, number: usize) {
    person.connect().await;
    let qr = person.qr().await;
    let device = person.sim.scan(&qr, &person.phone).await.expect("scan");
    moment(number).await;
    person.sim.unlink(&device).await.expect("unlink");
    let ended = ended_once(&mut person).await;
    assert!(
        matches!(ended.cause, Cause::LoggedOut | Cause::Unlinked),
        "{ended:?}"
    );
}

async fn before_it_is_ready(mut person: Person) {
    person.pair().await;
    person
        .client
        .disconnect(&person.user)
        .await
        .expect("disconnect");
    let never_ready = FaultRule::from(Fault::NoOffline).only(&person.phone);
    person.sim.set_fault(never_ready).await.expect("fault");
    person.connect().await;
    person.until_stage(Reached::Sync).await;
    person.sim.unlink(&person.device).await.expect("unlink");
    assert_eq!(ended_once(&mut person).await.cause, Cause::Unlinked);
}

/// The credentials are dead, or are found to be at the next connect.
async fn at_the_time_of_a_disconnect(mut person: Person, number: usize) {
    person.pair().await;
    let (client, user) = (another(&person).await, person.user.clone());
    let disconnecting = tokio::spawn(async move { client.disconnect(&user).await });
    moment(number / 2).await;
    person.sim.unlink(&person.device).await.expect("unlink");
    match disconnecting.await.expect("no panic") {
        Ok(Disconnected::Kept(status)) => assert_eq!(status.phase, Phase::Disconnected),
        Ok(Disconnected::Removed(_)) => {}
        Err(ClientError::Failure(f)) => assert_eq!(f.code, FailureCode::NotFound),
        Err(other) => panic!("{other}"),
    }
    if person.now().await == Some(Phase::Disconnected) {
        person.connect().await;
    }
    let ended = ended_once(&mut person).await;
    assert!(
        matches!(ended.cause, Cause::LoggedOut | Cause::Unlinked),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_at_a_bad_time_is_one_logout() {
    let stage = Stage::with(SLOW_UNLINK).await;
    tokio::join!(
        all(&stage, 1, 1, |person, _| within_a_force_logout(person)),
        all(&stage, 2, 1, |person, _| before_it_is_ready(person)),
        all(&stage, 10, MOMENTS, at_the_time_of_a_force_logout),
        all(&stage, 30, MOMENTS, in_the_middle_of_a_pairing),
        all(&stage, 50, MOMENTS, at_the_time_of_a_disconnect),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_while_the_daemon_stops_is_one_logout() {
    let mut stage = Stage::set().await;
    let mut people = Vec::new();
    for number in 1..=MOMENTS {
        people.push(Person::paired(&stage, number).await);
    }
    let mut unlinking = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let (sim, device) = (person.sim.clone(), person.device.clone());
        unlinking.push(tokio::spawn(async move {
            moment(number).await;
            sim.unlink(&device).await.expect("unlink");
        }));
    }
    tokio::task::block_in_place(|| stage.stop());
    for unlinked in unlinking {
        unlinked.await.expect("no panic");
    }
    stage.start().await;
    for mut person in people {
        person.rejoin(&stage).await;
        let ended = ended_once(&mut person).await;
        assert!(
            matches!(ended.cause, Cause::LoggedOut | Cause::Unlinked),
            "{ended:?}"
        );
    }
}

// ---- commands that meet ---------------------------------------------------------------------------

async fn two_clients_force_it(mut person: Person, number: usize) {
    person.pair().await;
    let waits = number.is_multiple_of(2);
    if waits {
        // WhatsApp does not answer, so that the second comes in the middle of it.
        let ignore = UnlinkAnswer::Ignore;
        let set = person.sim.on_unlink(Some(&person.device), ignore).await;
        set.expect("on_unlink");
    }
    let first = force(&person).await;
    if waits {
        person.until(Some(Phase::LoggingOut)).await;
    }
    let second = force(&person).await.await.expect("no panic");
    let first = first.await.expect("no panic");
    if waits {
        let report = first.expect("first");
        assert_eq!(report, second.expect("second"));
        assert_eq!(report.entry.unlink, Unlink::Unreachable);
        ended_once(&mut person).await;
    } else {
        at_an_end(first);
        at_an_end(second);
        assert_eq!(ended_once(&mut person).await.unlink, Unlink::Confirmed);
    }
}

/// It waits until the old session is gone, and is another device then.
async fn a_connect_meets_the_purge(mut person: Person, number: usize) {
    person.pair().await;
    let before = person.device.clone();
    let ignore = UnlinkAnswer::Ignore;
    person
        .sim
        .on_unlink(Some(&before), ignore)
        .await
        .expect("on_unlink");
    let forced = force(&person).await;
    person.until(Some(Phase::LoggingOut)).await;
    moment(number).await;
    person.device.clear();
    let phase = person.connect().await;
    assert_eq!(phase, Phase::Connecting, "the old one was gone by then");
    let report = forced.await.expect("no panic").expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Unreachable);
    let history = person.client.history(Some(&person.user), None).await;
    assert_eq!(history.expect("history"), [report.entry]);
    person.event(|e| e.kind.ended().is_some()).await;
    let qr = person.qr().await;
    let device = person.sim.scan(&qr, &person.phone).await.expect("scan");
    assert_ne!(device, before, "the old identity");
    person.device = device;
    person.until(Some(Phase::Online)).await;
    person.has_credentials();
}

/// At any moment of a pairing: it is removed, or, when the phone was quicker, kept.
async fn a_disconnect_meets_the_pairing(mut person: Person, number: usize) {
    person.connect().await;
    if number > 0 {
        let qr = person.qr().await;
        let (sim, phone) = (person.sim.clone(), person.phone.clone());
        let scanning = tokio::spawn(async move { sim.scan(&qr, &phone).await });
        moment(number - 1).await;
        let done = person
            .client
            .disconnect(&person.user)
            .await
            .expect("disconnect");
        // The phone may have lost its client.
        let _ = scanning.await.expect("no panic");
        if let Disconnected::Kept(status) = done {
            assert_eq!(status.phase, Phase::Disconnected);
            let forced = person.client.force_logout(&person.user).await;
            assert_eq!(
                forced.expect("force-logout").entry.unlink,
                Unlink::Confirmed
            );
        }
    } else {
        person
            .client
            .disconnect(&person.user)
            .await
            .expect("disconnect");
    }
    ended_once(&mut person).await;
}

/// While a link is being opened, by an identity that nobody knows yet.
async fn a_force_logout_meets_a_first_connect(mut person: Person, number: usize) {
    person.connect().await;
    moment(number).await;
    let report = person.client.force_logout(&person.user).await;
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::NotLinked
    );
    ended_once(&mut person).await;
}

/// While a link is being opened: the device is unlinked all the same.
async fn a_force_logout_meets_a_connect(mut person: Person, number: usize) {
    person.pair().await;
    person
        .client
        .disconnect(&person.user)
        .await
        .expect("disconnect");
    person.connect().await;
    moment(number).await;
    let report = person.client.force_logout(&person.user).await;
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::Confirmed
    );
    ended_once(&mut person).await;
}

/// Somebody holds the file, so that neither the link nor the unlink can open it: the logout is
/// answered in time all the same, by the task that was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_force_logout_meets_an_opening_that_hangs() {
    let stage = Stage::with(SLOW_UNLINK).await;
    let mut person = Person::new(&stage, 1).await;
    person.pair().await;
    person
        .client
        .disconnect(&person.user)
        .await
        .expect("disconnect");
    let file = person.credentials();
    let mut other = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("open");
    let locked = diesel::sql_query("BEGIN EXCLUSIVE").execute(&mut other);
    locked.expect("lock it");
    person.connect().await;
    let report = person.client.force_logout(&person.user).await;
    let entry = report.expect("force-logout").entry;
    // One that does not answer in time is ended, and another one does it: later, and not by design.
    let log = stage.log();
    assert!(!log.contains("does not answer"), "{log}");
    assert_eq!(
        entry.unlink,
        Unlink::Unreachable,
        "nobody could log in with it"
    );
    drop(other);
    ended_once(&mut person).await;
}

/// From the moment at which WhatsApp has linked the device it is unlinked, or the person is told to
/// look at the phone: also where the daemon has not heard of it yet.
async fn a_force_logout_meets_the_scan(mut person: Person, number: usize) {
    person.connect().await;
    let qr = person.qr().await;
    let position = person.sim.position();
    let (sim, phone) = (person.sim.clone(), person.phone.clone());
    let scanning = tokio::spawn(async move { sim.scan(&qr, &phone).await });
    let ours = format!("{}:", person.phone);
    let paired = move |o: &Observation| matches!(o, Observation::Paired { jid, .. } if jid.starts_with(&ours));
    let paired = person.sim.wait_after(position, paired, PATIENCE).await;
    paired.expect("the device is linked");
    moment(number).await;
    let report = person.client.force_logout(&person.user).await;
    let entry = report.expect("force-logout").entry;
    let _ = scanning.await.expect("no panic");
    assert_ne!(entry.unlink, Unlink::NotLinked, "it was linked");
    ended_once(&mut person).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_meet_end_it_once() {
    let stage = Stage::with(SLOW_UNLINK).await;
    tokio::join!(
        all(&stage, 10, 6, two_clients_force_it),
        all(&stage, 20, 6, a_connect_meets_the_purge),
    );
    all(&stage, 30, MOMENTS, a_disconnect_meets_the_pairing).await;
    all(&stage, 50, MOMENTS, a_force_logout_meets_a_first_connect).await;
    all(&stage, 70, MOMENTS, a_force_logout_meets_a_connect).await;
    all(&stage, 90, MOMENTS, a_force_logout_meets_the_scan).await;
}

// ---- storms ---------------------------------------------------------------------------------------

const CLIENTS: usize = 4;
const COMMANDS: usize = 12;

/// Several clients ask for opposite things of one user, as fast as they get answers.
async fn storm(mut person: Person, number: usize) {
    if number.is_multiple_of(2) {
        person.pair().await;
    }
    let mut clients = Vec::new();
    for turn in 0..CLIENTS {
        let (client, user) = (another(&person).await, person.user.clone());
        clients.push(tokio::spawn(async move {
            for command in 0..COMMANDS {
                let failed = match (command + turn * 2 + number) % 3 {
                    0 => client.connect_session(&user, None).await.err(),
                    1 => client.force_logout(&user).await.err(),
                    _ => client.disconnect(&user).await.err(),
                };
                match failed {
                    None => {}
                    Some(ClientError::Failure(f)) if f.code == FailureCode::NotFound => {}
                    Some(other) => panic!("command {command}: {other}"),
                }
            }
        }));
    }
    for client in clients {
        client.await.expect("a client got no answer");
    }
    if person.now().await.is_some() {
        person
            .client
            .force_logout(&person.user)
            .await
            .expect("force-logout");
    }
    let history = person.nothing_left().await;
    assert_eq!(history.len(), lives(&mut person).await, "{history:?}");
    begins_afresh(&mut person).await;
}

/// How many sessions began and ended, as the events tell it: none ended twice, or without having begun.
async fn lives(person: &mut Person) -> usize {
    let (mut lives, mut lives_now) = (0, false);
    while let Some(item) = person.pending().await {
        let WatchItem::Event(event) = item else {
            panic!("the watch fell behind");
        };
        match (&event.kind, event.status) {
            (EventKind::LoggedOut(_) | EventKind::PairingExpired(_), status) => {
                // The pairing before the storm was read already.
                assert!(lives_now || lives == 0, "it ended twice");
                assert_eq!(status, None);
                (lives, lives_now) = (lives + 1, false);
            }
            (_, status) => lives_now = status.is_some(),
        }
    }
    assert!(!lives_now, "it still lives");
    lives
}

#[tokio::test(flavor = "multi_thread")]
async fn storms_of_several_clients_leave_nothing() {
    let stage = Stage::with(SLOW_UNLINK).await;
    all(&stage, 1, 6, storm).await;
    let left = stage.on_disk();
    assert!(left.is_empty(), "{left:?}");
}
