//! Pairings for which WhatsApp wants a passkey.

use super::super::{Answer, Effect, Input, Request};
use super::input::{
    ASKED, CHALLENGE, PASSKEY_CODE, Row, account, assertion, by_code, challenge, pair_code,
    passkey_code, qr, refused,
};
use super::looks::answered;
use super::pairings::{asks_code, cause, lost, text, told, troubles};
use super::scene::{Scene, Staged};
use crate::protocol::{Cause, EventKind, FailureCode, PasskeyStep, Phase, Redacted, Stage};
use crate::session::PasskeyInput;
use crate::whatsapp::{AskError, LinkEvent, PasskeyEvent};

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

/// Nobody uses the code with which a pairing began anew, or its link is lost: it was the passkey all the same.
#[test]
fn a_pairing_that_began_anew_for_a_passkey_ends_with_it() {
    for lost in [false, true] {
        let mut staged = Scene::AwaitingPasskey.stage();
        staged.live(answer_passkey());
        staged.live(Input::PasskeyAnswered(Some(ASKED), Ok(())));
        staged.live(Row::PasskeyFailed.input());
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        staged.live(Input::Link(qr(1)));
        if lost {
            let (end, ..) = troubles()[4].clone();
            staged.live(end);
            let pairing = staged.machine.pairing.as_ref().expect("it goes on");
            let (cause, why) = pairing.expired();
            assert_eq!((cause, why.is_some()), (Cause::PasskeyRequired, true));
            continue;
        }
        staged.live(Input::Link(LinkEvent::QrExhausted));
        assert_eq!(cause(&staged), Some(Cause::PasskeyRequired));
        assert!(text(&staged).is_some());
    }
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
