//! Single cases that once went wrong, or that a table cannot show.

use std::time::Duration;

use super::super::target_edits::MOST_EDITS;
use super::super::{Effect, Exit, Input, Origin, Request};
use super::input::{
    ASKED, Row, account, by_code, connect, ended, pair_code_of, phone, qr, refused, stored, targets,
};
use super::looks::{SECOND, answered, opens, saves};
use super::scene::{Scene, Staged};
use crate::protocol::{Cause, EventKind, FailureCode, Phase, Stage, UserId};
use crate::session::{Change, PairOptions, Past, Standing};
use crate::store::{Desired, Hold, Record};
use crate::whatsapp::{LinkEvent, Pace, Verdict};

fn failed(record: Record) -> Staged {
    let origin = Origin::Failed {
        paired: true,
        error: "it panicked".to_owned(),
        wait: SECOND * 4,
        past: Past::default(),
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
    assert_eq!(staged.wait(), Some(SECOND * 4));
    staged.pass(3);
    assert!(opens(&staged.step(Input::Due)));
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
fn what_could_not_be_read_is_not_written_over() {
    for origin in [
        Origin::Unusable("vault.db".to_owned()),
        Origin::Unavailable("the disk is full".to_owned()),
    ] {
        let mut record = Record::new(1000);
        record.desired = Desired::Down;
        let (mut staged, _) = Staged::new(record, origin);
        for input in [
            connect(),
            Row::Disconnect.input(),
            Row::TargetsCleared.input(),
            Input::Stop,
        ] {
            assert!(!saves(&staged.step(input)));
        }
        assert_eq!(staged.machine.record().desired, Desired::Down);
    }
}

#[test]
fn what_cannot_be_read_now_is_looked_at_again_by_itself() {
    let mut staged = Scene::Unread.stage();
    let status = staged.machine.status();
    assert_eq!(status.reason, Some(Cause::StoreFailed));
    assert_eq!(status.error.as_deref(), Some("the disk is full"));
    staged.pass_until_due();
    assert_eq!(staged.step(Input::Due), [Effect::Look]);
    // Still not: it is tried later.
    staged.step(Row::FoundUnavailable.input());
    assert_eq!(staged.machine.phase(), Phase::BackingOff);
    staged.pass_until_due();
    assert_eq!(staged.step(Input::Due), [Effect::Look]);
    assert!(opens(&staged.step(Row::Found.input())));
    assert_eq!(staged.machine.record().account, Some(account(1)));
}

#[test]
fn connect_looks_at_what_was_put_right() {
    for scene in [Scene::StoreCorrupt, Scene::Unread] {
        let mut staged = scene.stage();
        assert_eq!(staged.step(connect()), [Effect::Look], "{scene:?}");
        // Twice is the same look.
        assert_eq!(
            staged.step(Input::Connect(Request(8), PairOptions::default())),
            []
        );
        let mut record = stored();
        record.desired = Desired::Down;
        let found = Standing::Session {
            record: Box::new(record),
            paired: true,
        };
        let mut effects = staged.step(Input::Looked(found));
        assert!(opens(&effects), "{scene:?}");
        assert_eq!(answered(&effects, ASKED), None, "{scene:?}");
        // That it is desired is written first, after a write that may be under way.
        for _ in 0..2 {
            effects.extend(staged.step(Row::Saved.input()));
        }
        for request in [ASKED, Request(8)] {
            assert_eq!(answered(&effects, request), Some(Ok(())), "{scene:?}");
        }
    }
}

#[test]
fn a_copy_waits_for_a_person_and_writes_nothing() {
    let (mut staged, effects) = Staged::new(stored(), Origin::Stored { paired: true });
    assert!(opens(&effects));
    let effects = staged.step(Row::Copied.input());
    assert!(!saves(&effects));
    let status = staged.machine.status();
    assert_eq!(status.phase, Phase::Parked);
    assert_eq!(status.reason, Some(Cause::CopiedCredentials));
    let advice = status.next_action;
    assert!(advice.contains("only this copy"), "{advice}");
    assert_eq!(staged.deadline(), crate::session::Due::default());
    // The other one may be gone when somebody asks.
    assert!(opens(&staged.step(connect())));
}

#[test]
fn a_renamed_session_is_its_new_names_once_it_was_online() {
    let mut record = stored();
    record.user = Some("before".parse().expect("an id"));
    let (mut staged, _) = Staged::new(record, Origin::Stored { paired: true });
    staged.live(Row::Opened.input());
    assert!(saves(&staged.live(Row::Online.input())));
    let named = staged.machine.record().user.as_ref();
    assert_eq!(named.map(UserId::as_str), Some("alice"));
}

#[test]
fn a_session_that_somebody_removed_ends_and_says_so() {
    let mut staged = Scene::StoreCorrupt.stage();
    staged.step(connect());
    let effects = staged.step(Input::Looked(Standing::Nothing));
    // The request concerns the user, who may begin a new session with it.
    assert_eq!(effects, [Effect::End(Exit::NothingOnDisk)]);
}

#[test]
fn a_code_refused_after_the_scan_wipes_nothing() {
    let mut staged = Scene::AwaitingScan.stage();
    staged.live(by_code(ASKED, 1));
    staged.live(Input::Link(LinkEvent::Paired(account(1))));
    staged.step(Input::Link(refused(false)));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
}

#[test]
fn who_waits_for_a_code_is_told_that_there_is_none() {
    let mut staged = Scene::ConnectingForCode.stage();
    let effects = staged.step(by_code(ASKED, 1));
    assert_eq!(answered(&effects, ASKED), None);
    staged.step(Input::Link(LinkEvent::ReadyForPairCode));
    let effects = staged.step(Input::Link(refused(true)));
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::RateLimited))
    );
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
}

#[test]
fn a_hold_of_no_length_closes_before_it_opens() {
    let mut staged = Scene::Online.stage();
    let ban = ended(Verdict::Hold(Cause::TemporaryBan, Duration::ZERO));
    assert!(!opens(&staged.live(ban)));
    assert_eq!(staged.machine.phase(), Phase::Held);
    assert!(opens(&staged.step(Input::Due)));
}

#[test]
fn a_pairing_ends_wherever_it_waits() {
    for (scene, ends) in [
        (Scene::ConnectingToPair, Cause::PairingExpired),
        (Scene::BackingOffToPair, Cause::ConnectionLost),
        (Scene::ParkedToPair, Cause::Refused(Some(409))),
    ] {
        let mut staged = scene.stage();
        staged.pass(600);
        staged.step(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::LoggingOut, "{scene:?}");
        let cause = staged.machine.intent().map(|intent| intent.cause);
        assert_eq!(cause, Some(ends), "{scene:?}");
    }
}

#[test]
fn who_connects_late_has_time_to_pair() {
    for scene in [Scene::BackingOffToPair, Scene::ParkedToPair] {
        let mut staged = scene.stage();
        staged.pass(3600);
        staged.live(connect());
        staged.live(Input::Link(LinkEvent::Stage(Stage::Login)));
        staged.live(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::Connecting, "{scene:?}");
        staged.live(Input::Link(qr(1)));
        assert_eq!(staged.machine.phase(), Phase::AwaitingScan, "{scene:?}");
    }
}

#[test]
fn a_code_is_shown_for_the_number_it_was_made_for() {
    let mut staged = Scene::AwaitingCode.stage();
    let effects = staged.step(by_code(ASKED, 2));
    let second = staged.machine.last_code;
    assert!(effects.contains(&Effect::AskPairCode(second, phone(2))));
    assert_eq!(staged.machine.status().pair_code, None);
    let effects = staged.step(Input::Link(pair_code_of(second)));
    assert_eq!(answered(&effects, ASKED), Some(Ok(())));
    let shown = staged.machine.status().pair_code.map(|code| code.phone);
    assert_eq!(shown, Some(phone(2).to_string()));
}

#[test]
fn a_link_that_stayed_up_begins_anew() {
    let wait = |online_for| {
        let mut staged = Scene::BackingOff.stage();
        for _ in 0..4 {
            staged.pass_until_due();
            staged.live(Input::Due);
            staged.live(ended(Verdict::Retry(Cause::Silent, Pace::Usual)));
        }
        staged.pass(60);
        staged.live(Input::Due);
        staged.live(Input::Link(LinkEvent::Online(account(1))));
        staged.pass(online_for);
        staged.live(ended(Verdict::Retry(Cause::Silent, Pace::Usual)));
        staged.wait().expect("a time").as_millis()
    };
    // The jitter takes a quarter off.
    assert_eq!((wait(10), wait(60)), (24_000, 750));
}

#[test]
fn a_fight_over_the_credentials_is_not_fought() {
    let mut staged = Scene::Online.stage();
    staged.settings.on_conflict = crate::session::OnConflict::Park;
    staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::Parked);
    assert_eq!(staged.deadline(), crate::session::Due::default());
    let advice = staged.machine.status().next_action;
    assert!(advice.contains("takes over"), "{advice}");
}

#[test]
fn the_next_link_waits_until_the_last_one_has_ended() {
    let mut staged = Scene::Online.stage();
    let lost = ended(Verdict::Retry(Cause::StreamEnded, Pace::AtOnce));
    let effects = staged.step(lost);
    assert!(!opens(&effects));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
    assert!(opens(&staged.step(Row::Closed.input())));
}

#[test]
fn a_disconnect_is_answered_when_it_is_closed_and_written() {
    let mut staged = Scene::Online.stage();
    let effects = staged.step(Row::Disconnect.input());
    assert_eq!(answered(&effects, ASKED), None);
    assert_eq!(answered(&staged.step(Row::Saved.input()), ASKED), None);
    let effects = staged.step(Row::Closed.input());
    assert_eq!(answered(&effects, ASKED), Some(Ok(())));
}

#[test]
fn a_disconnect_that_could_not_be_written_says_so_and_is_written_again() {
    let mut staged = Scene::Online.stage();
    staged.step(Row::Disconnect.input());
    staged.step(Row::Closed.input());
    let effects = staged.step(Row::NotSaved.input());
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::StoreFailed))
    );
    // Asked again, it is tried again.
    let effects = staged.step(Row::Disconnect.input());
    assert!(saves(&effects));
    staged.step(Row::NotSaved.input());
    // And by itself.
    staged.pass_until_due();
    assert!(saves(&staged.step_now(Input::Due)));
    staged.step(Row::Saved.input());
    assert_eq!(staged.deadline(), crate::session::Due::default());
}

#[test]
fn changes_of_targets_come_one_after_the_other_each_on_the_disk_first() {
    let mut staged = Scene::Online.stage();
    let before = staged.machine.record().targets.clone();
    let set = |n| Input::Targets(Request(n), Change::Remove(targets(2)));
    assert!(saves(&staged.step(set(1))));
    staged.step(set(2));
    assert_eq!(staged.machine.record().targets, before);
    let effects = staged.step(Row::Saved.input());
    assert_eq!(answered(&effects, Request(1)), Some(Ok(())));
    assert!(staged.machine.record().targets.is_empty());
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Publish(EventKind::Targets, _)))
    );
    // The second one changes nothing, and needs no write.
    assert_eq!(answered(&effects, Request(2)), Some(Ok(())));
}

#[test]
fn a_change_of_targets_that_is_checked_too_late_changes_nothing() {
    let mut staged = Scene::Online.stage();
    let effects = staged.step(Row::TargetsAdded.input());
    assert_eq!(effects, [Effect::AskGroups(ASKED)]);
    staged.step(Row::Wipe.input());
    let told = Input::GroupsAnswered(ASKED, Ok(Vec::new()));
    assert_eq!(staged.step(told), []);
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
}

#[test]
fn a_refused_write_of_targets_changes_nothing() {
    let mut staged = Scene::Online.stage();
    let before = staged.machine.record().targets.clone();
    staged.step(Row::TargetsCleared.input());
    let effects = staged.step(Row::NotSaved.input());
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::StoreFailed))
    );
    assert_eq!(staged.machine.record().targets, before);
}

#[test]
fn a_stop_closes_and_writes_and_ends_then() {
    let mut staged = Scene::Online.stage();
    staged.step(Input::Stop);
    assert_eq!(staged.step(Row::Saved.input()), []);
    assert_eq!(
        staged.step(Row::Closed.input()),
        [Effect::End(Exit::Stopped)]
    );
}

#[test]
fn a_link_that_never_dials_is_given_up() {
    let (mut staged, effects) = Staged::new(stored(), Origin::Stored { paired: true });
    assert!(opens(&effects));
    assert_eq!(staged.wait(), None, "its turn may take a while");
    staged.step(Row::Opened.input());
    staged.pass_until_due();
    let effects = staged.step_now(Input::Due);
    let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { .. });
    assert!(effects.iter().any(closes));
    assert_eq!(staged.machine.phase(), Phase::BackingOff);
}

#[test]
fn a_connect_that_finds_half_a_pairing_begins_anew_after_it() {
    for by in [connect(), by_code(ASKED, 7)] {
        let mut staged = Scene::Unread.stage();
        staged.step(by);
        let found = Standing::Session {
            record: Box::new(Record::new(1000)),
            paired: false,
        };
        let effects = staged.step(Input::Looked(found));
        assert_eq!(staged.machine.phase(), Phase::LoggingOut);
        assert_eq!(answered(&effects, ASKED), None);
        staged.step(Row::Closed.input());
        let effects = staged.step(Row::Removed.input());
        assert_eq!(answered(&effects, ASKED), None, "whoever comes next does");
    }
}

#[test]
fn so_many_changes_of_the_target_groups_wait_and_no_more() {
    let mut staged = Scene::Online.stage();
    let change = |n| Input::Targets(Request(n), Change::Add(targets(3)));
    for n in (100..).take(MOST_EDITS) {
        let effects = staged.step(change(n));
        assert_eq!(answered(&effects, Request(n)), None);
    }
    let effects = staged.step(change(1000));
    let refused = answered(&effects, Request(1000));
    assert_eq!(refused, Some(Err(FailureCode::QuotaExceeded)));
}

#[test]
fn one_question_serves_all_who_ask_for_groups_before_its_answer() {
    let mut staged = Scene::Online.stage();
    let [first, second] = [Request(1), Request(2)];
    let effects = staged.step(Input::Groups(first));
    assert_eq!(effects, [Effect::AskGroups(first)]);
    assert_eq!(staged.step(Input::Groups(second)), []);
    let effects = staged.step(Input::GroupsAnswered(first, Ok(Vec::new())));
    assert_eq!(answered(&effects, first), Some(Ok(())));
    assert_eq!(answered(&effects, second), Some(Ok(())));
    // Whoever asks later asks anew.
    let effects = staged.step(Input::Groups(second));
    assert_eq!(effects, [Effect::AskGroups(second)]);
}
