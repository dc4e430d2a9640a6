//! Commands that are answered without a session's task.

use super::Shared;
use super::caller::Caller;
use crate::protocol::{Failure, FailureCode, UserId};
use crate::session::{SessionCommand, SessionContext};

/// The failure for a user without a session, with how the last one ended.
pub(super) fn not_found(shared: &Shared, user: &UserId, caller: Caller) -> Failure {
    let message = format!("{user} has no session. `wactl connect {user}` begins one");
    let mut failure = Failure::new(FailureCode::NotFound, message);
    let history = shared.history.read();
    let last = history.last_of(user, |owner| caller.may_see(owner));
    failure.last_logout = last.cloned().map(Box::new);
    failure
}

/// Answers a command with a failure.
pub(super) fn refuse(command: SessionCommand, failure: &Failure) {
    let failure = failure.clone();
    match command {
        SessionCommand::Connect { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Disconnect { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::ForceLogout { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Groups { reply } => drop(reply.send(Err(failure))),
        SessionCommand::Targets { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Panic => {}
    }
}

pub(super) fn refuse_all(mut context: SessionContext, failure: &Failure) {
    for command in context.drain() {
        refuse(command, failure);
    }
}
