//! The account's groups, and the ones the user has chosen.

use std::future::Future;

use tokio::sync::oneshot;

use super::super::machine::{Effect, Input};
use super::super::targets::{self, Change};
use super::{Checked, Task};
use crate::protocol::{Failure, FailureCode, Group, GroupJid, Phase, TargetEdit, UserId};
use crate::whatsapp::{AskError, Link};

impl Task {
    pub(super) fn groups(&self, reply: oneshot::Sender<Result<Vec<Group>, Failure>>) {
        let Some(asked) = self.ask_groups() else {
            let _ = reply.send(Err(self.not_online("its groups cannot be asked for")));
            return;
        };
        let user = self.context.user.clone();
        tokio::spawn(async move {
            let _ = reply.send(asked.await.map_err(|e| ask_failure(&user, &e)));
        });
    }

    pub(super) fn ask_groups(
        &self,
    ) -> Option<impl Future<Output = Result<Vec<Group>, AskError>> + Send + use<>> {
        let online = self.machine.phase() == Phase::Online;
        self.link.as_ref().filter(|_| online).map(Link::groups)
    }

    pub(super) fn not_online(&self, therefore: &str) -> Failure {
        let status = self.machine.status();
        let message = format!(
            "the session of {} is not online ({}), so {therefore}. {}",
            self.context.user, status.phase, status.next_action
        );
        Failure::new(FailureCode::NotOnline, message)
    }

    /// Why nothing can be changed about a session that is going, or that cannot be read.
    pub(super) fn cannot_change(&self) -> Option<Failure> {
        match self.machine.phase() {
            Phase::PurgeFailed => Some(self.purge_failure()),
            Phase::StoreCorrupt => {
                let status = self.machine.status();
                let message = format!(
                    "the session of {} cannot be read: {}. {}",
                    self.context.user,
                    status.error.unwrap_or_default(),
                    status.next_action
                );
                Some(Failure::new(FailureCode::StoreCorrupt, message))
            }
            _ => None,
        }
    }

    pub(super) async fn targets(
        &mut self,
        edit: TargetEdit,
        reply: oneshot::Sender<Result<Vec<GroupJid>, Failure>>,
    ) {
        match Change::parse(edit) {
            Ok(change) => self.change_targets(change, reply).await,
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }

    pub(super) async fn change_targets(
        &mut self,
        change: Change,
        reply: oneshot::Sender<Result<Vec<GroupJid>, Failure>>,
    ) {
        let newcomers = change.newcomers(&self.machine.record().targets);
        if newcomers.is_empty() {
            self.apply_targets(&change, reply).await;
            return;
        }
        let Some(asked) = self.ask_groups() else {
            let therefore = "whether the groups are its account's cannot be asked";
            let _ = reply.send(Err(self.not_online(therefore)));
            return;
        };
        let checked = self.checked.clone();
        tokio::spawn(async move {
            let groups = asked.await;
            let _ = checked
                .send(Checked {
                    change,
                    groups,
                    reply,
                })
                .await;
        });
    }

    pub(super) async fn targets_checked(&mut self, checked: Checked) {
        let Checked {
            change,
            groups,
            reply,
        } = checked;
        let newcomers = change.newcomers(&self.machine.record().targets);
        let allowed = groups
            .map_err(|e| ask_failure(&self.context.user, &e))
            .and_then(|groups| targets::check(&newcomers, &groups));
        match allowed {
            Ok(()) => self.apply_targets(&change, reply).await,
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }

    pub(super) async fn apply_targets(
        &mut self,
        change: &Change,
        reply: oneshot::Sender<Result<Vec<GroupJid>, Failure>>,
    ) {
        let present = &self.machine.record().targets;
        let answer = match change.apply(present) {
            Ok(targets) if targets == *present => Ok(targets),
            Ok(targets) => self.save_targets(targets).await,
            Err(failure) => Err(failure),
        };
        let _ = reply.send(answer);
    }

    /// The targets change on the disk first: what was answered survives a crash, and a refused write
    /// changes nothing.
    pub(super) async fn save_targets(
        &mut self,
        targets: Vec<GroupJid>,
    ) -> Result<Vec<GroupJid>, Failure> {
        let mut record = self.machine.record().clone();
        record.targets.clone_from(&targets);
        self.save(record).await?;
        for effect in self.step(Input::Targets(targets.clone())) {
            if let Effect::Publish(kind) = effect {
                self.publish(kind);
            }
        }
        Ok(targets)
    }
}

fn ask_failure(user: &UserId, error: &AskError) -> Failure {
    let code = match error {
        AskError::NotConnected => FailureCode::NotOnline,
        AskError::Timeout => FailureCode::DeadlineExceeded,
        AskError::RateLimited { .. } => FailureCode::RateLimited,
        _ => FailureCode::Refused,
    };
    let mut failure = Failure::new(
        code,
        format!("WhatsApp could not be asked for the groups of {user}: {error}. Try again"),
    );
    if let AskError::RateLimited { retry_after } = error {
        failure.retry_after = retry_after.map(|wait| wait.as_secs().max(1));
    }
    failure
}
