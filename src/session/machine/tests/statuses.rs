//! What everybody sees is one piece, never late, and holds no secret where none belongs.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::{Effect, Machine};
use super::input::{CHALLENGE, CODE, PASSKEY_CODE, QR};
use super::walk::{Taken, many, walks};
use crate::protocol::{Cause, EventKind, Phase, Status};

proptest! {
    #![proptest_config(many())]

    #[test]
    fn a_status_is_one_piece_and_told_in_time(walk in walks()) {
        fits(&walk.begin().0.status())?;
        walk.go(|step| {
            fits(&step.after.status())?;
            told(step)?;
            secret(step.after)
        })?;
    }
}

fn fits(status: &Status) -> TestCaseResult {
    let is = |phase| status.phase == phase;
    let passkey = status.passkey.is_some();
    prop_assert_eq!(status.qr.is_some(), is(Phase::AwaitingScan) && !passkey);
    prop_assert_eq!(
        status.pair_code.is_some(),
        is(Phase::AwaitingCode) && !passkey
    );
    if passkey {
        prop_assert!(is(Phase::AwaitingScan) || is(Phase::AwaitingCode));
        prop_assert_eq!(status.reason, Some(Cause::PasskeyRequired));
    }
    prop_assert_eq!(status.connecting.is_some(), is(Phase::Connecting));
    prop_assert_eq!(status.held_until.is_some(), is(Phase::Held));
    let retries = is(Phase::BackingOff) || is(Phase::PurgeFailed);
    prop_assert_eq!(status.retry_at.is_some(), retries);
    prop_assert!(status.connecting.is_none_or(|c| c.attempt >= 1));
    prop_assert!(!status.next_action.is_empty());

    let waits = retries || is(Phase::Held) || is(Phase::Parked);
    if waits || is(Phase::LoggingOut) {
        prop_assert!(status.reason.is_some());
    } else if !is(Phase::Disconnected) && !passkey {
        prop_assert_eq!(status.reason, None);
    }
    if waits || is(Phase::StoreCorrupt) {
        prop_assert!(status.error.is_some());
    }
    Ok(())
}

/// Every change of phase is published, each with the status of its own moment, the last with what
/// follows from the state.
fn told(step: &Taken<'_>) -> TestCaseResult {
    let mut published = step.effects.iter().filter_map(|effect| match effect {
        Effect::Publish(kind, status) => Some((kind, status)),
        _ => None,
    });
    for (kind, status) in published.clone() {
        fits(status)?;
        // These two are for when nothing is left, which a machine cannot know.
        prop_assert!(kind.ended().is_none());
    }
    let last = published.next_back();
    if let Some((_, status)) = last {
        prop_assert_eq!(&**status, &step.after.status());
    }
    if step.before.phase != step.after.phase {
        let named = last.is_some_and(|(kind, _)| names(kind, step.after.phase));
        prop_assert!(named, "{:?} for {}", last, step.after.phase);
    }
    Ok(())
}

fn names(kind: &EventKind, phase: Phase) -> bool {
    match phase {
        Phase::Connecting => matches!(kind, EventKind::Connecting | EventKind::Paired),
        Phase::AwaitingScan => matches!(kind, EventKind::Qr | EventKind::Passkey),
        Phase::AwaitingCode => matches!(kind, EventKind::PairCode | EventKind::Passkey),
        other => kind.as_str() == other.as_str(),
    }
}

/// A code is in the full status only.
fn secret(machine: &Machine) -> TestCaseResult {
    let status = machine.status();
    let open = |text: &str| {
        let secrets = [QR, CODE, PASSKEY_CODE];
        secrets.iter().any(|secret| text.contains(secret))
    };
    let logged = format!("{machine:?} {status:?}");
    prop_assert!(!open(&logged) && !logged.contains(CHALLENGE));
    let shown = serde_json::to_string(&status).expect("JSON");
    prop_assert!(
        !shown.contains(CHALLENGE),
        "it is only told to who fetches it"
    );
    let compared = status.passkey.as_ref().is_some_and(|p| p.code.is_some());
    if status.qr.is_none() && status.pair_code.is_none() && !compared {
        return Ok(());
    }
    prop_assert!(open(&shown));
    let listed = serde_json::to_string(&status.without_secrets()).expect("JSON");
    prop_assert!(!open(&listed));
    Ok(())
}
