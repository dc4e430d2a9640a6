//! Pairings: codes that die, and what keeps a pairing from going on.

use super::super::{Effect, Input, Request};
use super::input::{ASKED, Row, by_code, connect, ended, pair_code_of, phone, qr, refused_of};
use super::looks::answered;
use super::scene::{Scene, Staged};
use crate::protocol::{Cause, EventKind, Phase, Stage, Status};
use crate::whatsapp::{LinkEvent, Pace, Verdict};

pub(super) fn lost() -> Input {
    ended(Verdict::Retry(Cause::ConnectionLost, Pace::Usual))
}

pub(super) fn told(effects: &[Effect]) -> Vec<(&EventKind, &Status)> {
    let published = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(kind, status) => Some((kind, &**status)),
        _ => None,
    });
    published.collect()
}

pub(super) fn asks_code(effects: &[Effect]) -> bool {
    let asks = |effect: &Effect| matches!(effect, Effect::AskPairCode(..));
    effects.iter().any(asks)
}

/// The answer to the last request for a pair code.
fn code(staged: &Staged) -> Input {
    Input::Link(pair_code_of(staged.machine.last_code))
}

pub(super) fn cause(staged: &Staged) -> Option<Cause> {
    staged.machine.intent().map(|intent| intent.cause)
}

pub(super) fn text(staged: &Staged) -> Option<&str> {
    let intent = staged.machine.intent();
    intent.and_then(|intent| intent.text.as_deref())
}

// ---- pair codes ---------------------------------------------------------------------------------

/// A code that dies is withdrawn before the next one is asked for.
#[test]
fn a_dead_code_is_withdrawn_at_once() {
    let mut staged = Scene::AwaitingCode.stage();
    let effects = staged.step(Input::Link(LinkEvent::PairCodeStale));
    assert!(asks_code(&effects));
    let told = told(&effects);
    assert!(
        matches!(told[..], [(EventKind::Connecting, status)] if status.pair_code.is_none()),
        "{told:?}"
    );
    let effects = staged.step(code(&staged));
    assert_eq!(staged.machine.phase(), Phase::AwaitingCode);
    assert!(!asks_code(&effects));
}

/// Each lost connection takes the code with it, and the next link brings another one, until the pairing
/// has had its codes: then it ends, and says why.
#[test]
fn lost_connections_bring_new_codes_and_then_an_end_with_its_reason() {
    let mut staged = Scene::AwaitingCode.stage();
    let mut codes = 1;
    loop {
        let effects = staged.live(lost());
        if staged.machine.phase() == Phase::LoggingOut {
            break;
        }
        let shows = |(_, status): &(&EventKind, &Status)| status.pair_code.is_some();
        assert!(!told(&effects).iter().any(shows), "a dead code");
        staged.pass_until_due();
        staged.live(Input::Due);
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        let effects = staged.live(Input::Link(LinkEvent::ReadyForPairCode));
        assert!(asks_code(&effects), "a silent wait after {codes} codes");
        staged.live(code(&staged));
        codes += 1;
        assert!(codes < 10, "without an end");
    }
    assert_eq!(codes, 5);
    assert_eq!(cause(&staged), Some(Cause::ConnectionLost));
    assert_eq!(text(&staged), Some("said WhatsApp"));
}

/// Whoever connects again has codes again.
#[test]
fn a_connect_gives_a_code_again() {
    for by in [connect(), by_code(ASKED, 1)] {
        let mut staged = Scene::AwaitingCode.stage();
        for _ in 0..4 {
            staged.live(lost());
            assert_eq!(staged.machine.phase(), Phase::BackingOff);
            staged.live(by.clone());
            staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
            let effects = staged.live(Input::Link(LinkEvent::ReadyForPairCode));
            assert!(asks_code(&effects));
            staged.live(code(&staged));
        }
        staged.live(lost());
        assert_eq!(staged.machine.phase(), Phase::BackingOff, "{by:?}");
    }
}

/// WhatsApp takes back code after code.
#[test]
fn codes_that_whatsapp_takes_back_come_to_an_end() {
    let mut staged = Scene::AwaitingCode.stage();
    for _ in 0..4 {
        let effects = staged.live(Input::Link(LinkEvent::PairCodeStale));
        assert!(asks_code(&effects));
        staged.live(code(&staged));
    }
    let effects = staged.live(Input::Link(LinkEvent::PairCodeStale));
    assert!(!asks_code(&effects));
    assert_eq!(cause(&staged), Some(Cause::PairingExpired));
    let why = text(&staged).expect("a text");
    assert!(
        why.contains("took one pair code after the other back"),
        "{why}"
    );
}

/// The number was corrected while the first code was asked for: what comes of the first request is for another
/// phone.
#[test]
fn what_comes_of_an_earlier_request_does_not_count() {
    let mut staged = Scene::ConnectingForCode.stage();
    staged.live(Input::Link(LinkEvent::ReadyForPairCode));
    let first = staged.machine.last_code;
    staged.live(Row::Qr.input());
    let effects = staged.live(by_code(ASKED, 2));
    assert!(
        asks_code(&effects),
        "the link can be asked, and says so once"
    );
    let second = staged.machine.last_code;
    assert_ne!(first, second);
    for late in [
        refused_of(first, false),
        refused_of(first, true),
        pair_code_of(first),
    ] {
        assert_eq!(staged.live(Input::Link(late)), []);
    }
    let effects = staged.live(Input::Link(pair_code_of(second)));
    let shown = staged.machine.status().pair_code.expect("a code");
    assert_eq!(shown.phone, phone(2).to_string());
    assert_eq!(answered(&effects, ASKED), Some(Ok(())));
    // A refusal that comes after the code of the next request ends nothing.
    assert_eq!(staged.live(Input::Link(refused_of(first, true))), []);
    // Whoever is about to enter the old code learns that it is void.
    let effects = staged.live(by_code(Request(8), 3));
    let told = told(&effects);
    let [(EventKind::Connecting, status)] = &told[..] else {
        panic!("{told:?}");
    };
    let error = status.error.as_deref().expect("words");
    assert!(error.contains(&phone(2).to_string()) && error.contains(&phone(3).to_string()));
    assert_eq!(staged.live(Input::Link(pair_code_of(second))), []);
}

// ---- what kept a pairing from going on ----------------------------------------------------------

/// An end of a link during a pairing, the cause it is told with, and whether the pairing goes on meanwhile.
pub(super) fn troubles() -> [(Input, Cause, bool); 9] {
    let retry = |cause, pace| (ended(Verdict::Retry(cause, pace)), cause, true);
    [
        retry(Cause::ClientOutdated, Pace::Outdated),
        retry(Cause::ClientOutdated, Pace::Usual),
        retry(Cause::RateLimited, Pace::Long),
        retry(Cause::ServerUnavailable, Pace::Usual),
        retry(Cause::ConnectionLost, Pace::Usual),
        retry(Cause::ProxyRefused, Pace::Usual),
        (Row::Hold.input(), Cause::TemporaryBan, true),
        (Row::Park.input(), Cause::Refused(Some(409)), true),
        (Row::LockedHold.input(), Cause::AccountLocked, false),
    ]
}

#[test]
fn a_pairing_that_could_not_go_on_ends_with_what_kept_it_from_that() {
    for (end, trouble, goes_on) in troubles() {
        for scene in [
            Scene::ConnectingToPair,
            Scene::AwaitingScan,
            Scene::AwaitingCode,
        ] {
            let mut staged = scene.stage();
            staged.live(end.clone());
            if goes_on {
                let status = staged.machine.status();
                assert_eq!(status.reason, Some(trouble), "{scene:?}");
                assert_eq!(status.error.as_deref(), Some("said WhatsApp"), "{trouble}");
                // While it tries again, the words stay.
                staged.live(connect());
                let status = staged.machine.status();
                assert_eq!(status.phase == Phase::Connecting, status.reason.is_none());
                assert!(status.error.is_some(), "{trouble}");
                staged.live(end.clone());
                staged.pass(600);
                staged.live(Input::Due);
            }
            assert_eq!(cause(&staged), Some(trouble), "{scene:?}");
            assert_eq!(
                text(&staged),
                Some("said WhatsApp"),
                "{trouble} in {scene:?}"
            );
            if goes_on {
                let entry = crate::protocol::fixtures::bare_entry("alice", trouble);
                assert_eq!(EventKind::from_end(entry).as_str(), "pairing_expired");
            }
        }
    }
}

#[test]
fn a_trouble_that_has_passed_is_not_told_at_the_end() {
    for (end, trouble, goes_on) in troubles() {
        let mut by_qr = Scene::AwaitingScan.stage();
        let mut by_code = Scene::AwaitingCode.stage();
        for (staged, is_by_code) in [(&mut by_qr, false), (&mut by_code, true)] {
            staged.live(end.clone());
            if !goes_on {
                continue;
            }
            staged.live(connect());
            staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
            if staged.machine.phase() != Phase::Connecting {
                continue; // WhatsApp has named a time, and a person cannot shorten it.
            }
            if is_by_code {
                staged.live(Input::Link(LinkEvent::ReadyForPairCode));
                staged.live(code(staged));
            } else {
                staged.live(Input::Link(qr(1)));
            }
            let status = staged.machine.status();
            assert_eq!((status.reason, status.error), (None, None), "{trouble}");
            if is_by_code {
                staged.pass(180);
                staged.live(Input::Due);
            } else {
                staged.live(Input::Link(LinkEvent::QrExhausted));
            }
            assert_eq!(cause(staged), Some(Cause::PairingExpired), "{trouble}");
            assert_eq!(text(staged), None, "{trouble}");
        }
    }
}

/// The answer of the phone could not be used, and the codes ran out after it.
#[test]
fn why_the_phones_answer_was_of_no_use_is_told_at_the_end() {
    let mut staged = Scene::AwaitingScan.stage();
    staged.live(Row::PairFailed.input());
    staged.live(Input::Link(qr(2)));
    staged.live(Input::Link(LinkEvent::QrExhausted));
    assert_eq!(cause(&staged), Some(Cause::PairingExpired));
    assert_eq!(text(&staged), Some("wrong signature"));
}

/// Who gives a pairing up has done that, whatever it waited for; and what it waited for is told, too.
#[test]
fn a_pairing_that_is_given_up_says_what_it_waited_for() {
    for (scene, waited_for) in [
        (Scene::AwaitingScan, None),
        (
            Scene::AwaitingPasskey,
            Some("a passkey for it (step challenge)"),
        ),
        (
            Scene::CheckingPasskey,
            Some("a passkey for it (step checking)"),
        ),
        (
            Scene::BackingOffToPair,
            Some("(connection_lost): said WhatsApp"),
        ),
        (Scene::ParkedToPair, Some("(refused_409): said WhatsApp")),
    ] {
        let mut staged = scene.stage();
        staged.live(Row::Disconnect.input());
        assert_eq!(cause(&staged), Some(Cause::PairingAbandoned), "{scene:?}");
        let by = staged
            .machine
            .intent()
            .and_then(|intent| intent.requested_by);
        assert_eq!(by, Some(7));
        let why = text(&staged);
        assert_eq!(why.is_some(), waited_for.is_some(), "{why:?}");
        let words = waited_for.unwrap_or_default();
        assert!(why.unwrap_or_default().contains(words), "{why:?}");
    }
}

/// What WhatsApp says when it refuses a code is in the history.
#[test]
fn a_refused_code_ends_with_its_reason() {
    let mut staged = Scene::AwaitingCode.stage();
    staged.live(Input::Link(LinkEvent::PairCodeStale));
    staged.live(Input::Link(refused_of(staged.machine.last_code, true)));
    assert_eq!(cause(&staged), Some(Cause::RateLimited));
    assert_eq!(text(&staged), Some("WhatsApp gave no pair code: no"));
}
