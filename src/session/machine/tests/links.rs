//! One link at a time, and none where a session must not connect by itself.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Input, LinkState, Machine};
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, Phase};
use crate::session::ProxyChange;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn one_link_at_a_time_and_none_where_it_must_not_be(walk in walks()) {
        let (begun, first) = walk.begin();
        let mut ledger = Ledger::default();
        ledger.note(&first)?;
        ledger.agrees(&begun)?;
        walk.go(|step| {
            ledger.hear(step.input);
            ledger.note(step.effects)?;
            ledger.agrees(step.after)?;
            connects(step)?;
            says_nothing(step)
        })?;
    }
}

/// Which links the task has, by what it was told to do and what came of it.
#[derive(Default)]
struct Ledger {
    open: bool,
    /// Being closed, or given to an unlink.
    closing: usize,
}

impl Ledger {
    fn hear(&mut self, input: &Input) {
        match input {
            Input::Unusable(_) | Input::Unavailable(_) | Input::Copied(_) => self.open = false,
            Input::Closed(..) => self.closing = self.closing.saturating_sub(1),
            _ => {}
        }
    }

    fn note(&mut self, effects: &[Effect]) -> TestCaseResult {
        for effect in effects {
            match effect {
                Effect::OpenLink(_) => {
                    prop_assert!(!self.open && self.closing == 0, "a second link");
                    self.open = true;
                }
                Effect::CloseLink { .. } => {
                    self.open = false;
                    self.closing += 1;
                }
                Effect::Unlink { .. } => self.open = false,
                Effect::AskPairCode(..)
                | Effect::AskGroups(_)
                | Effect::AnswerPasskey(..)
                | Effect::ConfirmPasskey(_) => {
                    prop_assert!(self.open, "nobody to ask");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn agrees(&self, machine: &Machine) -> TestCaseResult {
        let linked = matches!(machine.link, LinkState::Opening | LinkState::Open);
        if machine.intent().is_none() {
            prop_assert_eq!(self.open, linked, "{}", machine.phase);
        }
        if linked && machine.intent().is_none() && !machine.is_stopping() {
            prop_assert!(has_link(machine.phase), "a link in {}", machine.phase);
        }
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
    if !step.opens() {
        return Ok(());
    }
    let over = |end: Option<jiff::Timestamp>| end.is_some_and(|end| end <= step.at.now);
    let due = step
        .before
        .retry_due
        .is_some_and(|due| due <= step.at.monotonic);
    // What was read anew begins anew, and a link that ended is followed by another one.
    if matches!(step.input, Input::Looked(_) | Input::Closed(..)) {
        return Ok(());
    }
    match step.before.phase {
        Phase::Parked | Phase::Disconnected => prop_assert!(step.is_connect()),
        Phase::Held => {
            // A time that the daemon chose itself has an end on the monotonic clock, too, and a person may try.
            let ours = step.before.reason == Some(Cause::AccountLocked);
            prop_assert!(step.is_connect() || step.is_due());
            let ended = over(step.before.status().held_until) || (ours && due);
            prop_assert!(ended || (ours && step.is_connect()), "before its end");
        }
        Phase::BackingOff => {
            let changed = matches!(step.input, Input::Proxy(_, ProxyChange::To(_)));
            let told = *step.input == Input::Reachable;
            prop_assert!(step.is_connect() || (step.is_due() && due) || changed || told);
        }
        other => prop_assert!(false, "from {}", other),
    }
    Ok(())
}

/// A link that is not there, or is being closed, counts for nothing, whatever it still says.
fn says_nothing(step: &Taken<'_>) -> TestCaseResult {
    if matches!(step.input, Input::Link(_)) && !step.before.has_link() {
        prop_assert_eq!(step.before, step.after);
        prop_assert!(step.effects.is_empty());
    }
    Ok(())
}
