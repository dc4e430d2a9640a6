//! The start: finishes purges that a crash interrupted, and reads what sessions there are.

use std::sync::{Mutex, PoisonError};

use crate::protocol::UserId;
use crate::store::{Found, History, Record, Store, StoreError};

/// What stands on the disk for one user at the start.
pub(super) struct Restored {
    pub(super) user: UserId,
    pub(super) owner: u32,
}

/// Finishes interrupted purges, and reads which sessions there are.
pub(super) async fn read(
    store: &Store,
    history_limit: usize,
) -> Result<(Vec<Restored>, History), StoreError> {
    let store = store.clone();
    let work = tokio::task::spawn_blocking(move || {
        let history = Mutex::new(store.history(history_limit)?);
        finish_purges(&store, &history, None)?;
        let history = history.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((sessions(&store)?, history))
    });
    match work.await {
        Ok(read) => read,
        // The blocking call panicked; the hook has said where.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// What is in the trash was committed: its line is written if the crash came before, and it is erased.
/// With `only`, that of this user: those of others may be under way. The history is free while it
/// erases: others write to it and read from it.
pub(super) fn finish_purges(
    store: &Store,
    history: &Mutex<History>,
    only: Option<&UserId>,
) -> Result<(), StoreError> {
    let left = store.leftovers()?.into_iter();
    for left in left.filter(|left| only.is_none_or(|user| left.user == user.as_str())) {
        if let Some(entry) = &left.entry {
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            history.append(&left.id, entry)?;
            drop(history);
            tracing::info!(user = %entry.user, "finished a logout that was interrupted");
        }
        // It is nobody's session any more; what cannot be erased is tried again at the next start.
        if let Err(failed) = left.erase() {
            tracing::error!("{failed}. Remove the obstacle; it is erased at the next start");
        }
    }
    Ok(())
}

fn sessions(store: &Store) -> Result<Vec<Restored>, StoreError> {
    let (users, strangers) = store.users()?;
    for stranger in strangers {
        tracing::warn!(
            "{} is not named like a user and is left alone",
            stranger.display()
        );
    }
    let restored = users.into_iter().map(|user| {
        let owner = match store.find(&user) {
            Ok(Found::Session(record)) => record.owner,
            // Whose it is cannot be read: it is the administrators'.
            _ => Record::new(0).owner,
        };
        Restored { user, owner }
    });
    Ok(restored.collect())
}
