//! How many sessions there may be, and how many of whom.

use std::collections::HashMap;
use std::time::Duration;

use super::super::caller::Caller;
use super::birth_rate::BirthRate;
use crate::protocol::{Failure, FailureCode};
use crate::session::Settings;

/// How many sessions there are, of whom, and how fast they begin.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    all: usize,
    by_owner: HashMap<u32, usize>,
    rate: BirthRate,
}

impl Quotas {
    /// A session began.
    pub(super) fn begun(&mut self, owner: u32) {
        self.all += 1;
        *self.by_owner.entry(owner).or_default() += 1;
    }

    /// A session is gone.
    pub(super) fn gone(&mut self, owner: u32) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.by_owner.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(&owner);
            }
        }
    }

    /// Whether the caller may begin a session. Each call counts as a birth for the rate of births.
    ///
    /// # Errors
    /// A [`Failure`] that names the limit, or says when to ask again.
    pub(super) fn admit(&mut self, caller: Caller, settings: &Settings) -> Result<(), Failure> {
        let uid = caller.uid;
        if self.all >= settings.max_sessions {
            return full(settings.max_sessions, "the daemon has", "sessions.max");
        }
        if caller.sees_all {
            return Ok(());
        }
        let most = settings.max_sessions_per_uid;
        if self.by_owner.get(&uid).copied().unwrap_or(0) >= most {
            let key = "access.max_sessions_per_uid";
            return full(most, &format!("uid {uid} owns"), key);
        }
        self.rate.take(uid).map_err(|wait| too_fast(uid, wait))
    }
}

fn full(limit: usize, whose: &str, key: &str) -> Result<(), Failure> {
    let message = format!("{whose} {limit} sessions already, the most that {key} allows");
    Err(Failure::new(FailureCode::QuotaExceeded, message))
}

fn too_fast(uid: u32, wait: Duration) -> Failure {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let message = format!(
        "uid {uid} begins sessions faster than it may: each costs all users of this machine something. Ask again in {seconds} s; sessions that exist are not affected"
    );
    let mut failure = Failure::new(FailureCode::RateLimited, message);
    failure.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: Caller = Caller {
        uid: 1,
        sees_all: false,
    };
    const ADMIN: Caller = Caller {
        uid: 1,
        sees_all: true,
    };

    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let mut quotas = Quotas::default();
        let settings = Settings {
            max_sessions: 3,
            max_sessions_per_uid: 2,
            ..Settings::default()
        };
        for _ in 0..2 {
            quotas.admit(SOMEBODY, &settings).expect("a place");
            quotas.begun(1);
        }
        let full = quotas.admit(SOMEBODY, &settings).expect_err("no place");
        assert_eq!(full.code, FailureCode::QuotaExceeded);
        assert!(full.message.contains("max_sessions_per_uid"), "{full}");
        quotas.admit(ADMIN, &settings).expect("a place");
        quotas.begun(1);
        let full = quotas.admit(ADMIN, &settings).expect_err("no place");
        assert!(full.message.contains("sessions.max"), "{full}");
        for _ in 0..3 {
            quotas.gone(1);
        }
        assert!(quotas.by_owner.is_empty());
        quotas.admit(SOMEBODY, &settings).expect("a place");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_too_fast_is_told_when_to_ask_again() {
        let mut quotas = Quotas::default();
        let settings = Settings::default();
        let refused = loop {
            // Each begins and is gone at once.
            if let Err(refused) = quotas.admit(SOMEBODY, &settings) {
                break refused;
            }
        };
        assert_eq!(refused.code, FailureCode::RateLimited);
        let wait = refused.retry_after.expect("when");
        assert!(
            refused.message.contains(&format!("in {wait} s")),
            "{refused}"
        );
        quotas.admit(ADMIN, &settings).expect("no rate for admins");
        tokio::time::advance(Duration::from_secs(wait)).await;
        quotas.admit(SOMEBODY, &settings).expect("one more");
    }
}
