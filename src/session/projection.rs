//! A session's state as everybody sees it.

use std::time::Duration;

use super::advice::{after_conflict, next_action, removed_often};
use super::machine::Machine;
use crate::protocol::{Passkey, Phase, Redacted, Status};
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
        let passkey = self.passkey();
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
            appeal_token: self.lock_token(),
            restrictions: self.record.restrictions.clone(),
            warnings: self.warnings.clone(),
            passkey: passkey.map(|passkey| Passkey {
                step: passkey.step,
                code: passkey.code.clone(),
                expires_at: passkey.expires_at,
            }),
            // The task adds it: only the gateway knows the configuration's.
            proxy: None,
            expect: self.record.expect.as_ref().map(ToString::to_string),
        };
        status.bounded()
    }

    fn lock_token(&self) -> Option<Redacted> {
        let lock = self.record.lock.as_ref()?;
        lock.appeal_token.clone()
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
        if self.phase == Phase::Connecting && self.has_forgiven() {
            return after_conflict(&self.user);
        }
        let step = self.passkey().map(|passkey| passkey.step);
        let action = next_action(&self.user, self.phase, self.reason, self.paired, step);
        match self.removed_often() {
            Some(warning) => format!("{warning} {action}"),
            None => action,
        }
    }

    /// The warning that belongs to a pairing of a user whose device WhatsApp removed again and again.
    fn removed_often(&self) -> Option<String> {
        let pairing = self.pairing.as_ref().filter(|_| self.logout().is_none())?;
        removed_often(&self.user, pairing.past.removed_soon)
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
