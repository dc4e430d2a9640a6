//! Both clocks, given to those who need them, so that tests can set them.
//!
//! What this program times by itself (stages, retries, the lives of codes and pairings) is on the
//! monotonic clock, which nobody sets. What people and WhatsApp say in the time of day (the end of a
//! ban, how long nobody used a session) is on the wall clock, and follows it when it is set.

use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

/// The longest piece of a sleep until a time of day. After each piece the wall clock is read again, so
/// that somebody's setting of the clock is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// A moment on the monotonic clock: how long after the clock began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment at which a clock begins.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// How long after another moment it is; zero where it is before that.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// When something is due: at whichever comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// On the monotonic clock.
    pub monotonic: Option<Monotonic>,
    /// At a time of day.
    pub wall: Option<Timestamp>,
}

/// Both clocks.
#[derive(Clone)]
pub struct Clock {
    began: Instant,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

impl Clock {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self::with_wall(Timestamp::now)
    }

    /// The system's monotonic clock, and this time of day.
    pub fn with_wall(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            began: Instant::now(),
            wall: Arc::new(wall),
        }
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The moment on the monotonic clock.
    #[must_use]
    pub fn monotonic(&self) -> Monotonic {
        Monotonic(self.began.elapsed())
    }

    /// Waits until something is due; for ever where nothing is.
    pub async fn until(&self, due: Due) {
        loop {
            let monotonic = due.monotonic.map(|at| at.since(self.monotonic()));
            let wall = due.wall.map(|at| {
                let left = Duration::try_from(at.duration_since(self.now()));
                left.unwrap_or_default().min(LONGEST_NAP)
            });
            let Some(left) = monotonic.into_iter().chain(wall).min() else {
                return std::future::pending().await;
            };
            if left.is_zero() {
                return;
            }
            sleep(left).await;
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tokio::time::advance;

    use super::*;

    const DAY: i64 = 24 * 3600;

    /// A clock whose time of day goes with tokio's time, and can be set; by so many seconds.
    pub(in crate::session) fn adjustable() -> (Clock, Arc<AtomicI64>) {
        let set = Arc::new(AtomicI64::new(0));
        let (start, began, by) = (Timestamp::now(), Instant::now(), Arc::clone(&set));
        let clock = Clock::with_wall(move || {
            after(start, began.elapsed()) + SignedDuration::from_secs(by.load(Ordering::SeqCst))
        });
        (clock, set)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_on_the_monotonic_clock_comes_whatever_the_wall_clock_says() {
        for by in [-DAY, DAY] {
            let (clock, set) = adjustable();
            let began = Instant::now();
            let due = Due {
                monotonic: Some(clock.monotonic() + Duration::from_secs(2)),
                wall: None,
            };
            set.store(by, Ordering::SeqCst);
            clock.until(due).await;
            assert_eq!(began.elapsed(), Duration::from_secs(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_at_a_time_of_day_comes_when_the_clock_is_set_beyond_it() {
        let (clock, set) = adjustable();
        let due = Due {
            monotonic: None,
            wall: Some(after(clock.now(), Duration::from_hours(20))),
        };
        let waits = tokio::spawn({
            let clock = clock.clone();
            async move { clock.until(due).await }
        });
        tokio::task::yield_now().await;
        set.store(DAY, Ordering::SeqCst);
        advance(LONGEST_NAP).await;
        waits.await.expect("it is due");
        // And not before it where the clock is set back.
        set.store(-DAY, Ordering::SeqCst);
        let waits = clock.until(due);
        let early = tokio::time::timeout(Duration::from_hours(40), waits).await;
        assert!(early.is_err());
    }
}
