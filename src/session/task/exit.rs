//! How a session's task ends: by a logout, by a stop, or by force.

use super::super::command::SessionCommand;
use super::super::machine::Exit;
use super::{Ended, Outcome, Task};

impl Task {
    pub(super) fn leave(mut self, exit: Exit) -> Outcome {
        let mut left: Vec<_> = std::mem::take(&mut self.asked).into_values().collect();
        left.extend(self.context.drain());
        let Exit::LoggedOut(entry) = exit else {
            let ended = match exit {
                Exit::NothingOnDisk => Ended::NothingOnDisk,
                Exit::Stopped | Exit::LoggedOut(_) => Ended::Stopped,
            };
            return Outcome { ended, left };
        };
        let (mut waiters, mut stopped, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for command in left {
            match command {
                // Twice at once: both asked for the same, and it is done.
                SessionCommand::ForceLogout { reply, .. } => waiters.push(reply),
                SessionCommand::Disconnect { reply, .. } => stopped.push(reply),
                other => later.push(other),
            }
        }
        Outcome {
            ended: Ended::LoggedOut {
                entry,
                waiters,
                stopped,
            },
            left: later,
        }
    }
}

impl Drop for Task {
    /// A task that is ended by force, or panics, closes nothing. What it was opening is given up; its
    /// link, dropped after this, is cut. Whoever comes after waits until nothing of them is left.
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take() {
            opening.give_up();
        }
    }
}
