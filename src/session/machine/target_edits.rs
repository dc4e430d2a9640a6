//! Changes of the target groups. They come one after the other, and each is on the disk before it is in
//! force.

use std::collections::VecDeque;

use super::super::targets::{self, Change};
use super::{Answer, Effect, Machine, Moment, Request};
use crate::protocol::{EventKind, Failure, FailureCode, Group, GroupJid, Phase};

/// How many changes may wait. WhatsApp or a disk may be slow, and a client decides how long each change is.
pub(super) const MOST_EDITS: usize = 16;

/// The changes that were asked for, the first of them under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::session) struct TargetEdits {
    queue: VecDeque<Edit>,
}

#[derive(Debug, Clone, PartialEq)]
struct Edit {
    request: Request,
    change: Change,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Queued,
    /// WhatsApp is asked whether the new ones are the account's groups.
    Asking,
    /// They are being written, with this change of the record.
    Writing {
        targets: Vec<GroupJid>,
        change: u64,
    },
}

impl TargetEdits {
    /// Whoever waits for one of them.
    #[cfg(test)]
    pub(super) fn requests(&self) -> Vec<Request> {
        self.queue.iter().map(|edit| edit.request).collect()
    }

    /// The target groups that are to be in the next record.
    pub(super) fn to_write(&self) -> Option<&Vec<GroupJid>> {
        match &self.queue.front()?.state {
            State::Writing { targets, .. } => Some(targets),
            State::Queued | State::Asking => None,
        }
    }
}

impl Machine {
    pub(super) fn targets_asked(&mut self, request: Request, change: Change) {
        let cannot_tell = self.is_unread() && self.phase == Phase::BackingOff;
        if change == Change::Nothing && cannot_tell {
            let failure = self.cannot_read();
            return self.refuse([request], &failure);
        }
        if change == Change::Nothing {
            let targets = self.record.targets.clone();
            return self.answer(request, Answer::Targets(targets));
        }
        if self.phase == Phase::LoggingOut {
            // A change concerns the user, so the supervisor carries it out after the logout.
            return self.waiting.removal.push(request);
        }
        if self.edits.queue.len() >= MOST_EDITS {
            let message = format!(
                "{MOST_EDITS} changes of the target groups of {} wait already: WhatsApp or a disk does not answer. Nothing was changed, try again later",
                self.user
            );
            let failure = Failure::new(FailureCode::QuotaExceeded, message);
            return self.refuse([request], &failure);
        }
        self.edits.queue.push_back(Edit {
            request,
            change,
            state: State::Queued,
        });
        self.next_edit();
    }

    /// Begins the first of the changes that wait.
    fn next_edit(&mut self) {
        while let Some(edit) = self.edits.queue.front() {
            if edit.state != State::Queued {
                return;
            }
            if let Some(failure) = self.cannot_change() {
                self.refuse_edit(&failure);
                continue;
            }
            if edit.change.newcomers(&self.record.targets).is_empty() {
                self.write_edit();
            } else if self.can_ask() {
                self.effects.push(Effect::AskGroups(edit.request));
                self.set_edit(State::Asking);
            } else {
                let therefore = "whether the groups are its account's cannot be asked";
                let failure = self.not_online(therefore);
                self.refuse_edit(&failure);
            }
        }
    }

    /// Whether the new target groups of the change under way are the account's.
    pub(super) fn check_edit(&mut self, request: Request, groups: Result<Vec<Group>, Failure>) {
        let asking = |edit: &&Edit| edit.request == request && edit.state == State::Asking;
        let Some(edit) = self.edits.queue.front().filter(asking) else {
            return;
        };
        // The session may have changed while WhatsApp was asked.
        let newcomers = edit.change.newcomers(&self.record.targets);
        let allowed = match self.cannot_change() {
            Some(failure) => Err(failure),
            None => groups.and_then(|groups| targets::check(&newcomers, &groups)),
        };
        match allowed {
            Ok(()) => self.write_edit(),
            Err(failure) => self.refuse_edit(&failure),
        }
        self.next_edit();
    }

    /// Writes the change to the disk first. So a change that was answered survives a crash, and a failed
    /// write changes nothing.
    fn write_edit(&mut self) {
        let Some(edit) = self.edits.queue.front() else {
            return;
        };
        match edit.change.apply(&self.record.targets) {
            Ok(targets) if targets == self.record.targets => self.finish_edit(),
            Ok(targets) => {
                let change = self.saving.next();
                self.set_edit(State::Writing { targets, change });
                self.save();
            }
            Err(failure) => self.refuse_edit(&failure),
        }
    }

    /// Finishes the change that was in a write, when the write has ended.
    pub(super) fn edit_saved(&mut self, written: u64, at: Moment) {
        let Some(edit) = self.edits.queue.front() else {
            return;
        };
        let State::Writing { targets, change } = &edit.state else {
            return;
        };
        if self.saving.has_written(*change) {
            self.record.targets.clone_from(targets);
            self.touch(at);
            self.publish(EventKind::Targets);
            self.finish_edit();
        } else if written >= *change
            && let Some(failure) = self.save_failure()
        {
            self.refuse_edit(&failure);
        }
        self.next_edit();
    }

    /// Leaves the changes that wait to the time after the logout: they concern the user.
    pub(super) fn leave_edits(&mut self) {
        let left = self.edits.queue.drain(..).map(|edit| edit.request);
        self.waiting.removal.extend(left);
    }

    fn finish_edit(&mut self) {
        if let Some(edit) = self.edits.queue.pop_front() {
            let targets = self.record.targets.clone();
            self.answer(edit.request, Answer::Targets(targets));
        }
    }

    fn refuse_edit(&mut self, failure: &Failure) {
        let edit = self.edits.queue.pop_front();
        self.refuse(edit.map(|edit| edit.request), failure);
    }

    fn set_edit(&mut self, state: State) {
        if let Some(edit) = self.edits.queue.front_mut() {
            edit.state = state;
        }
    }
}
