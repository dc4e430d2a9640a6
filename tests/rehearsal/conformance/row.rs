//! A row: what the server does, what the daemon must make of it, and how that is looked at.

use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use wasessiond::client::WatchItem;
use wasessiond::protocol::{Cause, EventKind, Phase, Status, Unlink};
use wasim::{Failure, Observation, Stanza, StreamError};

use super::person::Person;
use crate::stage::Stage;

/// What the server does to a session that is online.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends a stream error, and closes.
    Stream(StreamError),
    /// Sends a stanza, and nothing else happens.
    Send(Stanza),
    /// Loses the connection and refuses the next login.
    Login(Failure),
    /// Sends a stream error, then refuses the next login.
    StreamThenLogin(StreamError, Failure),
    /// The person removes the device on the phone.
    Unlink,
    EndStream,
    EndStreamAndStay,
    Close,
    Drop,
    Reset,
    Freeze,
    Hang,
}

/// What the daemon must make of it.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// Nothing is left.
    Wipe(Cause, Unlink),
    /// Kept, until a person says so.
    Park(Cause),
    /// Kept, for so many seconds.
    Hold(Cause, i64),
    /// Kept, and tried again after a moment.
    Retry(Cause),
    /// Kept, and tried again after a long while.
    RetryLong(Cause),
    /// Kept, and connected again at once: nothing a user should see.
    AtOnce,
    /// Nothing at all: the same connection goes on.
    Nothing,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, cause) = match self {
            Self::Wipe(cause, _) => ("WIPE", Some(cause)),
            Self::Park(cause) => ("PARK", Some(cause)),
            Self::Hold(cause, _) => ("HOLD", Some(cause)),
            Self::Retry(cause) | Self::RetryLong(cause) => ("RETRY", Some(cause)),
            Self::AtOnce | Self::Nothing => ("-", None),
        };
        let cause = cause.map(ToString::to_string).unwrap_or_default();
        write!(f, "{class:<5} {cause:<18}")
    }
}

pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) act: Act,
    pub(super) class: Class,
}

pub(super) const fn row(id: &'static str, act: Act, class: Class) -> Row {
    Row { id, act, class }
}

/// The longest that silence may go unnoticed.
const SILENCE: Duration = Duration::from_secs(90);

impl Row {
    /// Plays it with somebody who is online; returns how long the daemon took to make of it what it
    /// must.
    pub(super) async fn play(&self, person: &mut Person) -> Duration {
        let position = person.sim.position();
        let since = person.client.status(&person.user).await.expect("status");
        let begin = Instant::now();
        self.act(person).await;
        let took = match self.class {
            Class::Wipe(cause, unlink) => wiped(person, cause, unlink, begin).await,
            Class::Park(cause) => {
                let status = stopped(person, Phase::Parked, cause).await;
                assert_eq!(status.held_until, None);
                begin.elapsed()
            }
            Class::Hold(cause, seconds) => {
                let status = stopped(person, Phase::Held, cause).await;
                let until = status.held_until.expect("an end");
                let left = until.duration_since(Timestamp::now()).as_secs();
                assert!((seconds - 30..=seconds).contains(&left), "{left} s");
                begin.elapsed()
            }
            Class::Retry(cause) => {
                let status = lost(person, cause).await;
                let took = begin.elapsed();
                assert!(retries_in(&status) <= 4, "{status:?}");
                person.online().await;
                took
            }
            Class::RetryLong(cause) => {
                let status = lost(person, cause).await;
                let took = begin.elapsed();
                assert!(retries_in(&status) >= 29, "{status:?}");
                person.online().await;
                took
            }
            Class::AtOnce => at_once(person, position).await,
            Class::Nothing => nothing(person, position, &since).await,
        };
        if matches!(self.act, Act::Freeze | Act::Hang) {
            assert!(took <= SILENCE, "{took:?}");
        }
        took
    }

    async fn act(&self, person: &Person) {
        let (sim, device) = (&person.sim, person.device.as_str());
        let done = match self.act.clone() {
            Act::Stream(error) => sim.stream_error(device, error).await,
            Act::Send(stanza) => sim.send_raw(device, stanza).await,
            Act::Login(failure) => {
                sim.fail_next_login(device, failure).await.expect("fail");
                sim.drop_connection(device).await
            }
            Act::StreamThenLogin(error, failure) => {
                sim.fail_next_login(device, failure).await.expect("fail");
                sim.stream_error(device, error).await
            }
            Act::Unlink => sim.unlink(device).await,
            Act::EndStream => sim.end_stream(device, false).await,
            Act::EndStreamAndStay => sim.end_stream(device, true).await,
            Act::Close => sim.close(device).await,
            Act::Drop => sim.drop_connection(device).await,
            Act::Reset => sim.reset(device).await,
            Act::Freeze => sim.freeze(device).await,
            Act::Hang => sim.hang(device).await,
        };
        done.expect("the simulator does it");
    }
}

// ---- what must follow ---------------------------------------------------------------------------

async fn wiped(person: &mut Person, cause: Cause, unlink: Unlink, begin: Instant) -> Duration {
    let event = person.event(|e| e.kind.ended().is_some()).await;
    let took = begin.elapsed();
    assert_eq!(event.kind.as_str(), "logged_out");
    assert_eq!(event.status, None, "what has ended has no status");
    let told = event.kind.ended().expect("it was looked at");
    assert_eq!(
        told.account.as_ref().map(|a| &a.jid),
        Some(&person.device),
        "whose it was"
    );
    assert_eq!(told.requested_by, None);
    assert!(told.removed.files >= 2, "{told:?}");
    let kept = person.is_gone(cause, unlink).await;
    assert_eq!(*told, kept, "the history says what the event said");
    took
}

/// Stopped for a person or for a time, with everything kept.
async fn stopped(person: &mut Person, phase: Phase, cause: Cause) -> Status {
    let status = person.phase(phase).await.status.expect("a status");
    assert_eq!(status.reason, Some(cause), "{:?}", status.error);
    assert!(status.error.is_some() && !status.next_action.is_empty());
    assert_eq!(status.retry_at, None);
    person.has_credentials();
    status
}

/// Lost with this cause. A login that was refused comes after a connection that was lost.
pub(super) async fn lost(person: &mut Person, cause: Cause) -> Status {
    loop {
        let event = person.phase(Phase::BackingOff).await;
        let status = event.status.expect("a status");
        if status.reason == Some(cause) {
            assert!(status.error.is_some() && status.retry_at.is_some());
            person.has_credentials();
            return status;
        }
        assert_eq!(status.reason, Some(Cause::ConnectionLost), "{status:?}");
    }
}

fn retries_in(status: &Status) -> i64 {
    let at = status.retry_at.expect("it was looked at");
    at.duration_since(status.since).as_secs()
}

/// Back on a new connection without having been lost.
async fn at_once(person: &mut Person, position: u64) -> Duration {
    let begin = Instant::now();
    loop {
        let event = person.next().await;
        match event.kind {
            EventKind::Connecting | EventKind::Updated => {}
            EventKind::Online => break,
            other => panic!("nobody should have seen {other}"),
        }
    }
    person.has_credentials();
    let login = |o: &Observation| matches!(o, Observation::Login { .. });
    assert!(person.seen(position, login).await.is_some());
    begin.elapsed()
}

/// The same connection goes on, and nobody is told anything.
async fn nothing(person: &mut Person, position: u64, before: &Status) -> Duration {
    let begin = Instant::now();
    // A question and its answer: whatever the stanza did, it has done by then.
    person.client.groups(&person.user).await.expect("groups");
    let took = begin.elapsed();
    let after = person.client.status(&person.user).await.expect("status");
    assert_eq!((after.phase, after.since), (Phase::Online, before.since));
    let asked = |o: &Observation| matches!(o, Observation::GroupsRequested { .. });
    assert!(person.seen(position, asked).await.is_some());
    let moved = |o: &Observation| {
        matches!(
            o,
            Observation::Login { .. } | Observation::Disconnected { .. }
        )
    };
    assert_eq!(person.seen(position, moved).await, None);
    while let Some(item) = person.pending().await {
        // The account's name may arrive at any time.
        let name = matches!(&item, WatchItem::Event(e) if matches!(e.kind, EventKind::Updated) && e.status.as_ref().is_some_and(|s| s.error.is_none()));
        assert!(name, "nobody should have seen {item:?}");
    }
    took
}

// ---- the report ---------------------------------------------------------------------------------

/// One line.
#[allow(clippy::print_stdout, reason = "it is a report")]
pub(super) fn report(id: &str, class: impl fmt::Display, verdict: &str, took: Duration) {
    println!("{id:<7} {class:<24} {verdict:<7}{:>6} ms", took.as_millis());
}

/// Plays rows at the same time, each with a user of its own on this daemon; returns the users, in
/// the order of the rows, when all have become what they must.
pub(super) async fn play(stage: &Stage, rows: Vec<Row>) -> Vec<(Row, Person)> {
    let mut running: Vec<(String, JoinHandle<(Row, Person)>)> = Vec::new();
    for (number, row) in rows.into_iter().enumerate() {
        let mut person = Person::new(stage, number + 1).await;
        let id = format!("{:<7} {}", row.id, row.class);
        let task = tokio::spawn(async move {
            person.pair().await;
            let took = row.play(&mut person).await;
            report(row.id, row.class.to_string(), "ok", took);
            (row, person)
        });
        running.push((id, task));
    }
    finish(running).await
}

/// Waits for all; names those that failed.
pub(super) async fn finish<T>(running: Vec<(String, JoinHandle<T>)>) -> Vec<T> {
    let mut played = Vec::new();
    let mut failed = Vec::new();
    for (id, task) in running {
        match task.await {
            Ok(done) => played.push(done),
            Err(_) => failed.push(id),
        }
    }
    assert!(
        failed.is_empty(),
        "not as they should be:\n{}",
        failed.join("\n")
    );
    played
}

/// None of the others connects by itself: while somebody whose connection is lost comes back twice,
/// as anybody would who tries again, the server sees nobody else.
pub(super) async fn quiet(stage: &Stage, bystander: &mut Person) {
    let mut seen = stage.sim.subscribe();
    for _ in 0..2 {
        let lost = row("", Act::Drop, Class::Retry(Cause::ConnectionLost));
        lost.play(bystander).await;
    }
    let mut connections = 0;
    while let Ok(observation) = seen.try_recv() {
        match observation {
            Observation::ClientConnected { .. } => connections += 1,
            Observation::Login { jid, .. } | Observation::LoginRefused { jid, .. } => {
                assert_eq!(jid, bystander.device);
            }
            _ => {}
        }
    }
    assert_eq!(connections, 2, "somebody connected who should not");
}
