//! How a session's task ends: by a logout, by a stop, or by force.

use super::super::command::SessionCommand;
use super::super::machine::Exit;
use super::{Outcome, SessionEnd, Task};
use crate::protocol::Cause;

impl Task {
    pub(super) fn leave(mut self, exit: Exit) -> Outcome {
        let mut left: Vec<_> = std::mem::take(&mut self.asked).into_values().collect();
        let entry = match exit {
            Exit::LoggedOut(entry) => entry,
            Exit::Stopped => {
                left.extend(self.context.drain());
                let ended = SessionEnd::Stopped;
                return Outcome { ended, left };
            }
            Exit::NothingOnDisk => {
                let ended = SessionEnd::NothingOnDisk(Box::new(self.context));
                return Outcome { ended, left };
            }
        };
        left.extend(self.context.drain());
        let (mut waiters, mut stopped, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for command in left {
            match command {
                // Several commands asked for the same logout, and it is done.
                SessionCommand::ForceLogout { reply, .. } => waiters.push(reply),
                // The pairing had nothing to keep. A `disconnect` that came into another logout concerns the
                // session that is there now.
                SessionCommand::Disconnect { reply, .. }
                    if matches!(
                        entry.cause,
                        Cause::PairingAbandoned | Cause::PasskeyRequired
                    ) =>
                {
                    stopped.push(reply);
                }
                other => later.push(other),
            }
        }
        Outcome {
            ended: SessionEnd::LoggedOut {
                entry,
                waiters,
                stopped,
            },
            left: later,
        }
    }
}
