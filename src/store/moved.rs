//! The sessions that this run of the daemon has moved to the trash and not erased yet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::protocol::UserId;

/// The directories in the trash that belong to removals of this run, by user. What earlier runs left there
/// is not among them. So what concerns one user costs the same however much is in the trash.
#[derive(Debug, Default)]
pub(super) struct Moved(Mutex<HashMap<UserId, Vec<PathBuf>>>);

impl Moved {
    /// Notes where a session is about to be moved.
    pub(super) fn note(&self, user: &UserId, dir: &Path) {
        let mut all = self.lock();
        let dirs = all.entry(user.clone()).or_default();
        if !dirs.iter().any(|known| known == dir) {
            dirs.push(dir.to_owned());
        }
    }

    /// Forgets a directory that is erased.
    pub(super) fn forget(&self, user: &UserId, dir: &Path) {
        let mut all = self.lock();
        if let Some(dirs) = all.get_mut(user) {
            dirs.retain(|known| known != dir);
            if dirs.is_empty() {
                all.remove(user);
            }
        }
    }

    /// Takes what is noted for a user, in the order in which it was noted.
    pub(super) fn take(&self, user: &UserId) -> Vec<PathBuf> {
        self.lock().remove(user).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Vec<PathBuf>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
