//! The uncancellable work of each user: the same one for everybody who does something with the user's files.
//!
//! A session's tasks have it as long as the session is there. The rotation of the master key borrows it, or
//! has one made where there is no session, and a session that begins meanwhile gets that one. So there are
//! never two for one user, whose calls to the disk would not wait for each other.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blocking::UncancellableWork;
use crate::protocol::UserId;
use crate::store::Store;

/// The work of each user that has a session, or whose work is lent. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Works {
    store: Store,
    table: Arc<Mutex<HashMap<UserId, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    work: UncancellableWork,
    has_session: bool,
    /// How often it is lent now.
    lent: usize,
}

/// A user's work that is lent. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    work: UncancellableWork,
    user: UserId,
    works: Works,
}

impl Works {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            table: Arc::default(),
        }
    }

    /// The work for the tasks of a session that begins.
    pub(super) fn begin(&self, user: &UserId) -> UncancellableWork {
        let mut table = self.lock();
        let entry = self.entry(&mut table, user);
        entry.has_session = true;
        entry.work.clone()
    }

    /// Takes over the work with which the start has looked at a stored session.
    pub(super) fn adopt(&self, user: &UserId, work: UncancellableWork) {
        let entry = Entry {
            work,
            has_session: true,
            lent: 0,
        };
        self.lock().insert(user.clone(), entry);
    }

    /// Nothing of the session is left.
    pub(super) fn end(&self, user: &UserId) {
        self.release(user, |entry| entry.has_session = false);
    }

    /// Lends a user's work.
    pub(super) fn lend(&self, user: &UserId) -> Lent {
        let mut table = self.lock();
        let entry = self.entry(&mut table, user);
        entry.lent += 1;
        Lent {
            work: entry.work.clone(),
            user: user.clone(),
            works: self.clone(),
        }
    }

    fn entry<'a>(&self, table: &'a mut HashMap<UserId, Entry>, user: &UserId) -> &'a mut Entry {
        table.entry(user.clone()).or_insert_with(|| Entry {
            work: self.store.work(),
            has_session: false,
            lent: 0,
        })
    }

    fn release(&self, user: &UserId, change: impl FnOnce(&mut Entry)) {
        let mut table = self.lock();
        if let Some(entry) = table.get_mut(user) {
            change(entry);
            if !entry.has_session && entry.lent == 0 {
                table.remove(user);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Borrow<UncancellableWork> for Lent {
    fn borrow(&self) -> &UncancellableWork {
        &self.work
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.works.release(&self.user, |entry| entry.lent -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two works are one: what one of them holds, the other counts.
    fn are_one(one: &UncancellableWork, other: &UncancellableWork) -> bool {
        let before = other.len();
        let _held = one.hold();
        other.len() == before + 1
    }

    #[test]
    fn a_user_has_one_work_as_long_as_anybody_has_it() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Store::open(state.path()).expect("a store");
        let works = Works::new(store.clone());
        let alice: UserId = "alice".parse().expect("an id");
        let bob: UserId = "bob".parse().expect("an id");

        // Of a session that begins while its work is lent, and of the next one of the same name.
        let lent = works.lend(&alice);
        let again = works.lend(&alice);
        assert!(are_one(&lent.work, &again.work));
        assert!(!are_one(&lent.work, &works.lend(&bob).work));
        let session = works.begin(&alice);
        assert!(are_one(&session, &lent.work));
        works.end(&alice);
        drop(again);
        let next = works.begin(&alice);
        assert!(are_one(&next, &lent.work));
        drop(lent);
        assert!(are_one(&next, &works.lend(&alice).work));
        works.end(&alice);
        assert!(works.lock().is_empty(), "somebody is left over");

        // Of a stored session the start has made it.
        let stored = store.work();
        works.adopt(&bob, stored.clone());
        assert!(are_one(&stored, &works.lend(&bob).work));
        works.end(&bob);
        works.end(&bob);
        assert!(works.lock().is_empty(), "somebody is left over");
    }
}
