//! Budgets of bytes, for what clients make the daemon hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that several may take and give back. Clones are the same budget.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    limit: u32,
}

/// Budgets on each of which the same bytes are charged: the narrowest first, so that nobody holds a
/// part of a wide one while waiting for a narrow one.
#[derive(Debug, Clone)]
pub(super) struct Budgets(Vec<Budget>);

/// Bytes that were taken; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Charge(Vec<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub(super) fn new(limit: u32) -> Self {
        // A u32 always fits: permits are counted in 61 bits.
        let bytes = Arc::new(Semaphore::new(limit as usize));
        Self { bytes, limit }
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes.available_permits() == self.limit as usize
    }

    /// The charge for so many bytes. A charge that is larger than the budget would wait for ever.
    fn charged(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).map_or(self.limit, |bytes| bytes.min(self.limit))
    }
}

impl Budgets {
    /// These budgets, the narrowest first.
    #[must_use]
    pub(super) fn new(budgets: impl Into<Vec<Budget>>) -> Self {
        Self(budgets.into())
    }

    /// Takes so many bytes from each, waiting for them in the order of those who ask.
    pub(super) async fn take(self, bytes: usize) -> Charge {
        let mut charge = Charge(Vec::with_capacity(self.0.len()));
        for budget in self.0 {
            let charged = budget.charged(bytes);
            // Nobody closes them.
            if let Ok(taken) = budget.bytes.acquire_many_owned(charged).await {
                charge.0.push(taken);
            }
        }
        charge
    }

    /// [`Budgets::take`] if all of it is there at once.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Charge> {
        let taken = self.0.iter().map(|budget| {
            let semaphore = Arc::clone(&budget.bytes);
            semaphore.try_acquire_many_owned(budget.charged(bytes)).ok()
        });
        taken.collect::<Option<Vec<_>>>().map(Charge)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_same_bytes_are_charged_on_each_and_given_back() {
        let (narrow, wide) = (Budget::new(10), Budget::new(15));
        let (one, other) = (
            Budgets::new([narrow.clone(), wide.clone()]),
            Budgets::new([Budget::new(10), wide.clone()]),
        );
        let first = one.try_take(10).expect("all of the narrow one");
        assert!(one.try_take(1).is_none(), "the narrow one is used up");
        assert!(other.try_take(6).is_none(), "the wide one has five");
        let waiting = other.clone().take(6);
        let mut waiting = Box::pin(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        let second = waiting.now_or_never().expect("there is enough now");
        assert!(narrow.is_whole() && !wide.is_whole());
        drop(second);
        assert!(wide.is_whole());
        // More than there will ever be is charged as all there is.
        let all = one.try_take(1000).expect("all of the narrow one");
        assert!(other.try_take(1).is_none());
        drop(all);
    }
}
