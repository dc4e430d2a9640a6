//! Deadlines. The caller sets one, and every part of the work gets a share of what is left.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The moment at which something must be over. It is on the monotonic clock, so setting the machine's
/// clock moves no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline this long from now.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The time that is left; zero when the deadline is over.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The deadline of a part that may take at most this long, and never longer than the whole.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Self {
        self.min(Self::within(time))
    }

    /// Waits for some work. At the deadline the work is dropped, and the result is `None`.
    pub async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn parts_never_take_longer_than_the_whole() {
        let whole = Deadline::within(Duration::from_secs(10));
        let short = whole.at_most(Duration::from_secs(3));
        assert_eq!(short.left(), Duration::from_secs(3));
        assert_eq!(whole.at_most(Duration::from_secs(30)), whole);
        assert_eq!(short.limit(std::future::pending::<()>()).await, None);
        assert_eq!(whole.left(), Duration::from_secs(7));
        assert_eq!(whole.limit(async { 1 }).await, Some(1));
        assert!(short.is_over() && !whole.is_over());
    }
}
