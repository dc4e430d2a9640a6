//! A session's state as everybody sees it.

use super::advice::next_action;
use super::machine::Machine;
use crate::protocol::{Phase, Status};
use crate::store::{Intent, Record};

impl Machine {
    /// The status that follows from the state.
    #[must_use]
    pub fn status(&self) -> Status {
        let held_until = self
            .record
            .hold
            .as_ref()
            .filter(|_| self.phase == Phase::Held)
            .and_then(|hold| hold.until);
        let status = Status {
            user: self.user.clone(),
            phase: self.phase,
            since: self.since,
            next_action: self.next_action(),
            owner: self.record.owner,
            account: self.record.account.clone(),
            connecting: self.connecting,
            qr: self.qr.clone(),
            pair_code: self.pair_code.clone(),
            retry_at: self.retry_at,
            held_until,
            reason: self.reason,
            error: self.error.clone(),
            targets: self.record.targets.clone(),
            last_activity: self.record.last_activity,
            restrictions: self.record.restrictions.clone(),
            warnings: self.warnings.clone(),
        };
        status.bounded()
    }

    /// What a person should do now. A session that is online may still need one.
    fn next_action(&self) -> String {
        if self.phase == Phase::Online {
            if let Some(warning) = self.warnings.first() {
                return warning.text.clone();
            }
            if !self.record.restrictions.is_empty() {
                return "Wait: it is online, and WhatsApp restricts the account for a time."
                    .to_owned();
            }
        }
        next_action(&self.user, self.phase, self.reason, self.paired)
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The record: what is on the disk, or will be with the next write.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The logout under way.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        self.logout().map(|logout| &logout.intent)
    }
}
