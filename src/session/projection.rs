//! A session's state as everybody sees it.

use super::advice::next_action;
use super::logout::Unlinked;
use super::machine::Machine;
use crate::protocol::{Account, Phase, Status};
use crate::store::{Intent, Record};
use crate::whatsapp::Expected;

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

    /// What is, or must be, on the disk.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The logout under way.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// Notes how the unlink went: a purge that has to be repeated must know.
    pub(super) fn unlinked(&mut self, unlinked: Unlinked) {
        if let Some(intent) = &mut self.intent {
            intent.unlink = unlinked.unlink;
            intent.text = unlinked.text.or(intent.text.take());
            intent.appeal_token = unlinked.appeal_token.or(intent.appeal_token.take());
        }
    }

    /// Notes that the phone had accepted the device when its session was to be removed already.
    pub(super) fn paired_too_late(&mut self, account: Account) {
        if let Some(intent) = &mut self.intent {
            intent.account = Some(account);
        }
    }

    /// What the next link must be.
    #[must_use]
    pub fn expects(&self) -> Expected {
        Expected {
            paired: self.paired,
            full_handshake: self.failed_handshakes > 0,
        }
    }

    /// Whether the credentials are an account's.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.paired
    }
}
