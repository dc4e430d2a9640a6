//! What WhatsApp says of the account while the session is online, over days.

use std::time::Duration;

use super::super::{Effect, Input, Origin};
use super::input::{Row, account, ended, free, near, restricted, stored};
use super::scene::{Scene, Staged, start};
use crate::protocol::{Cause, EventKind, Phase, RestrictionKind, Stage, Status, WarningKind};
use crate::session::Due;
use crate::session::clock::after;
use crate::store::Record;
use crate::whatsapp::{Limit, LimitState, LinkEvent, Pace, Presence, Verdict};

const DAY: u64 = 24 * 3600;

/// A session that is online and that nobody need use.
fn online() -> Staged {
    let mut staged = Scene::Online.stage();
    staged.settings.idle_after = None;
    staged
}

fn again(record: Record) -> Staged {
    let (mut staged, _) = Staged::new(record, Origin::Stored { paired: true });
    staged.settings.idle_after = None;
    staged.live(Input::Opened);
    staged.live(Input::Link(LinkEvent::Stage(Stage::Sync)));
    staged.live(Input::Link(LinkEvent::Online(account(1))));
    staged
}

/// The status that an event of this kind told.
fn told(effects: &[Effect], kind: &EventKind) -> Option<Status> {
    effects.iter().find_map(|effect| match effect {
        Effect::Publish(told, status) if told == kind => Some(Status::clone(status)),
        _ => None,
    })
}

/// Lets so many days pass, with all that is due meanwhile. Returns what was done.
fn pass_days(staged: &mut Staged, days: u64) -> Vec<Effect> {
    let end = after(staged.now, Duration::from_secs(days * DAY));
    let mut done = Vec::new();
    loop {
        let mut next = staged.clone();
        next.pass_until_due();
        if next.now > end || staged.deadline() == Due::default() {
            // Whatever is done takes a second.
            let rest = end.duration_since(staged.now).as_secs();
            staged.pass(u64::try_from(rest).unwrap_or_default());
            return done;
        }
        *staged = next;
        done.extend(staged.live(Input::Due));
    }
}

// ---- restrictions ----------------------------------------------------------------------------------

#[test]
fn a_timelock_leaves_the_session_online_and_ends_by_itself() {
    let mut staged = online();
    let effects = staged.live(Input::Link(restricted()));
    let status = told(&effects, &EventKind::Restrictions).expect("an event");
    assert_eq!(status.phase, Phase::Online);
    let [restriction] = &status.restrictions[..] else {
        panic!("{status:?}");
    };
    let end = after(start(), Duration::from_secs(7 * DAY));
    assert_eq!(restriction.kind, RestrictionKind::ReachoutTimelock);
    assert_eq!(restriction.until, Some(end));
    assert_eq!(
        restriction.detail.as_deref(),
        Some("RESTRICT_ALL_COMPANIONS")
    );
    assert!(
        staged.live(Input::Link(restricted())).is_empty(),
        "told again"
    );

    let effects = pass_days(&mut staged, 6);
    assert_eq!(told(&effects, &EventKind::Restrictions), None);
    let effects = pass_days(&mut staged, 2);
    let status = told(&effects, &EventKind::Restrictions).expect("its end");
    assert_eq!(
        (status.phase, status.restrictions.len()),
        (Phase::Online, 0)
    );
    assert_eq!(staged.machine.record().restrictions, []);
}

#[test]
fn a_restriction_is_kept_over_a_restart_and_ends_when_whatsapp_says_so() {
    let mut staged = online();
    staged.live(Input::Link(restricted()));
    let mut staged = again(staged.machine.record().clone());
    assert_eq!(staged.machine.status().restrictions.len(), 1);
    let over = Limit {
        kind: RestrictionKind::ReachoutTimelock,
        state: LimitState::Free,
    };
    let effects = staged.live(Input::Link(LinkEvent::Limit(over)));
    let status = told(&effects, &EventKind::Restrictions).expect("its end");
    assert!(status.restrictions.is_empty());
    // One that is over already when it is heard of is none.
    let late = Limit {
        kind: RestrictionKind::ReachoutTimelock,
        state: LimitState::Reached {
            until: Some(start()),
            detail: None,
        },
    };
    assert!(staged.live(Input::Link(LinkEvent::Limit(late))).is_empty());
}

#[test]
fn a_restriction_ends_while_the_session_is_not_online() {
    let mut staged = online();
    staged.live(Input::Link(restricted()));
    staged.live(Row::Disconnect.input());
    let effects = pass_days(&mut staged, 8);
    let status = told(&effects, &EventKind::Restrictions).expect("its end");
    assert_eq!(
        (status.phase, status.restrictions.len()),
        (Phase::Disconnected, 0)
    );
}

#[test]
fn the_history_tells_that_a_session_ended_while_it_was_restricted() {
    let mut staged = online();
    staged.live(Input::Link(restricted()));
    staged.step(Row::Wipe.input());
    let effects = staged.step(staged.closed());
    let [Effect::Remove(intent)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let entry = intent.entry(crate::protocol::Removed::default());
    assert_eq!(entry.restrictions.len(), 1);
    assert_eq!(
        entry.restrictions[0].kind,
        RestrictionKind::ReachoutTimelock
    );
}

#[test]
fn a_limit_that_is_near_is_a_warning_and_one_that_is_reached_a_restriction() {
    let mut staged = online();
    let effects = staged.live(Input::Link(LinkEvent::Limit(near())));
    let status = told(&effects, &EventKind::Warnings).expect("a warning");
    assert_eq!(status.warnings[0].kind, WarningKind::NewChatLimitNear);
    assert!(
        status.next_action.contains("40 of 50"),
        "{}",
        status.next_action
    );
    assert!(status.restrictions.is_empty());
    let reached = Limit {
        kind: RestrictionKind::NewChatLimit,
        state: LimitState::Reached {
            until: None,
            detail: Some("CAPPED, 50 of 50 used".to_owned()),
        },
    };
    staged.live(Input::Link(LinkEvent::Limit(reached)));
    let status = staged.machine.status();
    assert_eq!((status.warnings.len(), status.restrictions.len()), (0, 1));
    staged.live(Input::Link(LinkEvent::Limit(free(
        RestrictionKind::NewChatLimit,
    ))));
    assert!(staged.machine.status().restrictions.is_empty());
}

// ---- the phone -------------------------------------------------------------------------------------

#[test]
fn a_silent_phone_is_warned_of_after_ten_days_and_again_after_twelve() {
    let mut staged = online();
    let effects = pass_days(&mut staged, 9);
    assert_eq!(told(&effects, &EventKind::Warnings), None);
    for days in [10, 12] {
        let effects = pass_days(&mut staged, 2);
        let status = told(&effects, &EventKind::Warnings).expect("a warning");
        assert_eq!(status.phase, Phase::Online);
        let [warning] = &status.warnings[..] else {
            panic!("{status:?}");
        };
        assert_eq!(warning.kind, WarningKind::PhoneSilent);
        assert!(
            warning.text.contains(&format!("{days} days")),
            "{}",
            warning.text
        );
        let heard = staged.machine.record().phone_heard.expect("a time");
        assert_eq!(
            warning.due,
            Some(after(heard, Duration::from_secs(14 * DAY)))
        );
    }
    let effects = pass_days(&mut staged, 5);
    assert_eq!(told(&effects, &EventKind::Warnings), None, "a third time");

    let effects = staged.live(Row::PhoneHeard.input());
    let status = told(&effects, &EventKind::Warnings).expect("its end");
    assert!(status.warnings.is_empty());
    let effects = pass_days(&mut staged, 9);
    assert_eq!(told(&effects, &EventKind::Warnings), None);
    let effects = pass_days(&mut staged, 2);
    assert!(
        told(&effects, &EventKind::Warnings).is_some(),
        "counted anew"
    );
}

#[test]
fn a_phone_that_is_heard_is_not_warned_of_and_not_written_each_time() {
    let mut staged = online();
    for _ in 0..30 {
        let effects = pass_days(&mut staged, 1);
        assert_eq!(told(&effects, &EventKind::Warnings), None);
        let effects = staged.live(Row::PhoneHeard.input());
        assert!(
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::Save(_)))
        );
        assert!(staged.live(Row::PhoneHeard.input()).is_empty());
    }
}

#[test]
fn what_the_phone_sent_long_ago_does_not_hide_that_it_is_silent() {
    let mut staged = online();
    pass_days(&mut staged, 8);
    let ago = Duration::from_secs(7 * DAY);
    staged.live(Input::Link(LinkEvent::PhoneHeard { ago }));
    let effects = pass_days(&mut staged, 4);
    assert!(told(&effects, &EventKind::Warnings).is_some());
    // Older than what is known.
    let heard = staged.machine.record().phone_heard;
    let ago = Duration::from_secs(30 * DAY);
    staged.live(Input::Link(LinkEvent::PhoneHeard { ago }));
    assert_eq!(staged.machine.record().phone_heard, heard);
}

#[test]
fn the_silence_is_counted_over_restarts_but_not_while_nobody_listens() {
    let mut staged = online();
    pass_days(&mut staged, 6);
    let record = staged.machine.record().clone();
    let days_later = |days: u64| {
        let mut staged = Staged::new(record.clone(), Origin::Stored { paired: true }).0;
        staged.settings.idle_after = None;
        staged.now = after(start(), Duration::from_secs((6 + days) * DAY));
        for input in [
            Input::Opened,
            Input::Link(LinkEvent::Stage(Stage::Sync)),
            Input::Link(LinkEvent::Online(account(1))),
        ] {
            let effects = staged.live(input);
            assert_eq!(told(&effects, &EventKind::Warnings), None, "too early");
        }
        staged
    };
    // What the phone sent meanwhile comes first.
    let mut staged = days_later(5);
    staged.pass(300);
    assert!(staged.live(Input::Due).is_empty());
    staged.pass(400);
    let effects = staged.live(Input::Due);
    assert!(told(&effects, &EventKind::Warnings).is_some());
    // A device that may still log in after so long has a phone.
    let mut staged = days_later(30);
    let effects = pass_days(&mut staged, 9);
    assert_eq!(told(&effects, &EventKind::Warnings), None);
    let effects = pass_days(&mut staged, 2);
    assert!(told(&effects, &EventKind::Warnings).is_some());
}

// ---- the settings ----------------------------------------------------------------------------------

#[test]
fn settings_that_never_come_are_a_warning_and_no_end() {
    let mut staged = online();
    let effects = staged.live(Row::SettingsMissing.input());
    let status = told(&effects, &EventKind::Warnings).expect("a warning");
    assert_eq!((status.phase, status.warnings.len()), (Phase::Online, 1));
    assert_eq!(status.warnings[0].kind, WarningKind::AppStateMissing);
    assert!(staged.live(Row::SettingsMissing.input()).is_empty());

    let since = status.warnings[0].since;
    let mut staged = again(staged.machine.record().clone());
    let [warning] = &staged.machine.status().warnings[..] else {
        panic!("it is forgotten");
    };
    assert_eq!(warning.since, since);
    let effects = staged.live(Row::SettingsHere.input());
    assert!(
        told(&effects, &EventKind::Warnings)
            .expect("its end")
            .warnings
            .is_empty()
    );
    assert_eq!(staged.machine.record().settings_missing, None);
}

#[test]
fn another_account_has_none_of_it() {
    let mut staged = online();
    staged.live(Input::Link(restricted()));
    staged.live(Row::SettingsMissing.input());
    staged.live(Input::Link(LinkEvent::Paired(account(2))));
    let status = staged.machine.status();
    assert_eq!((status.restrictions.len(), status.warnings.len()), (0, 0));
}

// ---- showing up ------------------------------------------------------------------------------------

fn shows_up(effects: &[Effect]) -> usize {
    let shows = |effect: &&Effect| **effect == Effect::ShowUp;
    effects.iter().filter(shows).count()
}

#[test]
fn the_device_shows_up_once_a_day_and_not_more_often_by_reconnecting() {
    let mut staged = online();
    let effects = pass_days(&mut staged, 10);
    let times = shows_up(&effects);
    assert!((10..=11).contains(&times), "{times} times");
    // A link that is lost every hour, and a restart every day.
    let mut times = 0;
    for _ in 0..3 {
        staged = Staged {
            now: staged.now,
            ..again(staged.machine.record().clone())
        };
        for _ in 0..24 {
            times +=
                shows_up(&staged.live(ended(Verdict::Retry(Cause::ConnectionLost, Pace::AtOnce))));
            staged.live(Input::Link(LinkEvent::Stage(Stage::Sync)));
            staged.live(Input::Link(LinkEvent::Online(account(1))));
            staged.pass(3600);
            times += shows_up(&staged.live(Input::Due));
        }
    }
    assert!((2..=4).contains(&times), "{times} times in three days");
}

#[test]
fn an_available_session_need_not_show_up() {
    let mut staged = online();
    staged.settings.presence = Presence::Available;
    assert_eq!(shows_up(&pass_days(&mut staged, 3)), 0);
    staged.settings.presence = Presence::Unavailable;
    assert_eq!(shows_up(&staged.live(Input::Due)), 1);
    let mut record = stored();
    // The clock was set back since.
    record.showed_up = Some(after(start(), Duration::from_secs(30 * DAY)));
    let mut staged = again(record);
    assert_eq!(shows_up(&pass_days(&mut staged, 1)), 1);
}

#[test]
fn a_session_that_nobody_uses_is_closed_whatever_else_was_due_before() {
    let mut staged = Scene::Online.stage();
    let effects = pass_days(&mut staged, 2);
    assert!(shows_up(&effects) > 0);
    let status = staged.machine.status();
    assert_eq!(
        (status.phase, status.reason),
        (Phase::Disconnected, Some(Cause::Idle))
    );
}
