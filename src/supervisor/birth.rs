//! How a session's task begins: what is on the disk decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::restore;
use crate::deadline::Deadline;
use crate::message_id;
use crate::protocol::{Failure, FailureCode, HistoryEntry, PhoneNumber};
use crate::session::{Ended, Origin, Outcome, SessionContext, Standing, look, run};
use crate::store::{Record, StoreError};

/// After this time a warning says that the work of the earlier task is not over.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// How long the first look at a stored session may take. Then it has a status that says so, before the
/// daemon's start gives up waiting for its first status, and is looked at again.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Why a session's task is started.
pub(super) enum Birth {
    /// Somebody said `connect`, and no task runs.
    Connect {
        owner: u32,
        phone: Option<PhoneNumber>,
    },
    /// It was on the disk when the daemon started.
    Restored,
    /// Its task failed.
    Failed {
        error: String,
        wait: Duration,
        /// Whether the task failed before it had published a status.
        unpublished: bool,
    },
}

/// How a session's task ended.
pub(super) enum TaskExit {
    /// The session ran.
    Ran(Outcome),
    /// There was nothing on the disk, and nobody said `connect`. With the line of the logout that the earlier
    /// task had begun, if there was one.
    NothingOnDisk(SessionContext, Option<Box<HistoryEntry>>),
    /// The session could not begin.
    CouldNotStart(SessionContext, Failure),
}

/// Looks at the disk, and runs the session.
pub(super) async fn run_session(mut context: SessionContext, birth: Birth) -> TaskExit {
    if let Birth::Failed {
        wait: pause,
        unpublished: true,
        ..
    } = &birth
    {
        wait(&mut context, *pause).await;
    }
    let mut entry = None;
    if matches!(birth, Birth::Failed { .. }) {
        wait_for_earlier_work(&context).await;
        entry = finish_purge(&context).await;
    }
    let standing = first_look(&context, &birth).await;
    if matches!(standing, Standing::Nothing | Standing::Session { .. }) {
        tidy(&context).await;
    }
    let (record, origin) = match (standing, birth) {
        (Standing::Nothing, Birth::Connect { owner, phone }) => {
            return begin_new(context, owner, phone).await;
        }
        (Standing::Nothing, _) => return TaskExit::NothingOnDisk(context, entry.map(Box::new)),
        (Standing::Unavailable { why, .. }, Birth::Connect { .. }) => {
            let message = format!(
                "the session of {} cannot be read now: {why}. Try again",
                context.user
            );
            let failure = Failure::new(FailureCode::StoreFailed, message);
            return TaskExit::CouldNotStart(context, failure);
        }
        // Where nobody can read whose session it is, it belongs to uid 0: only admins see it.
        (Standing::Unavailable { record, why }, _) => {
            let record = record.map_or_else(|| Record::new(0), |record| *record);
            (record, Origin::Unavailable(why))
        }
        (Standing::Unusable { record, why }, _) => {
            let record = record.map_or_else(|| Record::new(0), |record| *record);
            (record, Origin::Unusable(why))
        }
        (Standing::Session { record, paired }, Birth::Failed { error, wait, .. }) => {
            let origin = Origin::Failed {
                paired,
                error,
                wait,
            };
            (*record, origin)
        }
        (Standing::Session { record, paired }, Birth::Connect { .. } | Birth::Restored) => {
            (*record, Origin::Stored { paired })
        }
    };
    let outcome = run(context, record, origin).await;
    match outcome.ended {
        // Callers that wait for an answer learn that the session is gone, and ask again.
        Ended::NothingOnDisk(context) => TaskExit::NothingOnDisk(*context, None),
        _ => TaskExit::Ran(outcome),
    }
}

/// Looks at the disk, for a stored session only for a while.
async fn first_look(context: &SessionContext, birth: &Birth) -> Standing {
    let standing = look(&context.store, &context.user, &context.work);
    if matches!(birth, Birth::Connect { .. }) {
        // Whoever asks has a deadline of their own.
        return standing.await;
    }
    let in_time = Deadline::within(LOOK_WITHIN).limit(standing).await;
    in_time.unwrap_or_else(|| Standing::Unavailable {
        record: None,
        why: format!(
            "{} has not answered within {} s",
            context.store.session_dir(&context.user).display(),
            LOOK_WITHIN.as_secs()
        ),
    })
}

/// Clears away files that a crash left beside the record, and a directory that never got one.
async fn tidy(context: &SessionContext) {
    let (store, user) = (context.store.clone(), context.user.clone());
    if let Err(e) = context.work.on_disk(move || store.tidy(&user)).await {
        tracing::warn!("files that an interrupted write left cannot be cleared away: {e}");
    }
}

/// Waits before a task begins again that failed before its first status. Without the wait it would fail as
/// fast as it can begin, at everybody's cost. A command ends the wait. A task that had published a status
/// waits in phase `backing_off`.
async fn wait(context: &mut SessionContext, pause: Duration) {
    tokio::select! {
        () = sleep(pause) => {}
        () = context.stop.cancelled() => {}
        command = context.commands.recv() => context.early = command,
    }
}

async fn begin_new(context: SessionContext, owner: u32, phone: Option<PhoneNumber>) -> TaskExit {
    let record = Record::new(owner);
    let (store, user, written) = (context.store.clone(), context.user.clone(), record.clone());
    let created = context.work.on_disk(move || store.create(&user, &written));
    let why = match created.await {
        Ok(()) => return TaskExit::Ran(run(context, record, Origin::New { phone }).await),
        Err(e) => e.to_string(),
    };
    let message = format!("the session of {} could not be made: {why}", context.user);
    TaskExit::CouldNotStart(context, Failure::new(FailureCode::StoreFailed, message))
}

/// Waits until the uncancellable work of the earlier task is over, such as an opening of the credentials or
/// a rename. The next task must not run at the same time. A disk that hangs holds up its own user only, and
/// commands are answered at their deadlines.
async fn wait_for_earlier_work(context: &SessionContext) {
    if timeout(WARN_AFTER, context.work.gone()).await.is_err() {
        tracing::warn!(
            "the work of the session's earlier task is not over yet, a disk may be hanging"
        );
        context.work.gone().await;
    }
}

/// Finishes a purge in the middle of which the earlier task failed, if it had renamed the session. Returns
/// the line for the history, if there is one.
async fn finish_purge(context: &SessionContext) -> Option<HistoryEntry> {
    let (store, user) = (context.store.clone(), context.user.clone());
    let history = Arc::clone(&context.history);
    let work = context.work.see_through(async move {
        let mut left = store.disk().clone().run(move || store.leftovers()).await?;
        left.retain(|left| left.user == user.as_str());
        let entries = left.iter().filter_map(|left| left.entry.clone());
        let newest = entries.max_by_key(|entry| entry.at);
        Ok::<_, StoreError>((newest, restore::finish(left, &history).await))
    });
    match work.await {
        Ok((entry, unfinished)) => {
            let history = Arc::clone(&context.history);
            // The end of the session is published without this.
            tokio::spawn(restore::keep_finishing(
                restore::Unfinished::failed(unfinished),
                history,
                |_| (),
            ));
            entry
        }
        Err(e) => {
            tracing::error!(
                message_id = message_id::PURGE_FAILED,
                "an interrupted logout could not be finished: {e}"
            );
            None
        }
    }
}
