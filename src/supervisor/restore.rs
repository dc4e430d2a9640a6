//! The start: finishes purges that a crash interrupted, and reads what sessions there are.

use super::narration;
use crate::message_id;
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
        let mut history = store.history(history_limit)?;
        finish_purges(&store, &mut history, None)?;
        Ok((sessions(&store)?, history))
    });
    match work.await {
        Ok(read) => read,
        // The blocking call panicked; the hook has said where.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// What is in the trash was committed: its line is written if the crash came before, and it is erased.
/// With `only`, that of this user: those of others may be under way.
pub(super) fn finish_purges(
    store: &Store,
    history: &mut History,
    only: Option<&UserId>,
) -> Result<(), StoreError> {
    let left = store.leftovers()?.into_iter();
    for left in left.filter(|left| only.is_none_or(|user| left.user == user.as_str())) {
        if let Some(entry) = &left.entry {
            history.append(&left.id, entry)?;
            tracing::info!(wasession_user = %entry.user, "finished a logout that was interrupted");
            narration::ended(entry);
        }
        // It is nobody's session any more; what cannot be erased is tried again at the next start.
        if let Err(failed) = left.erase() {
            tracing::error!(
                message_id = message_id::PURGE_FAILED,
                wasession_user = %left.user,
                "{failed}. Remove the obstacle; it is erased at the next start"
            );
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
