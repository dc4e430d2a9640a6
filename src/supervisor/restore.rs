//! The start: finishes purges that a crash interrupted, and finds the stored sessions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::history::last_of;
use super::narration;
use crate::message_id;
use crate::protocol::{HistoryEntry, UserId};
use crate::store::{Found, History, Leftover, Record, Store, StoreError};

/// The time between two tries to finish an interrupted purge.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What is on the disk for one user at the start.
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
    let on_disk = store.clone();
    let begin = move || Ok((on_disk.history(history_limit)?, on_disk.leftovers()?));
    let (history, left) = store.disk().run(begin).await?;
    let history = Arc::new(history);
    let (_, unfinished) = finish(left, &history).await;
    let (on_disk, known) = (store.clone(), Arc::clone(&history));
    let sessions = store.disk().run(move || sessions(&on_disk, &known)).await?;
    Ok(Start {
        sessions,
        history,
        unfinished,
    })
}

/// Finishes removals whose directories are in the trash: writes the line into the history if it is missing,
/// and erases the directory. Returns what is finished, and what could not be finished.
pub(super) async fn finish(
    left: Vec<Leftover>,
    history: &Arc<History>,
) -> (Vec<Leftover>, Vec<Leftover>) {
    let mut tasks = JoinSet::new();
    for mut left in left {
        let history = Arc::clone(history);
        tasks.spawn(async move {
            let is_finished = conclude(&mut left, &history).await;
            (left, is_finished)
        });
    }
    let all = tasks.join_all().await;
    let (finished, unfinished): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, done)| *done);
    let left = |part: Vec<(Leftover, bool)>| part.into_iter().map(|(left, _)| left).collect();
    (left(finished), left(unfinished))
}

async fn conclude(left: &mut Leftover, history: &Arc<History>) -> bool {
    match left.conclude(history).await {
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
    }
}

/// Tries again, at longer and longer intervals, until nothing is left of sessions that are gone.
/// `ended` is called for those whose end the history did not know before.
pub(super) async fn keep_finishing(
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
        let (finished, unfinished) = finish(left, &history).await;
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
    let history = history.read();
    let restored = users.into_iter().map(|user| {
        let owner = match store.find(&user) {
            Ok(Found::Session(record)) => record.owner,
            // Whose it is cannot be read: it is the administrators'.
            _ => Record::new(0).owner,
        };
        Restored {
            owner,
            last_line: last_of(&history, &user, None).map(|(id, _)| id),
            user,
        }
    });
    Ok(restored.collect())
}
