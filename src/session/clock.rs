//! The time of day, given to those who need it, so that tests can stop it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's.
    System,
    /// One that began at a time of day and goes on with tokio's time, which tests can pause.
    Anchored(Timestamp, Instant),
}

/// A sleep is cut into pieces of at most this, so that a step of the system's clock is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(30);

impl Clock {
    /// A clock that follows tokio's time from now on.
    #[must_use]
    pub fn anchored() -> Self {
        Self::Anchored(Timestamp::now(), Instant::now())
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Anchored(start, since) => after(*start, since.elapsed()),
        }
    }

    /// Waits until a time of day; for ever without one.
    pub async fn until(&self, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        loop {
            let left = deadline.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_NAP)).await;
        }
    }
}

/// A time of day plus a duration; the end of time where that is beyond it.
pub(super) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|d| time.checked_add(d).ok())
        .unwrap_or(Timestamp::MAX)
}
