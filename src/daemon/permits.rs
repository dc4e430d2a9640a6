//! How many connections there may be, in all and of each uid.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections in all. Each may hold a few megabytes at worst.
pub const MAX_CONNECTIONS: usize = 1024;

/// Of them, kept free for those who see everything: a crowd must not lock the admins out.
pub const RESERVED: usize = 16;

/// The right to one connection; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    uid: u32,
    counts: Arc<Mutex<Counts>>,
}

/// Hands out permits.
#[derive(Debug, Clone, Default)]
pub struct Permits {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of_uid: HashMap<u32, usize>,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoPermit {
    /// This uid has as many as it may have.
    #[error(
        "uid {uid} has {limit} connections open, and the limit (`access.max_connections_per_uid`) is {limit}: close some first"
    )]
    OfUid {
        /// The uid.
        uid: u32,
        /// How many it may have.
        limit: usize,
    },
    /// There are as many as there may be.
    #[error(
        "the daemon has {MAX_CONNECTIONS} connections open, which is its limit: try again later"
    )]
    All,
}

impl Permits {
    /// Takes a permit for a connection of this uid.
    ///
    /// # Errors
    /// [`NoPermit`] when a limit is reached.
    pub fn take(&self, uid: u32, limit: usize, sees_all: bool) -> Result<Permit, NoPermit> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let room = if sees_all {
            MAX_CONNECTIONS
        } else {
            MAX_CONNECTIONS - RESERVED
        };
        let own = counts.of_uid.get(&uid).copied().unwrap_or(0);
        if own >= limit {
            return Err(NoPermit::OfUid { uid, limit });
        }
        if counts.all >= room {
            return Err(NoPermit::All);
        }
        counts.all += 1;
        counts.of_uid.insert(uid, own + 1);
        Ok(Permit {
            uid,
            counts: Arc::clone(&self.counts),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(own) = counts.of_uid.get_mut(&self.uid) {
            *own -= 1;
            // Uids that are gone are forgotten.
            if *own == 0 {
                counts.of_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_uid_has_its_own_limit() {
        let permits = Permits::default();
        let first = permits.take(1, 2, false).expect("the first");
        let _second = permits.take(1, 2, false).expect("the second");
        let refused = permits.take(1, 2, false).expect_err("the third");
        assert_eq!(refused, NoPermit::OfUid { uid: 1, limit: 2 });
        let _other = permits.take(2, 2, false).expect("another uid's");
        drop(first);
        let _again = permits.take(1, 2, false).expect("the one given back");
    }

    #[test]
    fn a_crowd_leaves_room_for_the_admins() {
        let permits = Permits::default();
        let uids = 1..=u32::try_from(MAX_CONNECTIONS - RESERVED).expect("a small number");
        let crowd: Vec<_> = uids.map(|uid| permits.take(uid, 1, false)).collect();
        assert!(crowd.iter().all(Result::is_ok));
        assert_eq!(permits.take(9999, 1, false).map(drop), Err(NoPermit::All));
        let admins: Vec<_> = (0..RESERVED).map(|_| permits.take(0, 64, true)).collect();
        assert!(admins.iter().all(Result::is_ok));
        assert_eq!(permits.take(0, 64, true).map(drop), Err(NoPermit::All));
        drop((crowd, admins));
        let counts = permits.counts.lock().expect("the counts");
        assert_eq!((counts.all, counts.of_uid.len()), (0, 0));
    }
}
