//! Pairings: codes that die, passkeys, an account that nobody expected, a device that does not stay.

use super::super::{Answer, Effect, Input, Origin, Request};
use super::input::{
    ASKED, CHALLENGE, PASSKEY_CODE, Row, account, assertion, by_code, challenge, connect, ended,
    pair_code, pair_code_of, passkey_code, phone, qr, refused, refused_of, stored,
};
use super::looks::answered;
use super::scene::{Scene, Staged};
use crate::protocol::{
    Cause, EventKind, FailureCode, PasskeyStep, Phase, Redacted, Stage, Status, Unlink,
};
use crate::session::{PairOptions, PasskeyInput, Past, Standing};
use crate::store::Record;
use crate::whatsapp::{AskError, LinkEvent, Pace, PasskeyEvent, Verdict};

fn lost() -> Input {
    ended(Verdict::Retry(Cause::ConnectionLost, Pace::Usual))
}

fn told(effects: &[Effect]) -> Vec<(&EventKind, &Status)> {
    let published = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(kind, status) => Some((kind, &**status)),
        _ => None,
    });
    published.collect()
}

fn asks_code(effects: &[Effect]) -> bool {
    let asks = |effect: &Effect| matches!(effect, Effect::AskPairCode(..));
    effects.iter().any(asks)
}

/// The answer to the last request for a pair code.
fn code(staged: &Staged) -> Input {
    Input::Link(pair_code_of(staged.machine.last_code))
}

fn cause(staged: &Staged) -> Option<Cause> {
    staged.machine.intent().map(|intent| intent.cause)
}

fn text(staged: &Staged) -> Option<&str> {
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
        !asks_code(&effects),
        "it is asked for when the link can be asked"
    );
    staged.live(Input::Link(LinkEvent::ReadyForPairCode));
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
fn troubles() -> [(Input, Cause, bool); 9] {
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

// ---- passkeys -----------------------------------------------------------------------------------

/// From WhatsApp's question to the pairing, after a QR code and after a pair code.
#[test]
fn a_passkey_is_fetched_answered_and_confirmed() {
    for (scene, phase) in [
        (Scene::AwaitingScan, Phase::AwaitingScan),
        (Scene::AwaitingCode, Phase::AwaitingCode),
    ] {
        let mut staged = scene.stage();
        let step = |staged: &Staged| {
            let status = staged.machine.status();
            assert_eq!(
                (status.phase, status.reason),
                (phase, Some(Cause::PasskeyRequired))
            );
            assert!(status.qr.is_none() && status.pair_code.is_none());
            status.passkey.map(|passkey| passkey.step)
        };
        let announced = Input::Link(LinkEvent::Passkey(PasskeyEvent::Announced));
        staged.live(announced);
        assert_eq!(step(&staged), Some(PasskeyStep::Announced));
        let fetch =
            |staged: &mut Staged| staged.live(Input::Passkey(ASKED, PasskeyInput::Challenge));
        assert_eq!(
            answered(&fetch(&mut staged), ASKED),
            Some(Err(FailureCode::NotAwaited))
        );
        let effects = staged.live(Input::Link(challenge()));
        assert!(matches!(told(&effects)[..], [(EventKind::Passkey, _)]));
        assert_eq!(step(&staged), Some(PasskeyStep::Challenge));
        let effects = fetch(&mut staged);
        let [Effect::Answer(ASKED, Answer::Passkey(got))] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(got.options.reveal(), CHALLENGE);

        let effects = staged.live(Input::Passkey(
            ASKED,
            PasskeyInput::Assert(Box::new(assertion())),
        ));
        assert!(effects.contains(&Effect::AnswerPasskey(ASKED, Box::new(assertion()))));
        assert_eq!(step(&staged), Some(PasskeyStep::Checking));
        let effects = staged.live(Input::PasskeyAnswered(Some(ASKED), Ok(())));
        assert_eq!(answered(&effects, ASKED), Some(Ok(())));
        staged.live(Input::Link(passkey_code(false)));
        assert_eq!(step(&staged), Some(PasskeyStep::Confirmation));
        let code = staged.machine.status().passkey.and_then(|p| p.code);
        assert_eq!(code.as_ref().map(Redacted::reveal), Some(PASSKEY_CODE));

        let confirm = Input::Passkey(Request(8), PasskeyInput::Confirm);
        let effects = staged.live(confirm);
        assert!(effects.contains(&Effect::ConfirmPasskey(Some(Request(8)))));
        assert_eq!(step(&staged), Some(PasskeyStep::Linking));
        staged.live(Input::PasskeyAnswered(Some(Request(8)), Ok(())));
        staged.live(Input::Link(LinkEvent::Paired(account(1))));
        let status = staged.machine.status();
        assert_eq!((status.phase, status.reason), (Phase::Connecting, None));
        assert_eq!(status.passkey, None);
    }
}

/// No QR code is shown meanwhile, whatever the link says, and none of their times count.
#[test]
fn a_passkey_has_its_own_time() {
    for scene in [
        Scene::AwaitingPasskey,
        Scene::CheckingPasskey,
        Scene::ComparingCodes,
    ] {
        let mut staged = scene.stage();
        for event in [
            qr(2),
            pair_code(),
            LinkEvent::QrExhausted,
            LinkEvent::PairCodeStale,
            LinkEvent::ReadyForPairCode,
            refused(false),
        ] {
            assert_eq!(staged.step(Input::Link(event)), [], "{scene:?}");
        }
        staged.pass(500);
        assert_eq!(staged.step(Input::Due), [], "{scene:?}");
        staged.pass(100);
        staged.step(Input::Due);
        assert_eq!(cause(&staged), Some(Cause::PasskeyRequired), "{scene:?}");
    }
}

#[test]
fn a_passkey_that_is_refused_can_be_answered_again() {
    let mut staged = Scene::CheckingPasskey.stage();
    let no = Err(AskError::Refused("no".to_owned()));
    let effects = staged.live(Input::PasskeyAnswered(Some(ASKED), no));
    assert_eq!(answered(&effects, ASKED), Some(Err(FailureCode::Refused)));
    let status = staged.machine.status();
    let step = status.passkey.map(|passkey| passkey.step);
    assert_eq!(step, Some(PasskeyStep::Challenge));
    assert!(status.error.is_some_and(|error| error.contains("no")));
    let effects = staged.live(answer_passkey());
    assert!(effects.contains(&Effect::AnswerPasskey(ASKED, Box::new(assertion()))));
}

fn answer_passkey() -> Input {
    Input::Passkey(ASKED, PasskeyInput::Assert(Box::new(assertion())))
}

/// The library carries one answer over a link. Whatever asks for another one begins the pairing anew, with
/// words, and not more often than a person may bear.
#[test]
fn another_answer_of_a_passkey_needs_a_new_link() {
    let taken = || Input::PasskeyAnswered(Some(ASKED), Ok(()));
    let timeout = Input::PasskeyAnswered(Some(ASKED), Err(AskError::Timeout));
    let announced = Row::PasskeyAnnounced.input();
    let confirmed = Input::Passkey(Request(8), PasskeyInput::Confirm);
    let not_confirmed =
        Input::PasskeyAnswered(Some(Request(8)), Err(AskError::Refused("no".to_owned())));
    let code = || Input::Link(passkey_code(false));
    let ways: [Vec<Input>; 7] = [
        vec![taken(), Input::Link(challenge())],
        vec![taken(), announced],
        vec![taken(), code(), Input::Link(challenge())],
        vec![taken(), Row::PasskeyFailed.input()],
        // The answer is taken after another challenge has come.
        vec![Input::Link(challenge()), taken()],
        vec![code(), confirmed, not_confirmed],
        vec![timeout],
    ];
    for way in ways {
        let mut staged = Scene::CheckingPasskey.stage();
        let mut effects = Vec::new();
        for input in way.clone() {
            assert_eq!(staged.machine.phase(), Phase::AwaitingCode, "{way:?}");
            effects = staged.live(input);
        }
        let status = staged.machine.status();
        assert_eq!((status.phase, &status.passkey), (Phase::Connecting, &None));
        let error = status.error.as_deref().expect("words");
        assert!(error.contains("the pairing begins anew"), "{error}");
        let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { .. });
        assert!(effects.iter().any(closes), "{way:?}");
        assert!(
            matches!(told(&effects)[..], [(EventKind::Connecting, _)]),
            "{way:?}"
        );
        // It has its whole time again, and another code.
        staged.pass(599);
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        let effects = staged.live(Input::Link(LinkEvent::ReadyForPairCode));
        assert!(asks_code(&effects), "{way:?}");
    }
}

#[test]
fn a_passkey_is_not_asked_for_anew_without_end() {
    let mut staged = Scene::AwaitingPasskey.stage();
    for _ in 0..3 {
        staged.live(answer_passkey());
        staged.live(Input::PasskeyAnswered(Some(ASKED), Ok(())));
        staged.live(Row::PasskeyFailed.input());
        assert_eq!(staged.machine.phase(), Phase::Connecting);
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        staged.live(Input::Link(qr(1)));
        staged.live(Input::Link(challenge()));
    }
    staged.live(answer_passkey());
    staged.live(Input::PasskeyAnswered(Some(ASKED), Ok(())));
    staged.live(Row::PasskeyFailed.input());
    assert_eq!(cause(&staged), Some(Cause::PasskeyRequired));
    assert_eq!(text(&staged), Some("the passkey was not accepted: no"));
}

/// In a later step the challenge is answered already.
#[test]
fn a_challenge_is_told_in_its_step_only() {
    for (scene, told) in [
        (Scene::AwaitingPasskey, Ok(())),
        (Scene::CheckingPasskey, Err(FailureCode::NotAwaited)),
        (Scene::ComparingCodes, Err(FailureCode::NotAwaited)),
    ] {
        let mut staged = scene.stage();
        let effects = staged.step(Input::Passkey(Request(8), PasskeyInput::Challenge));
        assert_eq!(answered(&effects, Request(8)), Some(told), "{scene:?}");
        let advice = staged.machine.status().next_action;
        assert!(advice.contains("wactl"), "{scene:?}: {advice}");
    }
}

/// A change of the proxy opens another link. Whoever is about to use what belonged to the last one learns that.
#[test]
fn a_change_of_the_proxy_says_what_it_throws_away() {
    for (scene, words) in [
        (Scene::AwaitingScan, Some("does not work any more")),
        (Scene::AwaitingCode, Some("does not work any more")),
        (Scene::AwaitingPasskey, Some("begins anew")),
        (Scene::ComparingCodes, Some("begins anew")),
        (Scene::BackingOffToPair, None),
        (Scene::Online, None),
    ] {
        let mut staged = scene.stage();
        staged.pass(590);
        let effects = staged.live(Row::ProxyChanged.input());
        let [(EventKind::Connecting, status)] = &told(&effects)[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(status.error.is_some(), words.is_some(), "{scene:?}");
        let error = status.error.as_deref().unwrap_or_default();
        assert!(error.contains(words.unwrap_or_default()), "{error}");
        // The person has the time of a pairing for it.
        staged.pass(20);
        staged.live(Input::Due);
        assert_eq!(cause(&staged), None, "{scene:?}");
    }
}

/// However WhatsApp ends a pairing that needed a passkey, that is what is said.
#[test]
fn the_end_of_a_pairing_that_needed_a_passkey_says_so() {
    for end in [lost(), Row::Wipe.input(), Row::Park.input()] {
        let mut staged = Scene::AwaitingPasskey.stage();
        staged.live(end);
        assert_eq!(cause(&staged), Some(Cause::PasskeyRequired));
    }
}

#[test]
fn a_connect_by_phone_during_a_passkey_is_answered_at_once() {
    let mut staged = Scene::AwaitingPasskey.stage();
    let effects = staged.step(by_code(ASKED, 2));
    assert!(!asks_code(&effects));
    assert_eq!(answered(&effects, ASKED), Some(Ok(())));
}

// ---- whose account it is ------------------------------------------------------------------------

fn begun(expect: Option<u8>, past: Past) -> Staged {
    let options = PairOptions {
        phone: None,
        expect: expect.map(phone),
        proxy: None,
    };
    let (mut staged, _) = Staged::new(Record::new(1000), Origin::New { options, past });
    staged.live(Input::Opened);
    staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
    staged.live(Input::Link(qr(1)));
    staged
}

#[test]
fn another_account_than_the_expected_one_is_unlinked_again() {
    let mut staged = begun(Some(2), Past::default());
    let effects = staged.live(Input::Link(LinkEvent::Paired(account(1))));
    assert_eq!(cause(&staged), Some(Cause::WrongAccount));
    let unlinks = |effect: &Effect| matches!(effect, Effect::Unlink { paired: true, .. });
    assert!(effects.iter().any(unlinks));
    let told = told(&effects);
    assert!(matches!(told[..], [(EventKind::LoggingOut, _)]), "{told:?}");
    let why = text(&staged).expect("a text").to_owned();
    assert!(
        why.contains("+15550100991") && why.contains("+15550100992"),
        "{why}"
    );
    let account = staged
        .machine
        .intent()
        .and_then(|intent| intent.account.clone());
    assert_eq!(account, Some(super::input::account(1)));
    staged.live(Input::Unlinked(Unlink::Confirmed.into()));
    let unlink = staged.machine.intent().map(|intent| intent.unlink);
    assert_eq!(unlink, Some(Unlink::Confirmed));
}

#[test]
fn the_expected_account_is_taken() {
    let mut staged = begun(Some(1), Past::default());
    staged.live(Input::Link(LinkEvent::Paired(account(1))));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
    assert_eq!(staged.machine.record().expect, None);
    assert!(staged.machine.record().linked_at.is_some());
}

/// The daemon may have been killed between the pairing and the end of a session that nobody expected.
#[test]
fn an_account_that_nobody_expected_does_not_outlive_a_crash() {
    let mut record = Record::new(1000);
    record.expect = Some(phone(2));
    let (mut staged, _) = Staged::new(record, Origin::Stored { paired: true });
    staged.live(Input::Opened);
    staged.live(Input::Link(LinkEvent::Online(account(1))));
    assert_eq!(cause(&staged), Some(Cause::WrongAccount));
}

#[test]
fn a_linked_session_is_not_another_account() {
    let mut staged = Scene::Online.stage();
    let expecting = |n| {
        let options = PairOptions {
            expect: Some(phone(n)),
            ..PairOptions::default()
        };
        Input::Connect(ASKED, options)
    };
    let effects = staged.step(expecting(2));
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::WrongAccount))
    );
    assert_eq!(answered(&staged.step(expecting(1)), ASKED), Some(Ok(())));
}

#[test]
fn what_is_expected_is_in_the_status_until_it_is_linked() {
    let mut staged = begun(Some(1), Past::default());
    let expected = phone(1).to_string();
    assert_eq!(staged.machine.status().expect, Some(expected));
    staged.live(Input::Link(LinkEvent::Paired(account(1))));
    assert_eq!(staged.machine.status().expect, None);
}

/// A pair code for one number links no account of another, whenever the two were named.
#[test]
fn a_number_that_contradicts_an_earlier_one_is_refused() {
    let options = |by, expected: Option<u8>| PairOptions {
        phone: Option::<u8>::map(by, phone),
        expect: expected.map(phone),
        proxy: None,
    };
    for (begun, then, refused) in [
        ((None, Some(1)), (Some(2), None), true),
        ((None, Some(1)), (Some(1), None), false),
        ((None, Some(1)), (Some(2), Some(2)), false),
        ((Some(1), None), (None, Some(2)), true),
        ((Some(1), None), (None, Some(1)), false),
        ((Some(1), None), (Some(2), Some(2)), false),
        ((Some(1), Some(1)), (None, None), false),
    ] {
        let origin = Origin::New {
            options: options(begun.0, begun.1),
            past: Past::default(),
        };
        let mut record = Record::new(1000);
        record.expect = begun.1.map(phone);
        let (mut staged, _) = Staged::new(record, origin);
        staged.live(Input::Opened);
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        staged.live(Input::Link(qr(1)));
        let before = staged.machine.clone();
        let effects = staged.live(Input::Connect(ASKED, options(then.0, then.1)));
        let failed = answered(&effects, ASKED) == Some(Err(FailureCode::InvalidArgument));
        assert_eq!(failed, refused, "{begun:?}, then {then:?}");
        if refused {
            assert_eq!(staged.machine, before, "nothing is changed");
        }
    }
}

#[test]
fn another_account_than_in_the_history_is_told() {
    for (known, changed) in [(1, false), (2, true)] {
        let past = Past {
            account: Some(account(known)),
            ..Past::default()
        };
        let mut staged = begun(None, past);
        let effects = staged.live(Input::Link(LinkEvent::Paired(account(1))));
        let told = told(&effects);
        let other = told
            .iter()
            .any(|(kind, _)| **kind == EventKind::AccountChanged);
        assert_eq!(other, changed);
    }
}

// ---- a device that does not stay ----------------------------------------------------------------

#[test]
fn a_device_that_is_removed_soon_was_not_removed_by_the_owner() {
    for (after, soon) in [(12, true), (119, true), (3600, false)] {
        let mut staged = begun(None, Past::default());
        staged.live(Input::Link(LinkEvent::Paired(account(1))));
        staged.live(Input::Link(LinkEvent::Online(account(1))));
        staged.pass(after - 2);
        staged.live(Row::Wipe.input());
        assert_eq!(cause(&staged), Some(Cause::Unlinked));
        let intent = staged.machine.intent().expect("an end");
        assert_eq!(intent.linked_at, staged.machine.record().linked_at);
        let said = text(&staged).expect("a text");
        assert_eq!(
            said.contains(&format!("{after} s after it was linked")),
            soon,
            "{said}"
        );
    }
}

/// After the third time in a day `connect` warns first.
#[test]
fn a_device_that_is_removed_again_and_again_is_linked_with_a_warning() {
    for (times, warned) in [(2, false), (3, true)] {
        let past = Past {
            removed_soon: times,
            ..Past::default()
        };
        let mut staged = begun(None, past);
        let advice = staged.machine.status().next_action;
        assert_eq!(
            advice.starts_with("WhatsApp removed the device"),
            warned,
            "{advice}"
        );
        staged.live(Input::Link(LinkEvent::Paired(account(1))));
        let advice = staged.machine.status().next_action;
        assert!(!advice.contains("removed"), "{advice}");
    }
}

#[test]
fn a_backup_in_the_place_of_a_pairing_does_not_end_with_that_pairing() {
    let origin = Origin::New {
        options: PairOptions::default(),
        past: Past::default(),
    };
    let (mut staged, _) = Staged::new(Record::new(1000), origin);
    staged.live(Input::Unusable("not a database".to_owned()));
    assert_eq!(staged.machine.phase(), Phase::StoreCorrupt);
    staged.pass(11 * 60);
    staged.live(Input::Connect(ASKED, PairOptions::default()));
    let record = Box::new(stored());
    let paired = true;
    staged.live(Input::Looked(Standing::Session { record, paired }));
    for _ in 0..3 {
        staged.live(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::Connecting);
        staged.pass(5);
    }
}
