//! A session's vault, opened beside the daemon.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use wasessiond::blocking::{Room, UncancellableWork};
use wasessiond::store::{MasterKeys, Vault};

/// The vault in a session's directory. The daemon must be down.
pub(crate) async fn open(state: &Path, user: &str) -> Arc<Vault> {
    let dir = state.join("sessions").join(user);
    open_in(&dir, state).await
}

/// A copy of the vault of a session that runs, and where it is.
pub(crate) async fn copy(state: &Path, user: &str) -> (Arc<Vault>, TempDir) {
    let session = state.join("sessions").join(user);
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["key", "vault.db", "vault.db-wal"] {
        match fs::copy(session.join(name), copy.path().join(name)) {
            // A vault that is idle has no log.
            Err(e) if name.ends_with("-wal") && e.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.expect("a copy")),
        }
    }
    let vault = open_in(copy.path(), state).await;
    (vault, copy)
}

async fn open_in(dir: &Path, state: &Path) -> Arc<Vault> {
    let masters = MasterKeys::load(state, None).expect("the master key");
    let work = UncancellableWork::new(Room::new("disk", 1));
    let vault = Vault::open(dir, &masters, &work).await;
    Arc::new(vault.expect("a vault"))
}
