//! What the cases have in common: how they look at the effects of a step.

use std::time::Duration;

use super::super::{Answer, Effect, Request};
use crate::protocol::FailureCode;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn opens(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::OpenLink(_)))
}

pub(super) fn saves(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Save(_)))
}

/// How a request was answered, if it was.
pub(super) fn answered(effects: &[Effect], request: Request) -> Option<Result<(), FailureCode>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer(to, Answer::Refused(failure)) if *to == request => Some(Err(failure.code)),
        Effect::Answer(to, _) if *to == request => Some(Ok(())),
        _ => None,
    })
}
