//! Failures, in words: why a request cannot be done.

use std::time::Duration;

use super::Machine;
use crate::protocol::{Failure, FailureCode, Phase, UserId};
use crate::whatsapp::{AskError, PairCodeRefused};

/// How long to wait for another pair code where WhatsApp asks to slow down and does not say how long.
const PAIR_CODE_WAIT: Duration = Duration::from_mins(1);

impl Machine {
    pub(super) fn not_online(&self, therefore: &str) -> Failure {
        let status = self.status();
        let message = format!(
            "the session of {} is not online ({}), so {therefore}. {}",
            self.user, status.phase, status.next_action
        );
        Failure::new(FailureCode::NotOnline, message)
    }

    /// Why the target groups cannot be changed: the session is being removed, or its files cannot be used.
    pub(super) fn cannot_change(&self) -> Option<Failure> {
        match self.phase {
            Phase::PurgeFailed => Some(self.removal_failure()),
            Phase::StoreCorrupt => {
                let status = self.status();
                let message = format!(
                    "the session of {} cannot be read: {}. {}",
                    self.user,
                    status.error.unwrap_or_default(),
                    status.next_action
                );
                Some(Failure::new(FailureCode::StoreCorrupt, message))
            }
            _ if self.is_unread() => Some(self.cannot_read()),
            _ => None,
        }
    }

    /// The removal did not finish: what is left and why.
    pub(super) fn removal_failure(&self) -> Failure {
        let status = self.status();
        let error = status.error.as_deref();
        let message = format!(
            "the session of {} could not be removed completely: {}. {}",
            self.user,
            error.unwrap_or("the removal did not finish"),
            status.next_action
        );
        Failure::new(FailureCode::PurgeFailed, message)
    }

    /// WhatsApp gave no pair code.
    pub(super) fn no_code(&self, why: &PairCodeRefused) -> Failure {
        let (code, hint) = if why.rate_limited {
            let hint = "Wait before the next try, or pair by QR code";
            (FailureCode::RateLimited, hint)
        } else {
            (FailureCode::Refused, "Check the number, or pair by QR code")
        };
        let message = format!(
            "WhatsApp gave no pair code for {}: {}. {hint}",
            self.user, why.error
        );
        let mut failure = Failure::new(code, message);
        let wait = why
            .retry_after
            .or(why.rate_limited.then_some(PAIR_CODE_WAIT));
        failure.retry_after = wait.map(seconds);
        failure
    }
}

/// WhatsApp did not take what was handed in for a passkey.
pub(super) fn passkey_failure(user: &UserId, error: &AskError) -> Failure {
    let code = match error {
        AskError::NotConnected => FailureCode::NotAwaited,
        AskError::Timeout => FailureCode::DeadlineExceeded,
        AskError::RateLimited { .. } => FailureCode::RateLimited,
        AskError::Refused(_) => FailureCode::Refused,
    };
    let message = format!(
        "WhatsApp did not take the passkey for {user}: {error}. `wactl status {user}` says how the pairing goes on: while it waits for the challenge, fetch that again with `wactl passkey {user}` and have it answered anew"
    );
    Failure::new(code, message)
}

/// WhatsApp could not be asked for the groups.
pub(super) fn ask_failure(user: &UserId, error: &AskError) -> Failure {
    let code = match error {
        AskError::NotConnected => FailureCode::NotOnline,
        AskError::Timeout => FailureCode::DeadlineExceeded,
        AskError::RateLimited { .. } => FailureCode::RateLimited,
        AskError::Refused(_) => FailureCode::Refused,
    };
    let mut failure = Failure::new(
        code,
        format!("WhatsApp could not be asked for the groups of {user}: {error}. Try again"),
    );
    if let AskError::RateLimited { retry_after } = error {
        failure.retry_after = retry_after.map(seconds);
    }
    failure
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}
