//! When rows that expire are looked through.
//!
//! The library asks every five minutes to remove what has expired, in every session. Most of the time nothing
//! has, and looking would open an idle session's database for it. So it is remembered when the next row can
//! expire; only the first question after a start must look.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// From this many rows on, they are looked through once an hour: some of them always have expired by then,
/// and each look reads them all.
const MANY: usize = 2000;

/// An hour, in seconds.
const HOUR: i64 = 3600;

/// What is known about the rows of one kind.
#[derive(Debug, Default)]
pub(super) struct Sweep(Mutex<Option<Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    /// No row expires before this moment.
    earliest: i64,
    /// When the rows were looked through.
    looked_at: i64,
    /// For how long to leave a large number of rows alone after that.
    rest: i64,
}

impl Sweep {
    /// Whether a row may have expired at `moment`.
    pub(super) fn is_due(&self, moment: i64) -> bool {
        self.known().is_none_or(|known| {
            // A clock that was set back makes no rest longer.
            let rested = known.looked_at.saturating_add(known.rest) <= moment;
            known.earliest <= moment && (rested || moment < known.looked_at)
        })
    }

    /// A row is about to be put that expires then.
    pub(super) fn expect(&self, expiry: i64) {
        if let Some(known) = self.known().as_mut() {
            known.earliest = known.earliest.min(expiry);
        }
    }

    /// All rows were looked through at `moment`: these are left, and the first of them expires then.
    pub(super) fn done(&self, moment: i64, rows: usize, earliest: i64) {
        let rest = if rows >= MANY { HOUR } else { 0 };
        *self.known() = Some(Known {
            earliest,
            looked_at: moment,
            rest,
        });
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_looked_through_when_one_can_have_expired() {
        let sweep = Sweep::default();
        sweep.expect(50);
        assert!(sweep.is_due(i64::MIN), "nothing is known after a start");
        sweep.done(100, 0, i64::MAX);
        assert!(!sweep.is_due(1_000_000));
        sweep.expect(300);
        sweep.expect(400);
        assert!(!sweep.is_due(299));
        assert!(sweep.is_due(300));
        // The clock was set back.
        sweep.done(500, 0, i64::MAX);
        sweep.expect(100);
        assert!(sweep.is_due(100));
    }

    #[test]
    fn many_rows_are_looked_through_once_an_hour() {
        let sweep = Sweep::default();
        sweep.done(100, MANY, 101);
        assert!(!sweep.is_due(100 + HOUR - 1));
        assert!(sweep.is_due(100 + HOUR));
        sweep.done(1_000_000, MANY, 101);
        assert!(sweep.is_due(200), "the clock was set back");
        sweep.done(100, MANY - 1, 101);
        assert!(sweep.is_due(101));
    }
}
