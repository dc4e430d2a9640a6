//! Commands that are answered without a session's task.

use crate::protocol::Failure;
use crate::session::{SessionCommand, SessionContext};

/// Answers a command with a failure.
fn refuse(command: SessionCommand, failure: &Failure) {
    let failure = failure.clone();
    match command {
        SessionCommand::Connect { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Disconnect { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::ForceLogout { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Groups { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Passkey { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Targets { reply, .. } => drop(reply.send(Err(failure))),
        SessionCommand::Proxy { reply, .. } => drop(reply.send(Err(failure))),
    }
}

/// Answers all commands that wait with a failure.
pub(super) fn refuse_all(mut context: SessionContext, failure: &Failure) {
    for command in context.drain() {
        refuse(command, failure);
    }
}
