//! Who may make a call in a room now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// A call that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(1);

/// A number of turns. While somebody waits, a turn that is taken for long is replaced by a spare one, as
/// long as there are any.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
struct Taken {
    next: u64,
    /// The turns that are taken and not replaced, by their numbers, with when they were taken. Later turns
    /// have higher numbers.
    since: BTreeMap<u64, Instant>,
    /// How many turns can still be replaced.
    spares: usize,
}

/// A turn. It ends when this is dropped.
pub(super) struct Turn {
    number: u64,
    turns: Turns,
}

impl Turns {
    pub(super) fn new(turns: usize, spares: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(turns)),
            taken: Arc::new(Mutex::new(Taken {
                next: 0,
                since: BTreeMap::new(),
                spares,
            })),
        }
    }

    /// Waits for a turn, in order.
    pub(super) async fn take(&self) -> Turn {
        let free = Arc::clone(&self.free).acquire_owned();
        tokio::pin!(free);
        loop {
            let looks_again = Instant::now() + self.replace_long_ones();
            tokio::select! {
                biased;
                free = &mut free => match free {
                    Ok(permit) => return self.begin(permit),
                    // Nobody closes the semaphore.
                    Err(_) => std::future::pending().await,
                },
                () = sleep_until(looks_again) => {}
            }
        }
    }

    fn begin(&self, permit: OwnedSemaphorePermit) -> Turn {
        // Its end decides whether the turn is free again.
        permit.forget();
        let mut taken = self.lock();
        let number = taken.next;
        taken.next += 1;
        taken.since.insert(number, Instant::now());
        Turn {
            number,
            turns: self.clone(),
        }
    }

    /// Replaces the turns that are taken for long. Returns when to look again.
    fn replace_long_ones(&self) -> Duration {
        let mut taken = self.lock();
        while let Some((_, oldest)) = taken.since.first_key_value() {
            let age = oldest.elapsed();
            if age < HANGS_AFTER {
                return HANGS_AFTER.saturating_sub(age);
            }
            if taken.spares == 0 {
                break;
            }
            taken.since.pop_first();
            taken.spares -= 1;
            self.free.add_permits(1);
        }
        HANGS_AFTER
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        if taken.since.remove(&self.number).is_some() {
            self.turns.free.add_permits(1);
        } else {
            // Another call has its turn already.
            taken.spares += 1;
        }
    }
}
