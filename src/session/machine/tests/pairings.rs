//! Pairings: codes that die, passkeys, an account that nobody expected, a device that does not stay.

use super::super::{Answer, Effect, Input, Origin, Request};
use super::input::{
    ASKED, CHALLENGE, PASSKEY_CODE, Row, account, assertion, by_code, challenge, connect, ended,
    pair_code, passkey_code, phone, qr, refused, stored,
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
    let asks = |effect: &Effect| matches!(effect, Effect::AskPairCode(_));
    effects.iter().any(asks)
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
    let effects = staged.step(Input::Link(pair_code()));
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
        staged.live(Input::Link(pair_code()));
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
            staged.live(Input::Link(pair_code()));
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
        staged.live(Input::Link(pair_code()));
    }
    let effects = staged.live(Input::Link(LinkEvent::PairCodeStale));
    assert!(!asks_code(&effects));
    assert_eq!(cause(&staged), Some(Cause::PairingExpired));
}

/// What WhatsApp says when it refuses a code is in the history.
#[test]
fn a_refused_code_ends_with_its_reason() {
    let mut staged = Scene::AwaitingCode.stage();
    staged.live(Input::Link(LinkEvent::PairCodeStale));
    staged.live(Input::Link(refused(true)));
    assert_eq!(cause(&staged), Some(Cause::RateLimited));
    assert_eq!(text(&staged), Some("no"));
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
    let effects = staged.live(Input::Passkey(
        ASKED,
        PasskeyInput::Assert(Box::new(assertion())),
    ));
    assert!(effects.contains(&Effect::AnswerPasskey(ASKED, Box::new(assertion()))));
    // WhatsApp says later that it failed.
    staged.live(Input::PasskeyAnswered(Some(ASKED), Ok(())));
    staged.live(Row::PasskeyFailed.input());
    let step = staged.machine.status().passkey.map(|passkey| passkey.step);
    assert_eq!(step, Some(PasskeyStep::Challenge));
}

/// However a pairing ends that needed a passkey, that is what is said.
#[test]
fn the_end_of_a_pairing_that_needed_a_passkey_says_so() {
    for end in [
        lost(),
        Row::Wipe.input(),
        Row::Park.input(),
        Row::Disconnect.input(),
    ] {
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
