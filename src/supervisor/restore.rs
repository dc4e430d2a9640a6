//! The start: finishes purges that a crash interrupted, and reads what sessions there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::narration;
use crate::blocking::Room;
use crate::message_id;
use crate::protocol::{HistoryEntry, UserId};
use crate::store::{Found, History, Leftover, Record, Store, StoreError};

/// Between two tries to finish what an interrupted purge left.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What stands on the disk for one user at the start.
pub(super) struct Restored {
    pub(super) user: UserId,
    pub(super) owner: u32,
    /// The id of the user's last line in the history.
    pub(super) last_line: Option<String>,
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
    let disk = store.disk().clone();
    let work = disk.run(move || {
        let history = Arc::new(store.history(history_limit)?);
        let (_, unfinished) = finish(store.leftovers()?, &history);
        Ok(Start {
            sessions: sessions(&store, &history)?,
            history,
            unfinished,
        })
    });
    work.await
}

/// What is in the trash was committed: its line is written if the crash came before, and it is erased.
/// Returns what is finished, and what could not be.
pub(super) fn finish(left: Vec<Leftover>, history: &History) -> (Vec<Leftover>, Vec<Leftover>) {
    left.into_iter()
        .partition(|left| match left.conclude(history) {
            Ok(()) => {
                tracing::info!(wasession_user = %left.user, "finished a logout that was interrupted");
                if let Some(entry) = &left.entry {
                    narration::ended(entry);
                }
                true
            }
            Err(failed) => {
                tracing::error!(
                    message_id = message_id::PURGE_FAILED,
                    wasession_user = %left.user,
                    "{failed}. It is tried again"
                );
                false
            }
        })
}

/// Tries again, at longer and longer intervals, until nothing is left of sessions that are gone.
/// `ended` is called for those whose end the history did not know before.
pub(super) async fn keep_finishing(
    disk: Room,
    mut left: Vec<Leftover>,
    history: Arc<History>,
    ended: impl Fn(&HistoryEntry),
) {
    let is_known = |left: &&Leftover| history.read().contains(&left.id);
    let known: HashSet<_> = left.iter().filter(is_known).map(|l| l.id.clone()).collect();
    let mut pause = FIRST_PAUSE;
    while !left.is_empty() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let history = Arc::clone(&history);
        let (finished, unfinished) = disk.run(move || finish(left, &history)).await;
        let news = finished.iter().filter(|left| !known.contains(&left.id));
        news.filter_map(|left| left.entry.as_ref()).for_each(&ended);
        left = unfinished;
    }
}

fn sessions(store: &Store, history: &History) -> Result<Vec<Restored>, StoreError> {
    let (users, strangers) = store.users()?;
    for stranger in strangers {
        tracing::warn!(
            "{} is not named like a user and is left alone",
            stranger.display()
        );
    }
    let mut last_lines = last_lines(history);
    let restored = users.into_iter().map(|user| {
        let owner = match store.find(&user) {
            Ok(Found::Session(record)) => record.owner,
            // Whose it is cannot be read: it is the administrators'.
            _ => Record::new(0).owner,
        };
        Restored {
            owner,
            last_line: last_lines.remove(&user),
            user,
        }
    });
    Ok(restored.collect())
}

/// The id of each user's last line.
fn last_lines(history: &History) -> HashMap<UserId, String> {
    let mut last = HashMap::new();
    for (id, entry) in history.read().before(None) {
        if !last.contains_key(&entry.user) {
            last.insert(entry.user.clone(), id.to_owned());
        }
    }
    last
}
