//! Whose account is linked, and devices that do not stay.

use super::super::{Effect, Input, Origin};
use super::input::{ASKED, Row, account, phone, qr, stored};
use super::looks::answered;
use super::pairings::{cause, text, told};
use super::scene::{Scene, Staged};
use crate::protocol::{Cause, EventKind, FailureCode, Phase, Stage, Unlink};
use crate::session::{PairOptions, Past, Standing};
use crate::store::Record;
use crate::whatsapp::LinkEvent;

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
