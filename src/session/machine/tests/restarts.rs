//! What a restart of the daemon, or of the task, finds: where it was left is where it goes on.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Machine, Moment, Origin};
use super::scene::user;
use super::walk::{Taken, many, walks};
use crate::protocol::Phase;
use crate::store::{Desired, Record};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn a_restart_goes_on_where_it_was_left(walk in walks()) {
        let mut disk = walk.record.clone();
        walk.go(|step| {
            if step.has(&Effect::Save) {
                disk = step.after.record.clone();
            }
            written(&disk, step)?;
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
    let going = matches!(
        machine.phase,
        Phase::LoggingOut | Phase::PurgeFailed | Phase::StoreCorrupt
    );
    let down = machine.record.desired == Desired::Down;
    prop_assert!(!down || going || machine.phase == Phase::Disconnected);
    prop_assert!(machine.record.hold.is_none() || going || still);
    if !machine.paired || going {
        return Ok(());
    }
    let (stored, effects) = again(&machine.record, Origin::Stored { paired: true }, at);
    let over = machine.status().held_until.is_some_and(|end| end <= at.now);
    if !still || over {
        prop_assert_eq!(stored.phase, Phase::Connecting);
        return Ok(());
    }
    let failed = Origin::Failed {
        paired: true,
        error: "its task failed".to_owned(),
        retry_at: at.now,
    };
    for (next, effects) in [(stored, effects), again(&machine.record, failed, at)] {
        prop_assert_eq!(next.phase, machine.phase);
        prop_assert!(!effects.contains(&Effect::OpenLink));
        let (before, after) = (machine.status(), next.status());
        prop_assert_eq!(before.held_until, after.held_until);
        if machine.phase != Phase::Disconnected {
            prop_assert_eq!((before.reason, before.error), (after.reason, after.error));
            prop_assert_eq!(before.next_action, after.next_action);
        }
    }
    Ok(())
}

fn again(record: &Record, origin: Origin, at: Moment) -> (Machine, Vec<Effect>) {
    Machine::new(user(), record.clone(), origin, at)
}

fn written(disk: &Record, step: &Taken<'_>) -> TestCaseResult {
    let record = &step.after.record;
    prop_assert_eq!(disk.desired, record.desired);
    prop_assert_eq!(&disk.account, &record.account);
    prop_assert_eq!(&disk.targets, &record.targets);
    // A hold that is over need not be struck out on the disk: it means nothing any more.
    let stands = |record: &Record| {
        let hold = record.hold.clone();
        hold.filter(|hold| hold.until.is_none_or(|until| until > step.at.now))
    };
    prop_assert_eq!(stands(disk), stands(record));
    Ok(())
}
