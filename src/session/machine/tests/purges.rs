//! What wipes, and that nothing else does.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Input, Origin, Pairing};
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, Phase, Unlink};
use crate::session::OnConflict;
use crate::whatsapp::{LinkEvent, Verdict};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn only_the_closed_list_wipes_and_only_once(walk in walks()) {
        let (begun, first) = walk.begin();
        let abandoned = walk.origin == Origin::Stored { paired: false };
        prop_assert_eq!(first.contains(&Effect::Purge { unlink: false }), abandoned);
        prop_assert_eq!(begun.phase == Phase::LoggingOut, abandoned);
        walk.go(|step| {
            purges(step)?;
            stands(step)?;
            keeps_the_pairing(step)
        })?;
    }
}

/// Every cause that may wipe here; `None`: nothing does.
fn allowed(step: &Taken<'_>) -> Option<Cause> {
    let pairing = !step.before.paired;
    let is_over = || {
        let end = step.before.pairing.as_ref().map(Pairing::ends_at);
        end.is_some_and(|end| end <= step.at.now)
    };
    match step.input {
        Input::ForceLogout { .. } => Some(Cause::ForceLogout),
        Input::Disconnect { .. } => pairing.then_some(Cause::PairingAbandoned),
        Input::Link(LinkEvent::Ended(ending)) => match ending.verdict {
            Verdict::Wipe(cause) => Some(cause),
            Verdict::Conflict if step.settings.on_conflict == OnConflict::Logout => {
                Some(Cause::Replaced)
            }
            Verdict::Retry(..) if is_over() => Some(Cause::PairingExpired),
            _ => None,
        },
        Input::Link(LinkEvent::QrExhausted) => pairing.then_some(Cause::PairingExpired),
        Input::Link(LinkEvent::PairCodeRefused(why)) if why.rate_limited => {
            pairing.then_some(Cause::RateLimited)
        }
        Input::Link(LinkEvent::PairCodeRefused(_)) => pairing.then_some(Cause::Refused(None)),
        Input::Due if step.before.phase == Phase::AwaitingCode => Some(Cause::PairingExpired),
        Input::Due | Input::Unavailable(_) if is_over() => Some(Cause::PairingExpired),
        _ => None,
    }
}

fn purges(step: &Taken<'_>) -> TestCaseResult {
    let purges: Vec<bool> = step
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Purge { unlink } => Some(*unlink),
            _ => None,
        })
        .collect();
    prop_assert!(purges.len() <= 1);
    prop_assert_eq!(
        step.after.phase == Phase::LoggingOut && step.before.phase != Phase::LoggingOut,
        purges.len() == 1
    );
    let Some(&unlink) = purges.first() else {
        return Ok(());
    };
    prop_assert!(
        matches!(step.effects.last(), Some(Effect::Purge { .. })),
        "nothing is done after it"
    );
    if step.before.phase == Phase::PurgeFailed {
        let retries = step.is_connect()
            || step.is_due()
            || matches!(
                step.input,
                Input::Disconnect { .. } | Input::ForceLogout { .. }
            );
        prop_assert!(retries && !unlink);
        return Ok(());
    }
    let cause = step.after.intent.as_ref().map(|intent| intent.cause);
    prop_assert!(cause.is_some());
    prop_assert_eq!(cause, allowed(step));
    // Only who asks for it has the device unlinked at WhatsApp, and only what may be an account's.
    let asked = cause == Some(Cause::ForceLogout);
    let linked = step.before.paired || step.before.phase == Phase::StoreCorrupt;
    prop_assert_eq!(unlink, asked && linked);
    let told = step.after.intent.as_ref().map(|intent| intent.unlink);
    let expected = match cause {
        Some(Cause::Replaced) => Unlink::NotAsked,
        Some(Cause::ForceLogout) if unlink => Unlink::Unreachable,
        _ => Unlink::NotLinked,
    };
    prop_assert_eq!(told, Some(expected));
    Ok(())
}

/// A decided logout stands.
fn stands(step: &Taken<'_>) -> TestCaseResult {
    let going = |phase| matches!(phase, Phase::LoggingOut | Phase::PurgeFailed);
    prop_assert_eq!(going(step.after.phase), step.after.intent.is_some());
    let cause = step.after.intent.as_ref().map(|intent| intent.cause);
    if going(step.after.phase) {
        prop_assert_eq!(step.after.reason, cause);
    }
    if !going(step.before.phase) {
        return Ok(());
    }
    prop_assert!(going(step.after.phase));
    prop_assert_eq!(&step.after.intent, &step.before.intent);
    prop_assert_eq!(&step.after.record, &step.before.record);
    let failed = matches!(step.input, Input::PurgeFailed(_));
    if step.before.phase == Phase::LoggingOut && !failed {
        prop_assert!(step.effects.is_empty());
        prop_assert_eq!(step.after, step.before);
    }
    Ok(())
}

/// A pairing that succeeded is never taken back, and one that did not is under way.
fn keeps_the_pairing(step: &Taken<'_>) -> TestCaseResult {
    let going = matches!(step.after.phase, Phase::LoggingOut | Phase::PurgeFailed);
    prop_assert!(step.after.paired || !step.before.paired);
    prop_assert!(step.after.paired || going || step.after.pairing.is_some());
    prop_assert!(!step.after.paired || step.after.pairing.is_none());
    Ok(())
}
