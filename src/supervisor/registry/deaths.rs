//! Deaths: what follows from the end of a session's task.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{Id, JoinError};
use tokio::time::sleep;
use tracing::Instrument;

use super::super::birth::{Birth, TaskExit};
use super::super::history::last_of;
use super::super::narration;
use super::super::refusal::refuse_all;
use super::super::routes::AfterTask;
use super::failed::{
    AFTER_FAILURE, LONGEST_AFTER_FAILURE, count_failure, panic_message, stand_in_status,
    vanished_entry,
};
use super::{Entry, Registry};
use crate::protocol::{EventKind, HistoryEntry, UserId};
use crate::session::{Outcome, SessionCommand, SessionContext, SessionEnd, answer};

impl Registry {
    pub(super) fn joined(&mut self, joined: Result<(Id, TaskExit), JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(e) => e.id(),
        };
        let Some(user) = self.users.remove(&id) else {
            return;
        };
        let Some(entry) = self.sessions.remove(&user) else {
            return;
        };
        match joined {
            Ok((_, TaskExit::Ran(outcome))) => self.ran(&user, &entry, outcome),
            Ok((_, TaskExit::NothingOnDisk(context, end))) => {
                match self.end_of(&user, &entry, end.map(|end| *end)) {
                    Some(end) => self.nothing_on_disk(&user, &entry, context, end),
                    None if self.shared.board.get(&user).is_some() => {
                        self.vanished(user, entry, context);
                    }
                    // The session was never published.
                    None => self.gone(&user, &entry, None),
                }
            }
            Ok((_, TaskExit::CouldNotStart(context, failure))) => {
                narration::not_begun(&user, &failure);
                refuse_all(context, &failure);
                self.gone(&user, &entry, None);
            }
            Err(error) => self.failed(user, entry, error),
        }
    }

    fn ran(&mut self, user: &UserId, entry: &Entry, outcome: Outcome) {
        let SessionEnd::LoggedOut {
            entry: end,
            waiters,
            stopped,
        } = outcome.ended
        else {
            return self.gone(user, entry, None);
        };
        // The announcement comes before the replies: a client that has a reply finds the event in its watch.
        self.announce(&end);
        answer(&end, waiters, stopped);
        // Callers whose commands came too late learn here that the session is gone, and ask again.
        self.gone(user, entry, Some(*end));
    }

    /// Ends a session whose task found nothing on the disk, because an earlier task had failed in the middle
    /// of a logout that was committed. Those who asked for the logout get their replies.
    fn nothing_on_disk(
        &mut self,
        user: &UserId,
        entry: &Entry,
        mut context: SessionContext,
        end: HistoryEntry,
    ) {
        if self.shared.board.get(user).is_some() {
            self.announce(&end);
        }
        for command in context.drain() {
            if let SessionCommand::ForceLogout { reply, .. } = command {
                answer(&end, vec![reply], Vec::new());
            }
        }
        self.gone(user, entry, Some(end));
    }

    fn announce(&self, end: &HistoryEntry) {
        self.shared.board.ended(end);
        narration::ended(end);
    }

    /// Nothing of the session is left, not even its route. This comes after everything else.
    fn gone(&mut self, user: &UserId, entry: &Entry, end: Option<HistoryEntry>) {
        self.quotas.gone(entry.about.owner);
        self.devices.release(user);
        self.shared.works.end(user);
        self.shared.routes.remove(user);
        // The end is set only here, and each task ends once.
        let _ = entry.route.end.set(AfterTask::Gone(end.map(Arc::new)));
    }

    /// The line of a session of which nothing is on the disk: a line that was written since the session began,
    /// or the line of its removal that could not be written yet. `None`: this daemon did not remove it.
    fn end_of(
        &self,
        user: &UserId,
        entry: &Entry,
        unwritten: Option<HistoryEntry>,
    ) -> Option<HistoryEntry> {
        match last_of(&self.shared.history.read(), user, None) {
            Some((id, line)) if Some(&id) != entry.about.last_line.as_ref() => Some(line),
            _ => unwritten,
        }
    }

    /// Ends a session whose directory somebody has removed. The end gets a line of its own in the history, and
    /// is then published like any other. Until the line is written, the session stays as it was.
    fn vanished(&mut self, user: UserId, entry: Entry, mut context: SessionContext) {
        let known = self.shared.board.get(&user);
        let line = vanished_entry(&user, entry.about.owner, known.as_deref());
        narration::vanished(&line);
        let history = Arc::clone(&self.shared.history);
        let id = format!("vanished-{:016x}", rand::random::<u64>());
        let span = context.span.clone();
        let write = async move {
            let mut pause = AFTER_FAILURE;
            loop {
                let (history, id, written) = (Arc::clone(&history), id.clone(), line.clone());
                let append = async move { history.append(&id, &written).await };
                match context.work.see_through(append).await {
                    Ok(()) => return TaskExit::NothingOnDisk(context, Some(Box::new(line))),
                    Err(error) => narration::end_not_written(&error),
                }
                tokio::select! {
                    () = sleep(pause) => {}
                    () = context.stop.cancelled() => {
                        let left = context.drain();
                        let ended = SessionEnd::Stopped;
                        return TaskExit::Ran(Outcome { ended, left });
                    }
                }
                pause = (pause * 2).min(LONGEST_AFTER_FAILURE);
            }
        };
        let task = self.tasks.spawn(write.instrument(span));
        self.users.insert(task.id(), user.clone());
        self.sessions.insert(user, entry);
    }

    /// Starts another task for a session whose task panicked or was ended by force. What is on the disk
    /// decides how it begins.
    fn failed(&mut self, user: UserId, entry: Entry, error: JoinError) {
        if self.shared.stop.is_cancelled() {
            return self.gone(&user, &entry, None);
        }
        let error = if error.is_panic() {
            format!("its task failed: {}", panic_message(error))
        } else {
            "its task did not answer and was ended".to_owned()
        };
        narration::failed(&user, &error);
        let Entry {
            route,
            has_published,
            began,
            mut about,
        } = entry;
        let (failures, wait) = count_failure(about.failures, began.elapsed());
        about.failures = failures;
        let now = self.shared.clock.now();
        let retry_at = now.checked_add(wait).unwrap_or(now);
        let unpublished = !has_published.load(Ordering::Relaxed);
        if unpublished {
            let known = self.shared.board.get(&user);
            let known = known.as_deref();
            let status = stand_in_status(&user, about.owner, known, &error, now, retry_at);
            self.shared.board.changed_to(EventKind::BackingOff, status);
        }
        let birth = Birth::Failed {
            error,
            wait,
            unpublished,
        };
        let next = self.begin(user, about, birth, None);
        let _ = route.end.set(AfterTask::Failed(next));
    }
}
