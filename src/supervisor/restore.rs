//! The start: finishes purges that a crash interrupted, and finds the stored sessions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::history::last_of;
use super::narration;
use crate::blocking::UncancellableWork;
use crate::deadline::Deadline;
use crate::message_id;
use crate::protocol::{HistoryEntry, UserId};
use crate::store::{Found, History, Leftover, Record, Store, StoreError};

/// The time between two tries to finish an interrupted purge.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How long the start waits for interrupted removals, and how long for the records of all sessions.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long it waits for one record.
const RECORD_WITHIN: Duration = Duration::from_secs(5);
/// Records that are read at a time.
const RECORDS: usize = 8;

/// What is on the disk for one user at the start.
pub(super) struct Restored {
    pub(super) user: UserId,
    pub(super) owner: u32,
    /// What was read of it; `None`: nothing that can be used.
    pub(super) found: Option<Found>,
    /// The user's uncancellable work. A reading that hangs is a part of it.
    pub(super) work: UncancellableWork,
    /// The id of the user's last line in the history.
    pub(super) last_line: Option<String>,
}

/// What the start found.
pub(super) struct Start {
    pub(super) sessions: Vec<Restored>,
    pub(super) history: Arc<History>,
    pub(super) removals: Unfinished,
}

/// Removals that an earlier run did not finish.
pub(super) struct Unfinished {
    /// Those that failed, and are tried again.
    left: Vec<Leftover>,
    /// Those whose disk has not answered yet.
    under_way: JoinSet<(Leftover, bool)>,
    /// The ids of those whose line was in the history before.
    known: HashSet<String>,
}

impl Unfinished {
    /// Those that failed, of which none has to be announced.
    pub(super) fn failed(left: Vec<Leftover>) -> Self {
        Self {
            known: left.iter().map(|left| left.id.clone()).collect(),
            left,
            under_way: JoinSet::new(),
        }
    }
}

/// Finishes interrupted removals, and reads which sessions there are. A file that hangs holds up the start
/// only for a while: its session begins all the same, and its removal is finished later.
pub(super) async fn read(store: &Store, history_limit: usize) -> Result<Start, StoreError> {
    let on_disk = store.clone();
    let begin = move || Ok((on_disk.history(history_limit)?, on_disk.leftovers()?));
    let (history, left) = store.disk().run(begin).await?;
    let history = Arc::new(history);
    let is_known = |left: &&Leftover| history.read().contains(&left.id);
    let known = left.iter().filter(is_known).map(|l| l.id.clone()).collect();
    let mut under_way = begin_to_finish(left, &history);
    let mut left = Vec::new();
    let finishing = async {
        while let Some(Ok((removal, is_finished))) = under_way.join_next().await {
            if !is_finished {
                left.push(removal);
            }
        }
    };
    // What has not ended by then goes on.
    let _ = Deadline::within(START_WITHIN).limit(finishing).await;
    let sessions = sessions(store, &history).await?;
    Ok(Start {
        sessions,
        history,
        removals: Unfinished {
            left,
            under_way,
            known,
        },
    })
}

/// Finishes removals whose directories are in the trash: writes the line into the history if it is missing,
/// and erases the directory. Returns what could not be finished.
pub(super) async fn finish(left: Vec<Leftover>, history: &Arc<History>) -> Vec<Leftover> {
    let all = begin_to_finish(left, history).join_all().await;
    let unfinished = all.into_iter().filter(|(_, is_finished)| !is_finished);
    unfinished.map(|(left, _)| left).collect()
}

fn begin_to_finish(left: Vec<Leftover>, history: &Arc<History>) -> JoinSet<(Leftover, bool)> {
    let tasks = left
        .into_iter()
        .map(|left| finish_one(left, Arc::clone(history)));
    tasks.collect()
}

/// Tries to finish a removal; says whether it is finished.
async fn finish_one(mut left: Leftover, history: Arc<History>) -> (Leftover, bool) {
    let is_finished = conclude(&mut left, &history).await;
    (left, is_finished)
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
    removals: Unfinished,
    history: Arc<History>,
    ended: impl Fn(&HistoryEntry),
) {
    let Unfinished {
        mut left,
        mut under_way,
        known,
    } = removals;
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            Some(done) = under_way.join_next() => match done {
                Ok((removal, true)) if !known.contains(&removal.id) => {
                    removal.entry.iter().for_each(&ended);
                }
                Ok((removal, false)) => left.push(removal),
                // It is finished, or it panicked, which the panic hook has said.
                Ok(_) | Err(_) => {}
            },
            () = sleep(pause), if !left.is_empty() => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                for removal in left.drain(..) {
                    under_way.spawn(finish_one(removal, Arc::clone(&history)));
                }
            }
            else => return,
        }
    }
}

/// The stored sessions. One whose record cannot be read in time belongs to the administrators until its
/// task has read it. One whose record cannot be opened is still its owner's.
async fn sessions(store: &Store, history: &Arc<History>) -> Result<Vec<Restored>, StoreError> {
    let on_disk = store.clone();
    let (users, strangers) = store.disk().run(move || on_disk.users()).await?;
    for stranger in strangers {
        tracing::warn!(
            "{} is not named like a user and is left alone",
            stranger.display()
        );
    }
    let deadline = Deadline::within(START_WITHIN);
    let restored = users.into_iter().map(|user| async move {
        let (on_disk, whose, work) = (store.clone(), user.clone(), store.work());
        let found = work.on_disk(move || on_disk.find(&whose));
        let found = deadline.at_most(RECORD_WITHIN).limit(found).await;
        let found = found.and_then(Result::ok);
        let owner = match &found {
            Some(Found::Session(record)) => record.owner,
            Some(Found::Unusable { owner, .. }) => *owner,
            _ => Record::new(0).owner,
        };
        Restored {
            owner,
            found,
            work,
            last_line: last_of(&history.read(), &user, None).map(|(id, _)| id),
            user,
        }
    });
    Ok(stream::iter(restored).buffered(RECORDS).collect().await)
}
