//! How fast a uid may begin sessions.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How many sessions of a uid may begin at once.
const AT_ONCE: u32 = 8;
/// After that, one session may begin in this time.
const EVERY: Duration = Duration::from_secs(5);
/// When more uids than this are remembered, those that have all their births left are forgotten.
const MANY: usize = 256;

/// How fast each uid begins sessions. A session that begins and ends at once costs a line of the history
/// and writes to the disk. A loop of such sessions would be at everybody's cost.
#[derive(Debug, Default)]
pub(super) struct BirthRate {
    /// When a uid has all its births left again.
    full_at: HashMap<u32, Instant>,
}

impl BirthRate {
    /// Takes one birth from what the uid has left.
    ///
    /// # Errors
    /// Where none is left: the time until there is one.
    pub(super) fn take(&mut self, uid: u32) -> Result<(), Duration> {
        let now = Instant::now();
        if self.full_at.len() > MANY {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let full_at = self.full_at.entry(uid).or_insert(now);
        let after = (*full_at).max(now) + EVERY;
        let wait = after.duration_since(now).saturating_sub(EVERY * AT_ONCE);
        if !wait.is_zero() {
            return Err(wait);
        }
        *full_at = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_now_and_then() {
        let mut rate = BirthRate::default();
        for _ in 0..AT_ONCE {
            assert_eq!(rate.take(1), Ok(()));
        }
        assert_eq!(rate.take(1), Err(EVERY));
        assert_eq!(rate.take(2), Ok(()), "another uid has its own");
        advance(EVERY / 2).await;
        assert_eq!(rate.take(1), Err(EVERY / 2));
        advance(EVERY / 2).await;
        assert_eq!(rate.take(1), Ok(()));
        assert_eq!(rate.take(1), Err(EVERY));
        advance(EVERY * AT_ONCE).await;
        for _ in 0..AT_ONCE {
            assert_eq!(rate.take(1), Ok(()));
        }
        assert_eq!(rate.take(1), Err(EVERY));
    }

    #[tokio::test(start_paused = true)]
    async fn uids_that_come_and_go_are_not_remembered_for_ever() {
        let mut rate = BirthRate::default();
        for uid in 0..10_000 {
            assert_eq!(rate.take(uid), Ok(()));
            advance(EVERY).await;
        }
        assert!(rate.full_at.len() <= MANY + 1);
    }
}
