//! The start: finishes purges that a crash interrupted, and reads what sessions there are.

use std::sync::Arc;
use std::time::Duration;

use super::narration;
use crate::message_id;
use crate::protocol::UserId;
use crate::store::{Found, History, Leftover, Record, Store, StoreError};

/// Between two tries to finish what an interrupted purge left.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What stands on the disk for one user at the start.
pub(super) struct Restored {
    pub(super) user: UserId,
    pub(super) owner: u32,
}

/// What the start found.
pub(super) struct Start {
    pub(super) sessions: Vec<Restored>,
    pub(super) history: Arc<History>,
    /// Purges that could not be finished yet.
    pub(super) unfinished: Vec<Leftover>,
}

/// Finishes interrupted purges, and reads which sessions there are.
pub(super) async fn read(store: &Store, history_limit: usize) -> Result<Start, StoreError> {
    let store = store.clone();
    let work = tokio::task::spawn_blocking(move || {
        let history = Arc::new(store.history(history_limit)?);
        let unfinished = finish(store.leftovers()?, &history);
        Ok(Start {
            sessions: sessions(&store)?,
            history,
            unfinished,
        })
    });
    match work.await {
        Ok(read) => read,
        // The blocking call panicked; the hook has said where.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// What is in the trash was committed: its line is written if the crash came before, and it is erased.
/// Returns what could not be finished.
pub(super) fn finish(left: Vec<Leftover>, history: &History) -> Vec<Leftover> {
    let mut unfinished = Vec::new();
    for left in left {
        match left.conclude(history) {
            Ok(()) => {
                tracing::info!(wasession_user = %left.user, "finished a logout that was interrupted");
                if let Some(entry) = &left.entry {
                    narration::ended(entry);
                }
            }
            Err(failed) => {
                tracing::error!(
                    message_id = message_id::PURGE_FAILED,
                    wasession_user = %left.user,
                    "{failed}. It is tried again"
                );
                unfinished.push(left);
            }
        }
    }
    unfinished
}

/// Tries again, at longer and longer intervals, until nothing is left of sessions that are gone.
pub(super) async fn keep_finishing(mut left: Vec<Leftover>, history: Arc<History>) {
    let mut pause = FIRST_PAUSE;
    while !left.is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let history = Arc::clone(&history);
        let work = tokio::task::spawn_blocking(move || finish(left, &history));
        let Ok(unfinished) = work.await else {
            return;
        };
        left = unfinished;
    }
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
