//! What ends of links mean over time: locks, outdated clients, ghosts of our own, links that flap.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Input, Origin};
use super::input::{ASKED, Row, account, ended, stored};
use super::looks::{SECOND, opens, saves};
use super::scene::{Scene, Staged};
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, EventKind, Phase, Redacted, Stage, Unlink};
use crate::session::{Monotonic, OnLocked, PairOptions};
use crate::store::{Hold, Record};
use crate::whatsapp::{Ending, LinkEvent, Pace, Verdict};

const HOUR: u64 = 3600;

fn stage(stage: Stage) -> Input {
    Input::Link(LinkEvent::Stage(stage))
}

fn online() -> Input {
    Input::Link(LinkEvent::Online(account(1)))
}

fn lost() -> Input {
    ended(Verdict::Retry(Cause::ConnectionLost, Pace::Usual))
}

/// A lock that WhatsApp tells without a text and a token: it has told them before.
fn locked_again() -> Input {
    Input::Link(LinkEvent::Ended(Ending {
        verdict: Verdict::Locked,
        error: "locked (403)".to_owned(),
        text: None,
        appeal_token: None,
    }))
}

/// A task of another daemon, which finds this record.
fn restarted(record: Record) -> Staged {
    Staged::new(record, Origin::Stored { paired: true }).0
}

// ---- a locked account ---------------------------------------------------------------------------

#[test]
fn a_lock_holds_keeps_the_token_and_is_written_before_anybody_is_told() {
    let mut staged = Scene::Connecting.stage();
    let effects = staged.step(Row::LockedHold.input());
    let [
        Effect::Save(record),
        Effect::Publish(EventKind::Held, status),
        ..,
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    let lock = record.lock.as_ref().expect("a lock");
    let token = lock.appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!(token, Some("appeal-secret"));
    assert_eq!(status.reason, Some(Cause::AccountLocked));
    assert_eq!(status.error.as_deref(), Some("said WhatsApp"));
    assert_eq!(status.appeal_token, lock.appeal_token);
    assert_eq!((**status).clone().without_secrets().appeal_token, None);
    assert!(status.next_action.contains("on the phone"));
    let until = status.held_until.expect("an end");
    assert_eq!(until.duration_since(staged.now).as_secs(), 3600);
}

#[test]
fn a_lock_is_tried_after_an_hour_six_and_then_daily_and_given_up_after_two_weeks() {
    let mut staged = Scene::Locked.stage();
    let began = staged.now;
    let mut waits = Vec::new();
    while staged.machine.phase() == Phase::Held {
        let held = staged.machine.status().held_until.expect("an end");
        waits.push(held.duration_since(staged.now).as_hours());
        staged.pass_until_due();
        assert!(opens(&staged.live(Input::Due)));
        staged.live(stage(Stage::Login));
        staged.live(locked_again());
    }
    assert_eq!(waits[..4], [1, 6, 24, 24]);
    let days = staged.now.duration_since(began).as_hours() / 24;
    assert_eq!(days, 14, "{waits:?}");
    let intent = staged.machine.intent().expect("a logout");
    assert_eq!(intent.cause, Cause::AccountLocked);
    assert_eq!(intent.unlink, Unlink::NotKnown);
    // What came once, two weeks ago, is in the history.
    let token = intent.appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!(token, Some("appeal-secret"));
    assert_eq!(intent.text.as_deref(), Some("said WhatsApp"));
}

#[test]
fn a_lock_goes_on_over_restarts_and_a_login_clears_it() {
    let locked = Scene::Locked.stage();
    let mut staged = restarted(locked.machine.record().clone());
    assert_eq!(staged.machine.phase(), Phase::Held);
    let before = locked.machine.status();
    let after = staged.machine.status();
    assert_eq!(before.held_until, after.held_until);
    assert_eq!(before.appeal_token, after.appeal_token);
    staged.pass(2 * HOUR);
    staged.live(Input::Due);
    staged.live(stage(Stage::Login));
    // The connection is lost: that says nothing about the account.
    staged.live(lost());
    assert!(staged.machine.status().appeal_token.is_some());
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Login));
    assert!(saves(&staged.live(stage(Stage::Sync))));
    assert_eq!(staged.machine.record().lock, None);
    assert_eq!(staged.machine.status().appeal_token, None);
}

#[test]
fn a_person_may_try_a_lock_once() {
    let mut staged = Scene::Locked.stage();
    assert!(opens(
        &staged.live(Input::Connect(ASKED, PairOptions::default()))
    ));
    staged.live(stage(Stage::Login));
    staged.live(locked_again());
    assert_eq!(staged.machine.phase(), Phase::Held);
    assert!(staged.machine.status().appeal_token.is_some());
}

#[test]
fn a_login_that_says_401_ends_a_lock_and_the_token_is_in_the_history() {
    let mut staged = Scene::Locked.stage();
    staged.pass(2 * HOUR);
    staged.live(Input::Due);
    staged.live(Input::Link(LinkEvent::Ended(Ending {
        verdict: Verdict::Wipe(Cause::LoggedOut, Unlink::NotLinked),
        error: "401".to_owned(),
        text: None,
        appeal_token: None,
    })));
    let intent = staged.machine.intent().expect("a logout");
    assert_eq!(
        (intent.cause, intent.unlink),
        (Cause::LoggedOut, Unlink::NotLinked)
    );
    assert!(intent.appeal_token.is_some());
}

#[test]
fn a_force_logout_of_a_locked_account_keeps_the_token_in_the_history() {
    let mut staged = Scene::Locked.stage();
    staged.live(Row::ForceLogout.input());
    let intent = staged.machine.intent().expect("a logout");
    assert!(intent.appeal_token.is_some());
}

#[test]
fn a_clock_that_is_set_wipes_nothing_and_does_not_hold_for_ever() {
    for years in [-10i64, 10] {
        let mut staged = Scene::Locked.stage();
        for _ in 0..3 {
            staged.now += SignedDuration::from_hours(24 * 365 * years);
            staged.pass_until_due();
            assert!(opens(&staged.live(Input::Due)), "{years} years");
            staged.live(stage(Stage::Login));
            staged.live(locked_again());
            assert_eq!(staged.machine.phase(), Phase::Held, "{years} years");
        }
    }
}

#[test]
fn a_lock_that_is_to_log_out_does_so_at_once() {
    let mut staged = Scene::Connecting.stage();
    staged.settings.on_locked = OnLocked::Logout;
    staged.step(Row::LockedLogout.input());
    let intent = staged.machine.intent().expect("a logout");
    assert_eq!(intent.unlink, Unlink::NotKnown);
    assert!(intent.appeal_token.is_some());
}

// ---- an outdated client -------------------------------------------------------------------------

fn maybe_outdated() -> Input {
    Row::MaybeOutdated.input()
}

#[test]
fn one_wrong_405_costs_one_quick_try_and_the_next_one_minutes() {
    let mut staged = Scene::Online.stage();
    staged.live(lost());
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(maybe_outdated());
    assert_eq!(staged.machine.status().reason, Some(Cause::ClientOutdated));
    assert!(staged.wait().is_some_and(|wait| wait < SECOND * 5));
    // Another one in a row is not wrong.
    let mut again = staged.clone();
    let mut waits = Vec::new();
    for _ in 0..8 {
        again.pass_until_due();
        again.live(Input::Due);
        again.live(maybe_outdated());
        waits.push(again.wait().expect("a time").as_secs() / 60);
    }
    // The jitter adds a quarter.
    assert_eq!(waits, [12, 25, 50, 100, 200, 300, 300, 300]);
    // A login between them takes it back.
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged.live(lost());
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(maybe_outdated());
    assert!(staged.wait().is_some_and(|wait| wait < SECOND * 60));
}

/// A person's try costs one try: the session waits as long after it as before, and never less than ten minutes.
#[test]
fn a_person_who_connects_makes_no_wait_longer() {
    let minutes = |staged: &Staged| staged.wait().expect("a time").as_secs_f64() / 60.0;
    let mut staged = Scene::Outdated.stage();
    for _ in 0..4 {
        assert!(
            (minutes(&staged) - 12.5).abs() < 0.1,
            "{}",
            minutes(&staged)
        );
        for by in [Row::Connect, Row::ProxyChanged] {
            staged.settings = by.settings();
            staged.live(by.input());
            staged.live(Row::Outdated.input());
            assert!(
                (minutes(&staged) - 12.5).abs() < 0.1,
                "{}",
                minutes(&staged)
            );
            let clear = crate::session::ProxyChange::To(None);
            staged.live(Input::Proxy(ASKED, clear));
            staged.live(Row::Outdated.input());
        }
    }
    // Its own tries do.
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(Row::Outdated.input());
    assert!(
        (minutes(&staged) - 25.0).abs() < 0.1,
        "{}",
        minutes(&staged)
    );
}

#[test]
fn another_version_ends_the_wait_and_no_other_wait() {
    let mut staged = Scene::Outdated.stage();
    assert!(staged.wait().is_some_and(|wait| wait > SECOND * 60));
    staged.step(Input::VersionChanged);
    assert!(staged.wait().is_some_and(|wait| wait <= SECOND * 5));
    staged.pass_until_due();
    assert!(opens(&staged.live(Input::Due)));
    for scene in [Scene::BackingOff, Scene::Held, Scene::Locked, Scene::Parked] {
        let mut staged = scene.stage();
        let before = staged.deadline();
        assert_eq!(staged.step(Input::VersionChanged), [], "{scene:?}");
        assert_eq!(staged.deadline(), before, "{scene:?}");
    }
}

#[test]
fn what_an_earlier_version_parked_for_a_passing_reason_connects_at_the_start() {
    for (cause, opened) in [
        (Cause::ClientOutdated, true),
        (Cause::Refused(Some(429)), true),
        (Cause::Refused(Some(409)), false),
        (Cause::Replaced, false),
    ] {
        let mut record = stored();
        record.hold = Some(Hold {
            cause,
            until: None,
            error: None,
        });
        let (staged, effects) = Staged::new(record, Origin::Stored { paired: true });
        assert_eq!(opens(&effects), opened, "{cause}");
        assert_eq!(staged.machine.record().hold.is_none(), opened, "{cause}");
    }
}

// ---- a ghost of our own -------------------------------------------------------------------------

/// A session that is online after a login whose answer never came.
fn haunted() -> Staged {
    let mut staged = Staged::stored();
    staged.live(stage(Stage::Handshake));
    staged.live(lost());
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Handshake));
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged
}

#[test]
fn a_conflict_after_a_login_that_never_concluded_is_tried_once_more_and_the_second_one_counts() {
    let mut staged = haunted();
    staged.pass(200);
    let effects = staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
    // Nobody sees it as a trouble.
    let told: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Publish(kind, _) => Some(kind.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(told, [EventKind::Connecting]);
    // Whoever looks sees why, and what to do.
    let status = staged.machine.status();
    let error = status.error.expect("words");
    assert!(error.contains("a login of this session's own"), "{error}");
    assert!(status.next_action.contains("the next conflict counts"));
    // The next login is cut, too, and still the next conflict counts.
    staged.live(stage(Stage::Login));
    staged.live(lost());
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged.live(ended(Verdict::Conflict));
    let cause = staged.machine.intent().map(|intent| intent.cause);
    assert_eq!(cause, Some(Cause::Replaced));
}

#[test]
fn a_conflict_five_minutes_after_a_login_that_never_concluded_counts() {
    let mut staged = haunted();
    staged.pass(301);
    staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
}

#[test]
fn a_conflict_counts_where_every_login_was_answered() {
    let answers = [
        Verdict::Retry(Cause::ServerUnavailable, Pace::Usual),
        Verdict::Retry(Cause::RateLimited, Pace::Long),
        Verdict::Retry(Cause::ClientOutdated, Pace::Usual),
    ];
    for answer in answers {
        let mut staged = Staged::stored();
        staged.live(stage(Stage::Login));
        staged.live(ended(answer));
        staged.pass_until_due();
        staged.live(Input::Due);
        staged.live(stage(Stage::Sync));
        staged.live(online());
        staged.live(ended(Verdict::Conflict));
        assert_eq!(staged.machine.phase(), Phase::LoggingOut, "{answer:?}");
    }
    // Nor is a link that was never up a login.
    let mut staged = Staged::stored();
    staged.live(stage(Stage::Transport));
    staged.live(ended(Verdict::Retry(Cause::Unreachable, Pace::Usual)));
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::LoggingOut);
}

#[test]
fn a_login_that_is_given_up_may_be_a_ghost() {
    // By a person, who connects again.
    let mut staged = Staged::stored();
    staged.live(stage(Stage::Login));
    staged.live(Row::Disconnect.input());
    staged.live(Input::Connect(ASKED, PairOptions::default()));
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
    // By the link, which dials again.
    let mut staged = Staged::stored();
    for reached in [
        Stage::Handshake,
        Stage::Transport,
        Stage::Handshake,
        Stage::Sync,
    ] {
        staged.live(stage(reached));
    }
    staged.live(online());
    staged.live(ended(Verdict::Conflict));
    assert_eq!(staged.machine.phase(), Phase::Connecting);
    // By a stop of the daemon.
    let mut staged = Staged::stored();
    staged.live(stage(Stage::Login));
    staged.live(Input::Stop);
    let record = staged.machine.record().clone();
    // The clock may have been set back meanwhile.
    let later = [
        (10, Phase::Connecting),
        (400, Phase::LoggingOut),
        (-3600, Phase::Connecting),
    ];
    for (seconds, phase) in later {
        let origin = Origin::Stored { paired: true };
        let mut record = record.clone();
        let until = record.login_open_until.expect("it was noted");
        record.login_open_until = Some(until - SignedDuration::from_secs(seconds));
        let (mut staged, effects) = Staged::new(record, origin);
        assert!(opens(&effects));
        staged.live(Row::Opened.input());
        staged.live(stage(Stage::Sync));
        staged.live(online());
        staged.live(ended(Verdict::Conflict));
        assert_eq!(staged.machine.phase(), phase, "{seconds} s later");
    }
}

proptest! {
    #![proptest_config(many())]

    /// A conflict is forgiven only within five minutes of a login that was given up, and only once.
    #[test]
    fn a_conflict_is_forgiven_once_and_for_a_reason(walk in walks()) {
        let limit = Duration::from_mins(5);
        let by_origin = matches!(walk.origin, Origin::Failed { .. } | Origin::Unavailable(_))
            || walk.record.login_open_until.is_some();
        let mut cut = by_origin.then_some(Monotonic::ZERO);
        let mut forgiven: Option<Monotonic> = None;
        // Whether the present link may have sent a login that has no answer yet.
        let mut is_sent = false;
        walk.go(|step| {
            let is_conflict = matches!(
                step.input,
                Input::Link(LinkEvent::Ended(Ending { verdict: Verdict::Conflict, .. }))
            );
            if is_conflict && step.before.has_link() && step.after.phase == Phase::Connecting {
                let recent = |since: Option<Monotonic>| {
                    since.is_some_and(|since| step.at.monotonic.since(since) <= limit)
                };
                prop_assert!(recent(cut), "no login was given up");
                prop_assert!(!recent(forgiven), "twice");
                forgiven = Some(step.at.monotonic);
            }
            // What is read anew may say so, too.
            let read = matches!(step.input, Input::Looked(_));
            let dials_again = is_sent && is_stage(step, &[Stage::Handshake]);
            if read || dials_again || gives_up_a_login(step) {
                cut = Some(step.at.monotonic);
            }
            is_sent = step.after.has_link()
                && !is_stage(step, &[Stage::Sync])
                && (is_sent || step.before.paired && is_stage(step, &[Stage::Handshake, Stage::Login]));
            Ok(())
        })?;
    }

    /// A lock is kept until a login is accepted or everything is removed, and its token with it.
    #[test]
    fn a_token_is_kept_until_a_login(walk in walks()) {
        walk.go(keeps_the_token)?;
    }
}

/// Whether the link got to one of these stages.
fn is_stage(step: &Taken<'_>, stages: &[Stage]) -> bool {
    matches!(step.input, Input::Link(LinkEvent::Stage(stage)) if stages.contains(stage))
        && step.before.has_link()
}

/// Whether a link ends or is closed before its login is answered.
fn gives_up_a_login(step: &Taken<'_>) -> bool {
    let closes = |effect: &Effect| matches!(effect, Effect::CloseLink { .. });
    step.before.phase == Phase::Connecting && step.effects.iter().any(closes)
}

fn keeps_the_token(step: &Taken<'_>) -> TestCaseResult {
    let token = |record: &Record| {
        record
            .lock
            .as_ref()
            .and_then(|lock| lock.appeal_token.clone())
    };
    let (before, after) = (token(&step.before.record), token(&step.after.record));
    let login = matches!(
        step.input,
        Input::Link(LinkEvent::Online(_) | LinkEvent::Stage(Stage::Sync)) | Input::Looked(_)
    );
    prop_assert!(before.is_none() || login || before == after);
    Ok(())
}

// ---- links that flap ----------------------------------------------------------------------------

/// How long a session waits after it was lost, after that many tries that failed and so long online.
fn wait_after(failed: usize, online_for: u64) -> Duration {
    let mut staged = Scene::Online.stage();
    staged.pass(3600);
    staged.live(lost());
    for _ in 0..failed {
        staged.pass_until_due();
        staged.live(Input::Due);
        staged.live(ended(Verdict::Retry(Cause::Unreachable, Pace::Usual)));
    }
    staged.pass_until_due();
    staged.live(Input::Due);
    staged.live(stage(Stage::Sync));
    staged.live(online());
    staged.pass(online_for - 1);
    staged.live(lost());
    staged.wait().expect("a time")
}

#[test]
fn a_session_that_was_back_for_a_moment_does_not_wait_as_if_it_had_never_been() {
    // Half a minute without the server, back for 35 s, one reset: it was 41 s.
    assert_eq!(wait_after(5, 35), SECOND * 6);
    assert_eq!(wait_after(5, 60), SECOND * 3 / 4);
    // Hardly back at all.
    assert_eq!(wait_after(5, 1), SECOND * 48);
    // The longer it was back, the shorter.
    let waits: Vec<_> = (1..=70).map(|seconds| wait_after(7, seconds)).collect();
    assert!(waits.is_sorted_by(|a, b| a >= b), "{waits:?}");
}

#[test]
fn a_link_that_flaps_waits_longer_and_longer() {
    for online_for in [2, 10, 35, 55] {
        let mut staged = Scene::Online.stage();
        staged.pass(3600);
        let mut waits = Vec::new();
        for _ in 0..12 {
            staged.live(lost());
            waits.push(staged.wait().expect("a time"));
            staged.pass_until_due();
            staged.live(Input::Due);
            staged.live(stage(Stage::Sync));
            staged.live(online());
            staged.pass(online_for - 1);
        }
        assert!(waits.is_sorted(), "{online_for} s: {waits:?}");
        let last = waits.last().expect("a wait").as_secs();
        assert_eq!(last, 225, "{online_for} s: {waits:?}");
    }
}
