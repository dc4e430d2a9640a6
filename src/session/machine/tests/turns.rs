//! Single turns that once went wrong, or that a table cannot show.

use std::time::Duration;

use super::super::{Effect, Input, Origin};
use super::input::{Row, account, ended, pair_code, phone, qr, refused, targets};
use super::scene::{Scene, Staged, start};
use crate::protocol::{Cause, Phase, Stage, Unlink};
use crate::store::{Desired, Hold, Record};
use crate::whatsapp::{LinkEvent, Pace, Verdict};

fn failed(record: Record) -> Staged {
    let origin = Origin::Failed {
        paired: true,
        error: "it panicked".to_owned(),
        retry_at: start() + Duration::from_secs(4),
    };
    Staged::new(record, origin).0
}

#[test]
fn a_task_that_failed_tries_again_and_says_why() {
    let mut staged = failed(Record::new(1000));
    let status = staged.machine.status();
    assert_eq!(status.phase, Phase::BackingOff);
    assert_eq!(status.reason, Some(Cause::TaskFailed));
    assert_eq!(status.error.as_deref(), Some("it panicked"));
    assert_eq!(staged.deadline(), Some(start() + Duration::from_secs(4)));
    staged.pass(3);
    assert!(staged.step(Input::Due).contains(&Effect::OpenLink));
}

#[test]
fn a_task_that_failed_does_not_end_a_hold() {
    let mut record = Record::new(1000);
    record.hold = Some(Hold {
        cause: Cause::Replaced,
        until: None,
        error: None,
    });
    assert_eq!(failed(record).machine.phase(), Phase::Parked);
}

#[test]
fn a_disconnect_wipes_nothing_that_could_not_be_read() {
    let origin = Origin::Unusable("session.toml: no TOML".to_owned());
    let (mut staged, _) = Staged::new(Record::new(0), origin);
    for input in [
        Input::Connect(None),
        Input::Link(LinkEvent::QrExhausted),
        Input::Link(refused(true)),
        Input::Disconnect { by: 7 },
    ] {
        assert_eq!(staged.step(input), []);
        assert_eq!(staged.machine.phase(), Phase::StoreCorrupt);
    }
    let effects = staged.step(Input::ForceLogout { by: 7 });
    assert!(effects.contains(&Effect::Purge { unlink: true }));
}

#[test]
fn what_could_not_be_read_is_not_written_over() {
    let mut record = Record::new(1000);
    record.desired = Desired::Down;
    let (mut staged, _) = Staged::new(record, Origin::Unusable("auth.db".to_owned()));
    for input in [Input::Connect(None), Input::Targets(Vec::new())] {
        let effects = staged.step(input);
        assert!(!effects.contains(&Effect::Save));
    }
    assert_eq!(staged.machine.record().desired, Desired::Down);
}

#[test]
fn a_code_refused_after_the_scan_wipes_nothing() {
    let mut staged = Scene::AwaitingScan.stage();
    staged.step(Input::Connect(Some(phone(1))));
    staged.step(Input::Link(LinkEvent::Paired(account(1))));
    let effects = staged.step(Input::Link(refused(false)));
    assert!(matches!(
        effects.as_slice(),
        [Effect::PairCodeRefused { .. }]
    ));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
}

#[test]
fn targets_cannot_swallow_a_purge() {
    let mut staged = Scene::PurgeFailed.stage();
    assert_eq!(staged.step(Input::Targets(targets(0))), []);
    assert_eq!(staged.machine.phase(), Phase::PurgeFailed);
}

#[test]
fn a_hold_of_no_length_closes_before_it_opens() {
    let mut staged = Scene::Online.stage();
    let ban = ended(Verdict::Hold(Cause::TemporaryBan, Duration::ZERO));
    let effects = staged.step(ban);
    assert!(!effects.contains(&Effect::OpenLink));
    assert_eq!(staged.machine.phase(), Phase::Held);
    assert!(staged.step(Input::Due).contains(&Effect::OpenLink));
}

#[test]
fn a_pairing_ends_wherever_it_waits() {
    for scene in [
        Scene::ConnectingToPair,
        Scene::BackingOffToPair,
        Scene::ParkedToPair,
    ] {
        let mut staged = scene.stage();
        staged.pass(600);
        staged.step(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::LoggingOut, "{scene:?}");
        let cause = staged.machine.intent().map(|intent| intent.cause);
        assert_eq!(cause, Some(Cause::PairingExpired), "{scene:?}");
    }
}

#[test]
fn who_connects_late_has_time_to_pair() {
    for scene in [Scene::BackingOffToPair, Scene::ParkedToPair] {
        let mut staged = scene.stage();
        staged.pass(3600);
        staged.step(Input::Connect(None));
        staged.step(Input::Link(LinkEvent::Stage(Stage::Login)));
        staged.step(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::Connecting, "{scene:?}");
        staged.step(Input::Link(qr(1)));
        assert_eq!(staged.machine.phase(), Phase::AwaitingScan, "{scene:?}");
    }
}

#[test]
fn a_code_is_shown_for_the_number_it_was_made_for() {
    let mut staged = Scene::AwaitingCode.stage();
    let effects = staged.step(Input::Connect(Some(phone(2))));
    assert!(effects.contains(&Effect::AskPairCode(phone(2))));
    assert_eq!(staged.machine.status().pair_code, None);
    staged.step(Input::Link(pair_code()));
    let shown = staged.machine.status().pair_code.map(|code| code.phone);
    assert_eq!(shown, Some(phone(2).to_string()));
}

#[test]
fn a_pairing_asks_for_three_codes() {
    let mut staged = Scene::AwaitingCode.stage();
    let mut asked = 1;
    for _ in 0..10 {
        let effects = staged.step(Input::Link(LinkEvent::PairCodeStale));
        asked += effects.len();
    }
    assert_eq!(asked, 3);
}

#[test]
fn what_whatsapp_said_is_in_the_intent() {
    let mut staged = Scene::Online.stage();
    staged.step(ended(Verdict::Wipe(Cause::AccountLocked)));
    let intent = staged.machine.intent().expect("a logout");
    assert_eq!(intent.text.as_deref(), Some("said WhatsApp"));
    assert!(intent.appeal_token.is_some());
    assert_eq!(intent.account, Some(account(1)));
    assert_eq!((intent.owner, intent.targets), (1000, 1));
    assert_eq!(
        (intent.requested_by, intent.unlink),
        (None, Unlink::NotLinked)
    );
}

#[test]
fn a_failed_purge_is_tried_again_later_and_later() {
    let mut staged = Scene::LoggingOut.stage();
    let mut waits = Vec::new();
    for _ in 0..10 {
        staged.step(Row::PurgeFailed.input());
        let due = staged.deadline().expect("a time");
        waits.push(due.duration_since(staged.now).as_secs());
        staged.now = due;
        staged.step(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::LoggingOut);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn a_link_that_stayed_up_begins_anew() {
    let wait = |online_for| {
        let mut staged = Scene::BackingOff.stage();
        for _ in 0..4 {
            staged.now = staged.deadline().unwrap_or(staged.now);
            staged.step(Input::Due);
            staged.step(ended(Verdict::Retry(Cause::Silent, Pace::Usual)));
        }
        staged.pass(60);
        staged.step(Input::Due);
        staged.step(Input::Link(LinkEvent::Online(account(1))));
        staged.pass(online_for);
        staged.step(ended(Verdict::Retry(Cause::Silent, Pace::Usual)));
        let due = staged.deadline().expect("a time");
        due.duration_since(staged.now).as_millis()
    };
    // The dice take a quarter off.
    assert_eq!((wait(10), wait(60)), (24_000, 750));
}

#[test]
fn a_fight_over_the_credentials_is_not_fought() {
    let mut staged = Scene::Online.stage();
    staged.settings.on_conflict = crate::session::OnConflict::Park;
    staged.step(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::Parked);
    assert_eq!(staged.deadline(), None);
    let advice = staged.machine.status().next_action;
    assert!(advice.contains("takes over"), "{advice}");
}
