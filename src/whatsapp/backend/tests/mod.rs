//! The backend beside the library's own stores: the same operations, and then the same answers to every question.

mod conformance;
mod failures;
mod memory;
mod operations;
mod questions;
mod sequences;
mod takeover;

use std::sync::Arc;

use whatsapp_rust::store::SqliteStore;

use self::memory::Memory;
use super::SpaceBackend;

/// The backend over a space in memory, and the space.
fn ours() -> (SpaceBackend, Arc<Memory>) {
    let space = Arc::new(Memory::default());
    (SpaceBackend::new(Arc::clone(&space) as _), space)
}

/// The library's store on a file of its own.
async fn theirs() -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("auth.db");
    let store = SqliteStore::new(path.to_str().expect("UTF-8")).await;
    (store.expect("a store"), dir)
}

/// Runs a test of a property, which is not async.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test)
}
