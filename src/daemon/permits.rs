//! Permits for connections: how many there may be, of each uid and in all, and the limits of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use super::allowance::{self, Allowance};

/// Connections in all. Each may hold a megabyte or two at worst.
pub(super) const MAX_CONNECTIONS: usize = 1024;

/// Of them, kept free for those who see everything: a crowd must not lock the admins out.
pub(super) const RESERVED: usize = 16;

/// How many connections there may be in this process: at most a quarter of the files it may have open.
/// A client that waits may take a second one, by which the daemon learns that it hung up.
/// A crowd of clients must not take what the sessions need for their databases and links.
#[must_use]
pub(super) fn most() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(files / 4).map_or(MAX_CONNECTIONS, |quarter| quarter.clamp(2, MAX_CONNECTIONS))
}

/// The right to one connection; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Permit {
    uid: u32,
    allowance: Allowance,
    counts: Arc<Mutex<Counts>>,
}

impl Permit {
    /// The limits of the connection.
    #[must_use]
    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

/// Hands out permits.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    most: usize,
    everybody: allowance::Shared,
    admins: allowance::Shared,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of_uid: HashMap<u32, OfUid>,
}

#[derive(Debug)]
struct OfUid {
    connections: usize,
    accounts: allowance::OfUid,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(super) enum NoPermit {
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
    #[error("the daemon has as many connections open as it may have, {0}: try again later")]
    All(usize),
}

impl Permits {
    /// For so many connections in all.
    #[must_use]
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            everybody: allowance::Shared::of_everybody(),
            admins: allowance::Shared::of_admins(),
            counts: Arc::default(),
        }
    }

    /// Takes a permit for a connection of this uid.
    ///
    /// # Errors
    /// [`NoPermit`] when a limit is reached.
    pub(super) fn take(&self, uid: u32, limit: usize, sees_all: bool) -> Result<Permit, NoPermit> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let room = if sees_all {
            self.most
        } else {
            self.most - RESERVED.min(self.most / 2)
        };
        let own = counts.of_uid.get(&uid).map_or(0, |own| own.connections);
        if own >= limit {
            return Err(NoPermit::OfUid { uid, limit });
        }
        if counts.all >= room {
            return Err(NoPermit::All(self.most));
        }
        counts.all += 1;
        let own = counts.of_uid.entry(uid).or_insert_with(|| OfUid {
            connections: 0,
            accounts: allowance::OfUid::new(),
        });
        own.connections += 1;
        let shared = if sees_all {
            &self.admins
        } else {
            &self.everybody
        };
        Ok(Permit {
            uid,
            allowance: own.accounts.connection(shared),
            counts: Arc::clone(&self.counts),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(own) = counts.of_uid.get_mut(&self.uid) {
            own.connections -= 1;
        }
        // The daemon forgets a uid without connections, but not while a request of it is under way: the
        // uid would have its slots twice.
        let gone = counts
            .of_uid
            .extract_if(|_, own| own.connections == 0 && !own.accounts.is_used());
        drop(gone.collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::allowance::{MAX_UNDER_WAY_OF_UID, Need};

    #[test]
    fn who_leaves_and_comes_again_has_no_more_turns() {
        let permits = Permits::new(MAX_CONNECTIONS);
        let need = Need {
            slot: true,
            bytes: 0,
        };
        let first = permits.take(1, 2, false).expect("a connection");
        let all = (0..).map_while(|_| first.allowance().try_place(need));
        let places: Vec<_> = all.collect();
        drop(first);
        let again = permits.take(1, 2, false).expect("another one");
        assert!(again.allowance().try_place(need).is_none());
        drop((again, places));
        drop(permits.take(2, 2, false).expect("another uid's"));
        assert!(permits.counts.lock().expect("the counts").of_uid.is_empty());
    }

    #[test]
    fn each_uid_has_its_own_limit() {
        let permits = Permits::new(MAX_CONNECTIONS);
        let first = permits.take(1, 2, false).expect("the first");
        let second = permits.take(1, 2, false).expect("the second");
        let refused = permits.take(1, 2, false).expect_err("the third");
        assert_eq!(refused, NoPermit::OfUid { uid: 1, limit: 2 });
        let other = permits.take(2, 2, false).expect("another uid's");
        let need = Need {
            slot: true,
            bytes: 0,
        };
        let all = || (0..).map_while(|_| first.allowance().try_place(need));
        let places: Vec<_> = all().collect();
        assert_eq!(places.len(), MAX_UNDER_WAY_OF_UID);
        assert!(second.allowance().try_place(need).is_none());
        assert!(other.allowance().try_place(need).is_some());
        drop(places);
        drop(first);
        let _again = permits.take(1, 2, false).expect("the one given back");
    }

    #[test]
    fn a_crowd_leaves_room_for_the_admins() {
        for (most, reserved) in [(MAX_CONNECTIONS, RESERVED), (40, RESERVED), (10, 5)] {
            let permits = Permits::new(most);
            let uids = 1..=u32::try_from(most - reserved).expect("a small number");
            let crowd: Vec<_> = uids.map(|uid| permits.take(uid, 1, false)).collect();
            assert!(crowd.iter().all(Result::is_ok));
            let refused = Err(NoPermit::All(most));
            assert_eq!(permits.take(9999, 1, false).map(drop), refused);
            let admins: Vec<_> = (0..reserved).map(|_| permits.take(0, 64, true)).collect();
            assert!(admins.iter().all(Result::is_ok));
            assert_eq!(permits.take(0, 64, true).map(drop), refused);
            drop((crowd, admins));
            let counts = permits.counts.lock().expect("the counts");
            assert_eq!((counts.all, counts.of_uid.len()), (0, 0));
        }
    }

    #[test]
    fn most_files_are_not_for_clients() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit");
        assert!(most() <= MAX_CONNECTIONS && u64::try_from(most()).expect("it fits") <= soft / 4);
    }
}
