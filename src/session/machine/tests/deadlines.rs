//! Whatever waits has an end, and what is due leads somewhere.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Input, Machine, Moment};
use super::walk::{Taken, many, walks};
use crate::protocol::Phase;
use crate::session::Settings;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn what_waits_has_an_end_and_leads_on(walk in walks()) {
        let (begun, _) = walk.begin();
        leads_on(&begun, begun.since, &walk.settings)?;
        walk.go(|step| {
            leads_on(step.after, step.at.now, step.settings)?;
            has_an_end(step)?;
            waits(step)
        })?;
    }
}

fn leads_on(machine: &Machine, now: jiff::Timestamp, settings: &Settings) -> TestCaseResult {
    let Some(due) = machine.deadline(settings) else {
        return Ok(());
    };
    let now = due.max(now);
    let mut next = machine.clone();
    let effects = next.step(Input::Due, Moment { now, dice: 1.0 }, settings);
    prop_assert!(!effects.is_empty());
    let again = next.deadline(settings);
    prop_assert!(
        again.is_none_or(|again| again > now),
        "it spins at {}",
        next.phase
    );
    Ok(())
}

fn has_an_end(step: &Taken<'_>) -> TestCaseResult {
    let due = step.after.deadline(step.settings);
    if step.after.phase == Phase::Held && step.after.paired {
        prop_assert_eq!(due, step.after.status().held_until);
    }
    match step.after.phase {
        Phase::BackingOff
        | Phase::Held
        | Phase::PurgeFailed
        | Phase::AwaitingScan
        | Phase::AwaitingCode => prop_assert!(due.is_some()),
        Phase::LoggingOut | Phase::StoreCorrupt | Phase::Unknown(_) => prop_assert_eq!(due, None),
        // Whatever waits for a person is left alone, and what WhatsApp holds is until then.
        Phase::Parked | Phase::Disconnected if step.after.paired => prop_assert_eq!(due, None),
        Phase::Connecting | Phase::Online | Phase::Parked | Phase::Disconnected => {
            // Services do not accumulate: a pairing ends by itself wherever it is.
            prop_assert!(step.after.paired || due.is_some());
        }
    }
    Ok(())
}

/// What is not due changes nothing.
fn waits(step: &Taken<'_>) -> TestCaseResult {
    let due = step.before.deadline(step.settings);
    if step.is_due() && due.is_none_or(|due| due > step.at.now) {
        prop_assert_eq!(step.before, step.after);
        prop_assert!(step.effects.is_empty());
    }
    Ok(())
}
