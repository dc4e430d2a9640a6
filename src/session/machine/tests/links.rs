//! One link at a time, and none where a session must not connect by itself.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Input, Machine};
use super::walk::{Taken, many, walks};
use crate::protocol::Phase;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn one_link_at_a_time_and_none_where_it_must_not_be(walk in walks()) {
        let (begun, first) = walk.begin();
        let mut ledger = Ledger::default();
        ledger.note(&first)?;
        ledger.agrees(&begun)?;
        walk.go(|step| {
            // What could not be opened is not open.
            if step.after.phase == Phase::StoreCorrupt && matches!(step.input, Input::Unusable(_)) {
                ledger.open = false;
            }
            ledger.note(step.effects)?;
            ledger.agrees(step.after)?;
            connects(step)?;
            says_nothing(step)
        })?;
    }
}

/// Whether the task has a link, by what it was told to do.
#[derive(Default)]
struct Ledger {
    open: bool,
}

impl Ledger {
    fn note(&mut self, effects: &[Effect]) -> TestCaseResult {
        for effect in effects {
            match effect {
                Effect::OpenLink => {
                    prop_assert!(!self.open, "a second link");
                    self.open = true;
                }
                Effect::CloseLink | Effect::Purge { .. } => self.open = false,
                Effect::AskPairCode(_) => prop_assert!(self.open, "nobody to ask"),
                Effect::Save | Effect::Publish(_) | Effect::PairCodeRefused { .. } => {}
            }
        }
        Ok(())
    }

    fn agrees(&self, machine: &Machine) -> TestCaseResult {
        prop_assert_eq!(self.open, has_link(machine.phase), "{}", machine.phase);
        Ok(())
    }
}

fn has_link(phase: Phase) -> bool {
    match phase {
        Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode | Phase::Online => true,
        Phase::BackingOff
        | Phase::Held
        | Phase::Parked
        | Phase::Disconnected
        | Phase::LoggingOut
        | Phase::PurgeFailed
        | Phase::StoreCorrupt
        | Phase::Unknown(_) => false,
    }
}

fn connects(step: &Taken<'_>) -> TestCaseResult {
    if !step.has(&Effect::OpenLink) {
        return Ok(());
    }
    let over = |end: Option<jiff::Timestamp>| end.is_some_and(|end| end <= step.at.now);
    match step.before.phase {
        Phase::Parked | Phase::Disconnected | Phase::StoreCorrupt => {
            prop_assert!(step.is_connect());
        }
        Phase::Held => {
            prop_assert!(step.is_connect() || step.is_due());
            prop_assert!(over(step.before.status().held_until), "before its end");
        }
        Phase::BackingOff => {
            prop_assert!(step.is_connect() || (step.is_due() && over(step.before.retry_at)));
        }
        Phase::LoggingOut | Phase::PurgeFailed => prop_assert!(false, "it is going"),
        // A link that ended is followed by another one at once, at most once in a row.
        _ => prop_assert!(step.effects.starts_with(&[Effect::CloseLink])),
    }
    Ok(())
}

/// A link that was closed counts for nothing, whatever it still says.
fn says_nothing(step: &Taken<'_>) -> TestCaseResult {
    let of_link = matches!(
        step.input,
        Input::Link(_) | Input::Unusable(_) | Input::Unavailable(_)
    );
    if of_link && !has_link(step.before.phase) {
        prop_assert_eq!(step.before, step.after);
        prop_assert!(step.effects.is_empty());
    }
    Ok(())
}
