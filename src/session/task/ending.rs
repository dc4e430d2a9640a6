//! How a session's task ends: by a logout, by a stop, or by force.

use super::super::command::SessionCommand;
use super::super::logout::{Logout, close};
use super::opening::{finish, gone};
use super::{Ended, Outcome, Task};
use crate::message_id;
use crate::protocol::{Account, HistoryEntry, Phase};
use crate::whatsapp::Scope;

impl Task {
    /// The logout, all of it. `Ok`: nothing is left, and the history says so.
    pub(super) async fn log_out(&mut self, unlink: bool) -> Result<(), String> {
        self.forget_link();
        self.nothing_remains().await?;
        let within = self.context.settings.borrow().unlink_timeout;
        let late = self.paired_just_now().await;
        let unlink = unlink || late.is_some();
        if let Some(account) = late {
            self.machine.paired_too_late(account);
        }
        let Some(decided) = self.machine.intent() else {
            return Err("no logout was decided".to_owned());
        };
        let logout = Logout {
            store: &self.context.store,
            gateway: &self.context.gateway,
            history: &self.context.history,
            auth_db: self.context.store.auth_db(&self.context.user),
            scope: Scope::new(self.context.span.clone(), self.context.work.clone()),
            was_paired: decided.account.is_some(),
            full_handshake: self.machine.expects().full_handshake,
        };
        if unlink {
            let unlinked = logout.unlink(&mut self.link, within).await;
            self.machine.unlinked(unlinked);
        }
        close(&mut self.link, false).await?;
        // An opening for the unlink may have run out of time, and may have begun something.
        logout.scope.cancel();
        gone(&self.context.work).await?;
        let Some(intent) = self.machine.intent().cloned() else {
            return Err("no logout was decided".to_owned());
        };
        let entry = logout.purge(&mut self.removal, &intent).await?;
        self.gone = Some(entry);
        Ok(())
    }

    /// The account of a pairing that has succeeded on the phone, where the session was to be removed before
    /// it was told. The phone lists the device, so it is to be unlinked: what that takes is written.
    async fn paired_just_now(&mut self) -> Option<Account> {
        let link = self.link.as_ref().filter(|_| !self.machine.is_paired())?;
        let account = link.account()?;
        link.flush().await;
        Some(account)
    }

    pub(super) fn logged_out(mut self, entry: HistoryEntry) -> Outcome {
        self.refuse_code(false, None, &format!("the pairing ended ({})", entry.cause));
        let mut waiters = std::mem::take(&mut self.logout_waiters);
        let mut left = Vec::new();
        for command in self.context.drain() {
            match command {
                // Twice at once: both asked for the same, and it is done.
                SessionCommand::ForceLogout { reply, .. } => waiters.push(reply),
                other => left.push(other),
            }
        }
        Outcome {
            ended: Ended::LoggedOut {
                entry: Box::new(entry),
                waiters,
                stopped: std::mem::take(&mut self.stop_waiters),
            },
            left,
        }
    }

    pub(super) async fn stop(mut self) -> Outcome {
        self.close_link().await;
        let _ = self.nothing_remains().await;
        if !matches!(
            self.machine.phase(),
            Phase::StoreCorrupt | Phase::PurgeFailed
        ) {
            let record = self.machine.record().clone();
            if let Err(failure) = self.save(record).await {
                tracing::error!(message_id = message_id::STORE_FAILED, "{}", failure.message);
            }
        }
        // Whoever waits for a pair code waits for one that will not come.
        let mut left: Vec<_> = self
            .code_waiters
            .drain(..)
            .map(|reply| SessionCommand::Connect { phone: None, reply })
            .collect();
        left.extend(self.context.drain());
        Outcome {
            ended: Ended::Stopped,
            left,
        }
    }
}

impl Drop for Task {
    /// A task that is ended by force, or panics, closes nothing: its link is left to be closed, and
    /// whoever comes after waits for that.
    fn drop(&mut self) {
        self.forget_link();
        let (given_up, mut link) = (self.given_up.take(), self.link.take());
        if given_up.is_none() && link.is_none() {
            return;
        }
        self.context.work.leave(async move {
            if let Some(given_up) = given_up {
                finish(given_up).await;
            }
            let _ = close(&mut link, false).await;
        });
    }
}
