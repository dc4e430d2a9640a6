//! A session's state as everybody sees it.

use std::time::Duration;

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
            next_action: next_action(&self.user, self.phase, self.reason, self.paired),
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
        };
        status.bounded()
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

    /// How long the session was online the last time: the longer, the sooner it connects again when many
    /// have to.
    #[must_use]
    pub fn was_online_for(&self) -> Duration {
        self.way_back.was_online_for
    }

    /// Whether links have failed since it was last online.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.attempts > 1
    }

    /// The logout under way.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        self.logout().map(|logout| &logout.intent)
    }
}
