//! Whatever is asked is answered once, or handed back at the end for whoever comes after.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{Effect, Input, Machine, Request};
use super::walk::{Taken, many, walks};
use crate::protocol::Phase;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn whatever_is_asked_is_answered_once(walk in walks()) {
        let mut open = BTreeSet::new();
        let mut ended = false;
        walk.go(|step| {
            if ended {
                return Ok(());
            }
            open.extend(asked(step));
            for effect in step.effects {
                if let Effect::Answer(request, _) = effect {
                    prop_assert!(open.remove(request), "answered twice, or never asked");
                }
                ended |= matches!(effect, Effect::End(_));
            }
            if !ended {
                let waiting = waiting(step.after);
                prop_assert!(open.is_subset(&waiting), "{:?} of {:?} are lost", open, waiting);
            }
            Ok(())
        })?;
    }
}

fn asked(step: &Taken<'_>) -> Option<Request> {
    match step.input {
        Input::Connect(request, _)
        | Input::Disconnect { request, .. }
        | Input::ForceLogout { request, .. }
        | Input::Groups(request)
        | Input::Passkey(request, _)
        | Input::Targets(request, _)
        | Input::Proxy(request, _) => Some(*request),
        _ => None,
    }
}

/// Everybody who waits for something that has an end.
fn waiting(machine: &Machine) -> BTreeSet<Request> {
    let waiting = &machine.waiting;
    let mut all = machine.edits.requests();
    all.extend(&waiting.code);
    all.extend(&waiting.written);
    all.extend(&waiting.close);
    all.extend(&waiting.proxy);
    all.extend(&waiting.removal);
    all.extend(waiting.look.iter().map(|(request, _)| *request));
    all.extend(&waiting.groups);
    all.extend(&waiting.passkey);
    all.into_iter().collect()
}

proptest! {
    #![proptest_config(many())]

    /// Nobody waits for what is not under way.
    #[test]
    fn whoever_waits_waits_for_something(walk in walks()) {
        let mut ended = false;
        walk.go(|step| {
            ended |= step.effects.iter().any(|effect| matches!(effect, Effect::End(_)));
            if ended {
                return Ok(());
            }
            let after = step.after;
            let waiting = &after.waiting;
            let going = after.phase == Phase::LoggingOut;
            prop_assert!(waiting.removal.is_empty() || going);
            prop_assert!(waiting.look.is_empty() || after.looking);
            let closing = after.link == super::super::LinkState::Closing;
            let writing = after.saving.is_under_way();
            prop_assert!(waiting.written.is_empty() || writing);
            prop_assert!(waiting.proxy.is_empty() || writing);
            prop_assert!(waiting.close.is_empty() || closing || writing);
            Ok(())
        })?;
    }
}
