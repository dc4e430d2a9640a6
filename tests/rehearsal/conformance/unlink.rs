//! Our own unlink, however WhatsApp answers it: X16, X17, X18, X20.

use std::time::{Duration, Instant};

use wasessiond::protocol::{Cause, Phase, Unlink};
use wasim::{Observation, StreamError, UnlinkAnswer};

use super::person::Person;
use super::row::{finish, report};
use crate::stage::{PATIENCE, Stage};

/// Within the five seconds that WhatsApp has, and what the rest takes.
const DEADLINE: Duration = Duration::from_secs(10);

async fn forced(person: &Person, id: &'static str, unlink: Unlink) {
    let begin = Instant::now();
    let done = person.client.force_logout(&person.user).await;
    let took = begin.elapsed();
    let done = done.expect("force-logout");
    assert_eq!(
        (done.entry.cause, done.entry.unlink),
        (Cause::ForceLogout, unlink)
    );
    let advice = done.next_action.contains("Linked devices");
    assert_eq!(advice, unlink.device_may_remain(), "{}", done.next_action);
    let kept = person.is_gone(Cause::ForceLogout, unlink).await;
    assert_eq!(kept, done.entry);
    let linked = person.sim.devices(&person.phone).await.expect("devices");
    assert_eq!(linked.len(), usize::from(unlink.device_may_remain()));
    assert!(took < DEADLINE, "{took:?}");
    report(id, format!("WIPE  unlink {unlink}"), "ok", took);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_is_told_as_it_went_and_the_purge_is_done_all_the_same() {
    use UnlinkAnswer::{CloseSocket, ConflictOnly, Ignore, Refuse, Result, ResultThenConflict};
    let stage = Stage::set().await;
    let rows = [
        ("X16", Result, Unlink::Confirmed),
        ("X16+S1", ResultThenConflict, Unlink::Confirmed),
        ("X17", ConflictOnly, Unlink::Confirmed),
        ("X18/403", Refuse(403), Unlink::Refused),
        ("X18/500", Refuse(500), Unlink::Refused),
        ("X18mute", Ignore, Unlink::Unreachable),
        ("X18eof", CloseSocket, Unlink::Unreachable),
    ];
    let mut running = Vec::new();
    for (number, (id, answer, unlink)) in rows.into_iter().enumerate() {
        let mut person = Person::new(&stage, number).await;
        let task = async move {
            person.pair().await;
            let device = person.device.clone();
            let answered = person.sim.on_unlink(Some(&device), answer).await;
            answered.expect("on_unlink");
            forced(&person, id, unlink).await;
            let events = person.event(|e| e.kind.ended().is_some()).await;
            assert_eq!(events.kind.as_str(), "logged_out");
            assert_eq!(person.pending().await, None, "one logout");
        };
        running.push((id.to_owned(), tokio::spawn(task)));
    }
    finish(running).await;

    // Nobody there at all. This meets everybody, so it is played alone.
    let mut person = Person::paired(&stage, 50).await;
    stage.sim.set_listening(false).await.expect("deaf");
    stage
        .sim
        .drop_connection(&person.device)
        .await
        .expect("drop");
    person.phase(Phase::BackingOff).await;
    forced(&person, "X18gone", Unlink::Unreachable).await;
}

/// What WhatsApp says instead of an answer is the answer, as far as it is one.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_that_is_answered_by_an_ending_is_told_as_that_says() {
    let stage = Stage::set().await;
    let code = |code: u16| StreamError::code(code);
    let rows = [
        (
            "X17/S2",
            StreamError::empty().conflict("device_removed"),
            Unlink::Confirmed,
        ),
        ("X17/S5", code(401), Unlink::Confirmed),
        ("X17/S10", code(516), Unlink::Confirmed),
        ("X18/S3", StreamError::replaced(), Unlink::Unreachable),
        ("X18/S6", code(401).conflict("novel"), Unlink::Unreachable),
        ("X18/S9", code(515), Unlink::Unreachable),
        ("X18/S11", code(503), Unlink::Unreachable),
        (
            "X18/X1",
            StreamError::empty().end_stream(),
            Unlink::Unreachable,
        ),
    ];
    let mut running = Vec::new();
    for (number, (id, ending, unlink)) in rows.into_iter().enumerate() {
        let mut person = Person::new(&stage, number).await;
        let task = async move {
            person.pair().await;
            let (sim, device) = (person.sim.clone(), person.device.clone());
            let silent = sim.on_unlink(Some(&device), UnlinkAnswer::Ignore).await;
            silent.expect("on_unlink");
            let begin = Instant::now();
            let position = sim.position();
            let ours = |o: &Observation| {
                matches!(o, Observation::UnlinkRequested { .. }) && o.jid() == Some(&device)
            };
            let answers = async {
                let asked = sim.wait_after(position, ours, PATIENCE).await;
                asked.expect("a request");
                let answered = sim.stream_error(&device, ending).await;
                answered.expect("stream error");
            };
            let (done, ()) = tokio::join!(person.client.force_logout(&person.user), answers);
            let took = begin.elapsed();
            let told = done.expect("force-logout").entry;
            assert_eq!((told.cause, told.unlink), (Cause::ForceLogout, unlink));
            assert_eq!(person.is_gone(Cause::ForceLogout, unlink).await, told);
            assert!(took < DEADLINE, "{took:?}");
            report(id, format!("WIPE  unlink {unlink}"), "ok", took);
        };
        running.push((id.to_owned(), tokio::spawn(task)));
    }
    finish(running).await;
}

/// How the link dies over which WhatsApp is asked.
#[derive(Clone, Copy)]
enum Dying {
    Frozen,
    Hanging,
    Closed,
    Dropped,
    Reset,
    /// The first new link is lost, too.
    Twice,
}

/// A link that breaks or falls silent does not end an unlink while WhatsApp can be reached: X20.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlink_on_a_dying_link_is_made_over_a_new_one() {
    let stage = Stage::set().await;
    let rows = [
        ("X20/frozen", Dying::Frozen),
        ("X20/mute", Dying::Hanging),
        ("X20/close", Dying::Closed),
        ("X20/fin", Dying::Dropped),
        ("X20/rst", Dying::Reset),
        ("X20/twice", Dying::Twice),
    ];
    let mut running = Vec::new();
    for (number, (id, dying)) in rows.into_iter().enumerate() {
        let mut person = Person::new(&stage, 100 + number).await;
        let task = async move {
            person.pair().await;
            let (sim, device) = (person.sim.clone(), person.device.clone());
            let position = sim.position();
            match dying {
                Dying::Frozen => sim.freeze(&device).await.expect("freeze"),
                Dying::Hanging => sim.hang(&device).await.expect("hang"),
                // The answer does not come, and the link dies while it is waited for.
                _ => {
                    let silent = sim.on_unlink(Some(&device), UnlinkAnswer::Ignore).await;
                    silent.expect("on_unlink");
                }
            }
            let dies = async {
                let mut after = position;
                let times = match dying {
                    Dying::Frozen | Dying::Hanging => 0,
                    Dying::Twice => 2,
                    _ => 1,
                };
                for time in 0..times {
                    let ours = |o: &Observation| {
                        matches!(o, Observation::UnlinkRequested { .. }) && o.jid() == Some(&device)
                    };
                    let asked = sim.wait_after(after, ours, PATIENCE).await;
                    asked.expect("a request");
                    after = sim.position();
                    if time + 1 == times {
                        let answer = UnlinkAnswer::ResultThenConflict;
                        let answers = sim.on_unlink(Some(&device), answer).await;
                        answers.expect("on_unlink");
                    }
                    match dying {
                        Dying::Closed => sim.close(&device).await.expect("close"),
                        Dying::Reset => sim.reset(&device).await.expect("reset"),
                        _ => sim.drop_connection(&device).await.expect("drop"),
                    }
                }
            };
            tokio::join!(forced(&person, id, Unlink::Confirmed), dies);
        };
        running.push((id.to_owned(), tokio::spawn(task)));
    }
    finish(running).await;
}
