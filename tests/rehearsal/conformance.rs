//! The conformance report: every row of the table of endings, played by the simulator to the daemon.
//!
//! `cargo test --features simulator --test rehearsal conformance -- --nocapture` prints it.

mod ghost;
mod locked;
mod network;
mod odd;
mod outdated;
mod pairing;
pub(crate) mod person;
mod row;
mod slow;
mod unlink;
mod variants;

use wasessiond::protocol::{Cause, Phase, Redacted, Unlink};
use wasim::{Failure, Observation, Stanza, StreamError};

use self::person::Person;
use self::row::{Act, Class, Row, finish, play, quiet, report, row};
use crate::stage::Stage;

const APPEAL_TOKEN: &str = "an-appeal-token-that-comes-only-once";

fn code(code: u16) -> StreamError {
    StreamError::code(code)
}

fn bare(tag: &str) -> Stanza {
    Stanza::new(tag)
}

fn error_with(child: Stanza) -> Stanza {
    bare("stream:error").child(child)
}

/// The rows that wipe, and nothing else does.
fn wipe() -> Vec<Row> {
    use Act::{Login, Stream, StreamThenLogin};
    use Cause::{Invalidated, LoggedOut, Replaced, Unlinked};
    // WhatsApp said that the device is gone, or it did not say.
    let gone = |cause| Class::Wipe(cause, Unlink::NotLinked);
    let dead = |cause| Class::Wipe(cause, Unlink::NotKnown);
    // Unlinking would end the other connection too.
    let conflict = Class::Wipe(Replaced, Unlink::NotAsked);
    let untyped = || bare("conflict").child(bare("text").text("Replaced by new connection"));
    let lost_odn = Failure::reason(401);
    let elsewhere = Failure {
        location: Some("frc".to_owned()),
        ..Failure::reason(401)
    };
    let unknown = || code(401).child(bare("novel"));
    vec![
        row("S1", Act::Unlink, gone(Unlinked)),
        row("S1", Stream(StreamError::device_removed()), gone(Unlinked)),
        row(
            "S1+end",
            Stream(StreamError::device_removed().end_stream()),
            gone(Unlinked),
        ),
        row(
            "S1+open",
            Stream(StreamError::device_removed().keep_open()),
            gone(Unlinked),
        ),
        row(
            "S2",
            Stream(StreamError::empty().conflict("device_removed")),
            gone(Unlinked),
        ),
        row("S3", Stream(StreamError::replaced()), conflict),
        row("S4", Stream(code(401).conflict("replaced")), conflict),
        row("S5", Stream(code(401)), dead(LoggedOut)),
        row(
            "S6/401",
            StreamThenLogin(code(401).conflict("novel"), lost_odn.clone()),
            gone(LoggedOut),
        ),
        row(
            "S6child",
            StreamThenLogin(unknown(), lost_odn.clone()),
            gone(LoggedOut),
        ),
        row(
            "S7",
            Stream(StreamError::empty().child(bare("conflict"))),
            conflict,
        ),
        row(
            "S7text",
            Stream(StreamError::empty().child(untyped())),
            conflict,
        ),
        row("S8", Stream(code(409)), conflict),
        row("S10", Stream(code(516)), gone(Unlinked)),
        row("F401", Login(lost_odn), gone(LoggedOut)),
        row("F401", Login(elsewhere), gone(LoggedOut)),
        row("F406", Login(Failure::reason(406)), dead(Invalidated)),
    ]
}

/// The rows that keep the credentials and wait, where `on_conflict` says "park".
fn wait() -> Vec<Row> {
    use Act::{Login, Stream};
    use Cause::{AccountLocked, Refused, Replaced, TemporaryBan};
    let conflict = Class::Park(Replaced);
    let refused = |id, reason| {
        row(
            id,
            Login(Failure::reason(reason)),
            Class::Park(Refused(Some(reason))),
        )
    };
    let without_an_end = Failure {
        code: Some(101),
        ..Failure::reason(402)
    };
    let without_a_code = Failure {
        expire: Some(6 * 3600),
        ..Failure::reason(402)
    };
    vec![
        row("S3", Stream(StreamError::replaced()), conflict),
        row("S4", Stream(code(401).conflict("replaced")), conflict),
        row(
            "S7",
            Stream(StreamError::empty().child(bare("conflict"))),
            conflict,
        ),
        row("S8", Stream(code(409)), conflict),
        row(
            "F402a",
            Login(Failure::temporary_ban(101, 6 * 3600)),
            Class::Hold(TemporaryBan, 6 * 3600),
        ),
        row(
            "F402b",
            Login(Failure::reason(402)),
            Class::Hold(TemporaryBan, 86400),
        ),
        row(
            "F402b",
            Login(without_an_end),
            Class::Hold(TemporaryBan, 86400),
        ),
        row(
            "F402a/0",
            Login(Failure::temporary_ban(101, 0)),
            Class::Hold(TemporaryBan, 60),
        ),
        row(
            "F402c",
            Login(without_a_code),
            Class::Hold(TemporaryBan, 6 * 3600),
        ),
        row(
            "F403",
            Login(Failure::account_locked(APPEAL_TOKEN)),
            Class::Hold(AccountLocked, 3600),
        ),
        refused("F409", 409),
        refused("F400", 400),
        refused("F411", 411),
        refused("F414", 414),
        refused("F418", 418),
        refused("F501", 501),
        refused("F999", 999),
        row("F-", Login(Failure::default()), Class::Park(Refused(None))),
    ]
}

/// The rows that keep the credentials and try again by themselves, and those that nobody sees.
fn go_on() -> Vec<Row> {
    use Act::{Login, Send, Stream};
    use Cause::{ConnectionLost, ServerUnavailable, StreamEnded};
    use Class::{AtOnce, Nothing, Retry};
    let broken = StreamError::empty().child(bare("xml-not-well-formed"));
    let ack = bare("ack").attr("class", "message").attr("id", "3EB0");
    vec![
        row("S6/ok", Stream(code(401).conflict("novel")), AtOnce),
        row("S6child", Stream(code(401).child(bare("novel"))), AtOnce),
        row("S6none", Stream(code(401).child(bare("conflict"))), AtOnce),
        row("S9", Stream(code(515)), AtOnce),
        row("S11", Stream(code(503)), Retry(ServerUnavailable)),
        row("S13", Stream(code(500)), Retry(Cause::StreamError)),
        row("S13", Stream(code(777)), Retry(Cause::StreamError)),
        row(
            "S13open",
            Stream(code(500).keep_open()),
            Retry(Cause::StreamError),
        ),
        row("S16", Send(error_with(ack)), Nothing),
        row("S17", Stream(broken), Retry(Cause::StreamError)),
        row("S18", Send(bare("stream:error")), Nothing),
        row(
            "F500",
            Login(Failure::reason(500)),
            Retry(ServerUnavailable),
        ),
        row(
            "F503",
            Login(Failure::reason(503)),
            Retry(ServerUnavailable),
        ),
        // One wrong answer costs one quick try.
        row(
            "F405/1",
            Login(Failure::reason(405)),
            Retry(Cause::ClientOutdated),
        ),
        row("X1", Act::EndStream, Retry(StreamEnded)),
        row("X1open", Act::EndStreamAndStay, Retry(StreamEnded)),
        row("X2close", Act::Close, Retry(ConnectionLost)),
        row("X2eof", Act::Drop, Retry(ConnectionLost)),
        row("X2reset", Act::Reset, Retry(ConnectionLost)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wipes_leaves_nothing() {
    let stage = Stage::set().await;
    let mut bystander = Person::paired(&stage, 0).await;
    let played = play(&stage, wipe()).await;
    quiet(&stage, &mut bystander).await;
    for (row, person) in &played {
        let linked = stage.sim.devices(&person.phone).await.expect("devices");
        if matches!(row.class, Class::Wipe(Cause::Replaced, _)) {
            assert_eq!(linked.len(), 1, "{}: it ended the other one too", row.id);
        }
        let history = person.client.history(Some(&person.user), None).await;
        let ended = &history.expect("history")[0];
        // They were linked just now, and whoever removes a device that soon is not its owner.
        let soon = ended.removed_soon().is_some();
        let text = ended.text.as_deref();
        assert_eq!(
            text.is_some_and(|t| t.contains("after it was linked")),
            soon
        );
        assert_eq!((text.is_some(), &ended.appeal_token), (soon, &None));
    }
    // Ready for the next one, with no restart.
    for (_, mut person) in played.into_iter().take(3) {
        person.device.clear();
        person.pair().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_kept_over_a_restart() {
    let mut stage = Stage::with("[sessions]\non_conflict = \"park\"\n").await;
    let mut bystander = Person::paired(&stage, 0).await;
    let played = play(&stage, wait()).await;
    quiet(&stage, &mut bystander).await;
    let mut before = Vec::new();
    for (row, person) in &played {
        let status = person.client.status(&person.user).await.expect("status");
        let token = (row.id == "F403").then_some(APPEAL_TOKEN);
        assert_eq!(status.appeal_token.as_ref().map(Redacted::reveal), token);
        before.push((status.phase, status.reason, status.held_until));
    }

    stage.stop();
    let mut seen = stage.sim.subscribe();
    stage.start().await;
    bystander.rejoin(&stage).await;
    let up = bystander.client.status(&bystander.user).await;
    if up.expect("status").phase != Phase::Online {
        bystander.online().await;
    }
    quiet_since(&mut seen, &bystander);

    let mut running = Vec::new();
    for ((row, mut person), (phase, reason, until)) in played.into_iter().zip(before) {
        person.rejoin(&stage).await;
        let id = format!("{} after a restart", row.id);
        running.push((
            id,
            tokio::spawn(async move {
                let status = person.client.status(&person.user).await.expect("status");
                let now = (status.phase, status.reason, status.held_until);
                assert_eq!(now, (phase, reason, until));
                released(&row, person).await;
            }),
        ));
    }
    finish(running).await;
}

/// A person says `connect`: what was parked is back as the same device; what is held waits on, and
/// its credentials are good for unlinking it.
async fn released(row: &Row, mut person: Person) {
    let begin = std::time::Instant::now();
    // The daemon chose the end of this hold itself, so a person may try earlier.
    let locked = matches!(row.class, Class::Hold(Cause::AccountLocked, _));
    let what = if locked || matches!(row.class, Class::Park(_)) {
        person.connect().await;
        person.online().await;
        "kept; connect: online"
    } else {
        assert_eq!(person.connect().await, Phase::Held);
        let report = person.client.force_logout(&person.user).await;
        let report = report.expect("force-logout");
        assert_eq!(report.entry.unlink, Unlink::Confirmed);
        person.is_gone(Cause::ForceLogout, Unlink::Confirmed).await;
        "kept; connect: held"
    };
    report(row.id, what, "ok", begin.elapsed());
}

/// The server saw only the bystander.
fn quiet_since(seen: &mut tokio::sync::broadcast::Receiver<Observation>, bystander: &Person) {
    let mut connections = 0;
    while let Ok(observation) = seen.try_recv() {
        match &observation {
            Observation::ClientConnected { .. } => connections += 1,
            Observation::Login { jid, .. } | Observation::LoginRefused { jid, .. } => {
                assert_eq!(*jid, bystander.device);
            }
            _ => {}
        }
    }
    assert_eq!(connections, 1, "somebody connected who should not");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_logout_goes_on() {
    let stage = Stage::set().await;
    let played = play(&stage, go_on()).await;
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
    for (row, person) in played {
        let linked = stage.sim.devices(&person.phone).await.expect("devices");
        assert_eq!(linked.len(), 1, "{}", row.id);
        assert_eq!(linked[0].jid, person.device, "{}", row.id);
    }
}
