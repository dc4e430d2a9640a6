//! What a restart of the daemon, or of the task, finds: where it was left is where it goes on.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Machine, Moment, Origin};
use super::scene::user;
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, Phase};
use crate::session::{Past, Settings};
use crate::store::{Desired, Record};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn a_restart_goes_on_where_it_was_left(walk in walks()) {
        walk.go(|step| {
            written(step)?;
            stands_still(step)
        })?;
    }
}

fn stands_still(step: &Taken<'_>) -> TestCaseResult {
    let (machine, at) = (step.after, step.at);
    let still = matches!(
        machine.phase,
        Phase::Held | Phase::Parked | Phase::Disconnected
    );
    let going = machine.intent().is_some() || machine.phase == Phase::StoreCorrupt;
    // Which of two is the copy is found out anew.
    let copied = machine.reason == Some(Cause::CopiedCredentials);
    if !machine.paired || going || machine.unread || copied {
        return Ok(());
    }
    let down = machine.record.desired == Desired::Down;
    prop_assert!(!down || machine.phase == Phase::Disconnected);
    prop_assert!(machine.record.hold.is_none() || still);
    let origin = Origin::Stored { paired: true };
    let (stored, effects) = again(&machine.record, origin, at, step.settings);
    let over = machine.status().held_until.is_some_and(|end| end <= at.now);
    if !still || over {
        prop_assert_eq!(stored.phase, Phase::Connecting);
        return Ok(());
    }
    let failed = Origin::Failed {
        paired: true,
        error: "its task failed".to_owned(),
        wait: Duration::ZERO,
        past: Past::default(),
    };
    let failed = again(&machine.record, failed, at, step.settings);
    for (next, effects) in [(stored, effects), failed] {
        prop_assert_eq!(next.phase, machine.phase);
        let opens = |effect: &Effect| matches!(effect, Effect::OpenLink(_));
        prop_assert!(!effects.iter().any(opens));
        let (before, after) = (machine.status(), next.status());
        prop_assert_eq!(before.held_until, after.held_until);
        if machine.phase != Phase::Disconnected {
            prop_assert_eq!((before.reason, before.error), (after.reason, after.error));
            prop_assert_eq!(before.next_action, after.next_action);
        }
    }
    Ok(())
}

fn again(
    record: &Record,
    origin: Origin,
    at: Moment,
    settings: &Settings,
) -> (Machine, Vec<Effect>) {
    Machine::new(user(), record.clone(), origin, at, settings)
}

/// When no write is under way or due, the disk knows what must survive a restart.
fn written(step: &Taken<'_>) -> TestCaseResult {
    let (record, disk) = (&step.after.record, step.disk);
    let behind = step.after.saving.is_under_way() || step.after.save_failure().is_some();
    let going = step.after.intent().is_some() || step.after.phase == Phase::StoreCorrupt;
    if behind || going || step.after.unread {
        return Ok(());
    }
    prop_assert_eq!(disk.desired, record.desired);
    prop_assert_eq!(&disk.account, &record.account);
    prop_assert_eq!(&disk.targets, &record.targets);
    prop_assert_eq!(&disk.hold, &record.hold);
    prop_assert_eq!(&disk.lock, &record.lock);
    Ok(())
}
