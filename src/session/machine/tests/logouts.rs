//! Single cases of logouts that once went wrong, or that a table cannot show.

use super::super::{Effect, Exit, Input, Origin};
use super::input::{ASKED, Row, account, ended, refused};
use super::looks::{SECOND, answered};
use super::scene::{Scene, Staged};
use crate::protocol::fixtures::bare_entry;
use crate::protocol::{Cause, FailureCode, Phase, Unlink};
use crate::session::OnLocked;
use crate::store::Record;
use crate::whatsapp::{LinkEvent, Verdict};

#[test]
fn a_disconnect_wipes_nothing_that_could_not_be_read() {
    let origin = Origin::Unusable("session.toml: no TOML".to_owned());
    let (mut staged, _) = Staged::new(Record::new(0), origin);
    for input in [
        Row::Connect.input(),
        Input::Link(LinkEvent::QrExhausted),
        Input::Link(refused(true)),
        Row::Disconnect.input(),
    ] {
        staged.step(input);
        assert_eq!(staged.machine.phase(), Phase::StoreCorrupt);
    }
    let effects = staged.step(Row::ForceLogout.input());
    assert!(matches!(
        effects.last(),
        Some(Effect::Unlink { paired: true, .. })
    ));
}

#[test]
fn a_removal_that_failed_is_not_swallowed_by_a_change_of_targets() {
    let mut staged = Scene::RemovalFailed.stage();
    let effects = staged.step(Row::TargetsCleared.input());
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::PurgeFailed))
    );
    assert_eq!(effects.len(), 1);
    assert_eq!(staged.machine.phase(), Phase::PurgeFailed);
}

#[test]
fn what_whatsapp_said_is_in_the_intent() {
    let mut staged = Scene::Online.stage();
    staged.settings.on_locked = OnLocked::Logout;
    staged.step(ended(Verdict::Locked));
    let effects = staged.step(staged.closed());
    let [Effect::Remove(intent)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(intent.text.as_deref(), Some("said WhatsApp"));
    assert!(intent.appeal_token.is_some());
    assert_eq!(intent.account, Some(account(1)));
    assert_eq!((intent.owner, intent.targets), (1000, 1));
    assert_eq!(
        (intent.requested_by, intent.unlink),
        (None, Unlink::NotKnown)
    );
}

#[test]
fn a_failed_removal_is_tried_again_later_and_later() {
    let mut staged = Scene::Removing.stage();
    let mut waits = Vec::new();
    for _ in 0..10 {
        staged.step(Row::RemovalFailed.input());
        waits.push(staged.wait().expect("a time").as_secs());
        staged.pass_until_due();
        staged.step_now(Input::Due);
        assert_eq!(staged.machine.phase(), Phase::LoggingOut);
        staged.step_now(staged.closed());
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn an_unlink_that_was_not_tried_is_tried_with_the_next_try() {
    // The unlink hangs until the logout's time is over, and is still waited for.
    let mut staged = Scene::Unlinking.stage();
    staged.pass_until_due();
    let effects = staged.step_now(Input::Due);
    assert_eq!(staged.machine.phase(), Phase::PurgeFailed);
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::PurgeFailed))
    );
    let effects = staged.step(Row::Connect.input());
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
    assert_eq!(effects.len(), 1, "nothing is begun twice: {effects:?}");
    let effects = staged.step(Row::Unlinked.input());
    assert!(matches!(
        effects.as_slice(),
        [Effect::CloseLink { goodbye: false, .. }]
    ));
    assert_eq!(
        staged.machine.intent().map(|intent| intent.unlink),
        Some(Unlink::Confirmed)
    );
}

#[test]
fn a_logout_has_one_deadline_and_each_part_a_share_of_what_is_left() {
    let mut staged = Scene::Online.stage();
    let effects = staged.step(Row::ForceLogout.input());
    let Some(Effect::Unlink { within, .. }) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(*within, SECOND * 5);
    staged.pass(3);
    let effects = staged.step(Row::Unlinked.input());
    let [Effect::CloseLink { within, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(*within, SECOND * 3);
    staged.step(staged.closed());
    assert_eq!(staged.wait(), Some(SECOND * 5));
    staged.pass_until_due();
    let effects = staged.step_now(Input::Due);
    assert_eq!(
        answered(&effects, ASKED),
        Some(Err(FailureCode::PurgeFailed))
    );
    let error = staged.machine.status().error.expect("what is left");
    assert!(error.contains("still being removed"), "{error}");
    // It goes on all the same.
    let entry = Box::new(bare_entry("alice", Cause::ForceLogout));
    let effects = staged.step(Input::Removed(Ok(entry.clone())));
    assert_eq!(effects, [Effect::End(Exit::LoggedOut(entry))]);
}

#[test]
fn a_link_that_does_not_end_keeps_its_files() {
    let mut staged = Scene::LoggingOut.stage();
    let effects = staged.step(Row::NotClosed.input());
    assert!(!effects.iter().any(|e| matches!(e, Effect::Remove(_))));
    assert_eq!(staged.machine.phase(), Phase::PurgeFailed);
    assert_eq!(
        staged.machine.status().error.as_deref(),
        Some("3 tasks run")
    );
    staged.pass_until_due();
    let effects = staged.step_now(Input::Due);
    assert!(matches!(effects.last(), Some(Effect::CloseLink { .. })));
}

#[test]
fn the_end_of_an_earlier_close_is_not_taken_for_the_logouts_own() {
    for early in [Row::Closed, Row::NotClosed] {
        let mut staged = Scene::Online.stage();
        staged.step(Row::Park.input());
        staged.step(Row::ForceLogout.input());
        staged.step(Row::Unlinked.input());
        assert_eq!(staged.step(early.input()), []);
        assert_eq!(staged.machine.phase(), Phase::LoggingOut);
        let effects = staged.step(staged.closed());
        assert!(matches!(effects.as_slice(), [Effect::Remove(_)]));
    }
}

#[test]
fn a_stop_waits_for_the_step_of_a_logout_and_removes_nothing_that_is_not_decided() {
    let mut staged = Scene::Removing.stage();
    assert_eq!(staged.step(Input::Stop), []);
    let effects = staged.step(Row::Removed.input());
    assert!(matches!(
        effects.as_slice(),
        [Effect::End(Exit::LoggedOut(_))]
    ));
    let mut staged = Scene::RemovalFailed.stage();
    assert_eq!(staged.step(Input::Stop), [Effect::End(Exit::Stopped)]);
}

#[test]
fn a_logout_under_way_is_answered_within_the_time_of_whoever_has_least() {
    let mut staged = Scene::Removing.stage();
    let within = SECOND * 2;
    let hurried = |within| Input::ForceLogout {
        request: ASKED,
        by: 7,
        within,
    };
    staged.step(hurried(SECOND * 60));
    assert!(staged.wait().is_some_and(|wait| wait <= SECOND * 10));
    staged.step(hurried(within));
    assert_eq!(staged.wait(), Some(within));
}
