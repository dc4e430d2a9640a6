//! What wipes, and that nothing else does.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Exit, Input, Origin, Pairing};
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, Phase, Unlink};
use crate::session::{OnConflict, OnLocked};
use crate::whatsapp::{LinkEvent, Verdict};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn only_the_closed_list_wipes_and_only_once(walk in walks()) {
        let (begun, _) = walk.begin();
        let abandoned = walk.origin == Origin::Stored { paired: false };
        prop_assert_eq!(begun.phase == Phase::LoggingOut, abandoned);
        prop_assert_eq!(begun.intent().is_some(), abandoned);
        let mut removing = false;
        walk.go(|step| {
            decides(step)?;
            stands(step)?;
            one_removal_at_a_time(step, &mut removing)?;
            keeps_the_pairing(step)
        })?;
    }
}

/// Every cause that may wipe here; `None`: nothing does.
fn allowed(step: &Taken<'_>) -> Option<Cause> {
    let pairing = !step.before.paired;
    let is_over = || {
        let end = step.before.pairing.as_ref().map(Pairing::ends_at);
        end.is_some_and(|end| end <= step.at.monotonic)
    };
    let passkey = step.before.passkey().is_some();
    let had_all_codes = || {
        let pairing = step.before.pairing.as_ref();
        pairing.is_some_and(Pairing::has_had_all_codes)
    };
    // Its last trouble, where it had one.
    let expired = || {
        let pairing = step.before.pairing.as_ref();
        pairing.map_or(Cause::PairingExpired, |pairing| pairing.expired().0)
    };
    let is_last = |request| request == step.before.last_code;
    match step.input {
        Input::ForceLogout { .. } => Some(Cause::ForceLogout),
        // WhatsApp binds the passkey to the connection.
        Input::Link(LinkEvent::Ended(_)) | Input::Unavailable(_) if passkey => {
            Some(Cause::PasskeyRequired)
        }
        Input::Disconnect { .. } => pairing.then_some(Cause::PairingAbandoned),
        Input::Link(LinkEvent::Ended(ending)) => match ending.verdict {
            Verdict::Wipe(cause, _) => Some(cause),
            // A session that was never paired has no account, and a lock is old only after many answers.
            Verdict::Locked if logs_out_when_locked(step) => Some(Cause::AccountLocked),
            Verdict::Conflict if step.settings.on_conflict == OnConflict::Logout => {
                Some(Cause::Replaced)
            }
            Verdict::Retry(cause, _) if is_over() || had_all_codes() => Some(cause),
            _ => None,
        },
        Input::Link(LinkEvent::Paired(account) | LinkEvent::Online(account)) => {
            let expected = step.before.record.expect.as_ref();
            let other = expected.is_some_and(|phone| phone.to_string() != account.phone);
            (other && pairing).then_some(Cause::WrongAccount)
        }
        Input::Link(LinkEvent::QrExhausted) => pairing.then(expired),
        Input::Link(LinkEvent::PairCodeRefused(request, why)) if is_last(*request) => {
            let cause = if why.rate_limited {
                Cause::RateLimited
            } else {
                Cause::Refused(None)
            };
            pairing.then_some(cause)
        }
        Input::Link(
            LinkEvent::ReadyForPairCode | LinkEvent::PairCodeStale | LinkEvent::Qr { .. },
        ) => had_all_codes().then(expired),
        Input::Due if step.before.phase == Phase::AwaitingCode || is_over() => Some(expired()),
        // What was stuck was the last try.
        Input::Due => had_all_codes().then_some(Cause::Stuck),
        Input::Unavailable(_) => (is_over() || had_all_codes()).then_some(Cause::StoreFailed),
        // It has begun anew too often.
        Input::Link(LinkEvent::Passkey(_)) | Input::PasskeyAnswered(..) => {
            passkey.then_some(Cause::PasskeyRequired)
        }
        // Half an identity is never logged in with: what was read is a pairing that nobody finished.
        Input::Looked(_) => Some(Cause::PairingAbandoned),
        _ => None,
    }
}

fn logs_out_when_locked(step: &Taken<'_>) -> bool {
    step.settings.on_locked == OnLocked::Logout || !step.before.paired
}

fn decides(step: &Taken<'_>) -> TestCaseResult {
    let (before, after) = (step.before.intent(), step.after.intent());
    let (None, Some(decided)) = (before, after) else {
        return Ok(());
    };
    prop_assert_eq!(step.after.phase, Phase::LoggingOut);
    prop_assert_eq!(Some(decided.cause), allowed(step));
    // The device is unlinked at WhatsApp where somebody asks for it, and where it is another account's than
    // the one that is expected; and only what may be an account's.
    let unlinks = step
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Unlink { paired: true, .. }));
    let asked = decided.cause == Cause::ForceLogout && step.before.paired;
    let wrong = decided.cause == Cause::WrongAccount;
    prop_assert_eq!(unlinks, asked || wrong);
    let expected = match (decided.cause, step.input) {
        (Cause::Replaced, Input::Link(_)) => Unlink::NotAsked,
        (Cause::ForceLogout | Cause::WrongAccount, _) if unlinks => Unlink::Unreachable,
        (Cause::AccountLocked, _) if step.before.paired => Unlink::NotKnown,
        (Cause::PasskeyRequired, _) => Unlink::NotLinked,
        (_, Input::Link(LinkEvent::Ended(ending))) => match ending.verdict {
            Verdict::Wipe(_, known) => known,
            _ => Unlink::NotLinked,
        },
        _ => Unlink::NotLinked,
    };
    prop_assert_eq!(decided.unlink, expected);
    // The token that WhatsApp sent once is not lost with the session.
    let lock = step.before.record.lock.as_ref();
    if lock.is_some_and(|lock| lock.appeal_token.is_some()) {
        prop_assert!(decided.appeal_token.is_some());
    }
    Ok(())
}

/// A decided logout stands, and only its removal ends it.
fn stands(step: &Taken<'_>) -> TestCaseResult {
    let going = |phase| matches!(phase, Phase::LoggingOut | Phase::PurgeFailed);
    prop_assert_eq!(going(step.after.phase), step.after.intent().is_some());
    if let Some(intent) = step.after.intent() {
        prop_assert_eq!(step.after.reason, Some(intent.cause));
    }
    if let Some(before) = step.before.intent() {
        let after = step.after.intent().map(|intent| intent.cause);
        prop_assert_eq!(after, Some(before.cause));
        prop_assert_eq!(&step.after.record, &step.before.record);
    }
    let gone = step
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::End(Exit::LoggedOut(_))));
    let removed = matches!(step.input, Input::Removed(Ok(_)));
    prop_assert_eq!(gone, removed && step.before.intent().is_some());
    Ok(())
}

/// Files are removed when nothing of the link runs, and never twice at once.
fn one_removal_at_a_time(step: &Taken<'_>, removing: &mut bool) -> TestCaseResult {
    if matches!(step.input, Input::Removed(_)) {
        *removing = false;
    }
    for effect in step.effects {
        match effect {
            Effect::Remove(_) => {
                prop_assert!(!*removing, "a second removal");
                // Not after the result of an earlier close, which was to close politely.
                let closed = Input::Closed(step.after.last_close, Ok(()));
                prop_assert_eq!(step.input, &closed);
                *removing = true;
            }
            Effect::Save(_) => prop_assert!(!*removing, "a write into what is removed"),
            Effect::OpenLink(_) => prop_assert!(!*removing, "a link on what is removed"),
            _ => {}
        }
    }
    Ok(())
}

/// A pairing that succeeded is never taken back, and one that did not is under way.
fn keeps_the_pairing(step: &Taken<'_>) -> TestCaseResult {
    let going = step.after.intent().is_some();
    let read = matches!(step.input, Input::Looked(_));
    prop_assert!(step.after.paired || !step.before.paired || read);
    prop_assert!(step.after.paired || going || step.after.pairing.is_some());
    prop_assert!(!step.after.paired || step.after.pairing.is_none());
    Ok(())
}
