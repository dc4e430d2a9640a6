//! Whatever waits has an end, and what is due leads somewhere.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Input, LinkState, Machine, Moment};
use super::walk::{Taken, many, walks};
use crate::protocol::Phase;
use crate::session::{Due, Settings};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn what_waits_has_an_end_and_leads_on(walk in walks()) {
        walk.go(|step| {
            leads_on(step.after, step.at, step.settings)?;
            has_an_end(step)?;
            waits(step)?;
            not_by_the_wall_clock(step)
        })?;
    }
}

fn leads_on(machine: &Machine, at: Moment, settings: &Settings) -> TestCaseResult {
    let due = machine.deadline(settings);
    if due == Due::default() {
        return Ok(());
    }
    let at = Moment {
        now: due.wall.map_or(at.now, |time| time.max(at.now)),
        monotonic: due
            .monotonic
            .map_or(at.monotonic, |time| time.max(at.monotonic)),
        jitter: 1.0,
    };
    let mut next = machine.clone();
    let effects = next.step(Input::Due, at, settings);
    prop_assert!(!effects.is_empty(), "nothing at {}", machine.phase);
    // Two things may have been due at once.
    next.step(Input::Due, at, settings);
    let again = next.deadline(settings);
    let later = again.monotonic.is_none_or(|time| time > at.monotonic)
        && again.wall.is_none_or(|time| time > at.now);
    prop_assert!(later, "it spins at {}", next.phase);
    Ok(())
}

fn has_an_end(step: &Taken<'_>) -> TestCaseResult {
    let (after, due) = (step.after, step.after.deadline(step.settings));
    if after.is_stopping() {
        return Ok(());
    }
    if after.phase == Phase::Held && after.paired {
        let ends = after.restriction_ends_at().into_iter();
        let earliest = ends.chain(after.status().held_until).min();
        prop_assert_eq!(due.wall, earliest);
    }
    let timed = due.monotonic.is_some();
    match after.phase {
        Phase::BackingOff => prop_assert!(timed || after.looking),
        Phase::PurgeFailed | Phase::LoggingOut | Phase::AwaitingScan | Phase::AwaitingCode => {
            prop_assert!(timed);
        }
        Phase::Held => prop_assert!(due.wall.is_some()),
        Phase::StoreCorrupt | Phase::Unknown(_) => {}
        Phase::Connecting | Phase::Online | Phase::Parked | Phase::Disconnected => {
            // Services do not accumulate: a pairing ends by itself wherever it is.
            prop_assert!(after.paired || timed);
            let opening = matches!(after.link, LinkState::Opening | LinkState::Closing);
            let dials = after.phase == Phase::Connecting && !opening;
            prop_assert!(!dials || timed);
        }
    }
    Ok(())
}

/// What is not due changes nothing.
fn waits(step: &Taken<'_>) -> TestCaseResult {
    let due = step.before.deadline(step.settings);
    let early = due.monotonic.is_none_or(|time| time > step.at.monotonic)
        && due.wall.is_none_or(|time| time > step.at.now);
    if step.is_due() && early {
        prop_assert_eq!(step.before, step.after);
        prop_assert!(step.effects.is_empty());
    }
    Ok(())
}

/// A clock that is set, forward or back, makes nothing due but what is stated in the time of day: the
/// end of a ban or of a restriction, how long nobody used it, and how long the phone has been silent.
fn not_by_the_wall_clock(step: &Taken<'_>) -> TestCaseResult {
    let due = step.before.deadline(step.settings);
    let restricted = step.before.restriction_ends_at().is_some();
    let stated = restricted || matches!(step.before.phase, Phase::Held | Phase::Online);
    prop_assert!(due.wall.is_none() || stated);
    let early = due.monotonic.is_none_or(|time| time > step.at.monotonic);
    if step.is_due() && early && !stated {
        prop_assert_eq!(step.before, step.after);
    }
    Ok(())
}
