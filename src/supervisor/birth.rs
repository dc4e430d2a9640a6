//! How a session's task begins: what is on the disk decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::restore;
use crate::message_id;
use crate::protocol::{Failure, FailureCode, HistoryEntry, PhoneNumber};
use crate::session::{Origin, Outcome, Seat, Standing, look, run};
use crate::store::{Record, StoreError};

/// How long what the task before had begun may take to be over before that is worth a warning.
const REMAINS: Duration = Duration::from_secs(5);

/// Why a session's task is started.
pub(super) enum Birth {
    /// Somebody said `connect`, and no task runs.
    Wanted {
        owner: u32,
        phone: Option<PhoneNumber>,
    },
    /// It was on the disk when the daemon started.
    Restored,
    /// Its task failed.
    Failed {
        error: String,
        retry_at: Timestamp,
        /// It failed before it had told a status.
        unheard: bool,
    },
}

/// A task that ended.
pub(super) enum Life {
    /// It lived.
    Lived(Outcome),
    /// There was nothing on the disk for it, and nobody wanted a new one. With the line of the logout
    /// that the task before it had begun.
    Unfounded(Seat, Option<Box<HistoryEntry>>),
    /// It could not begin.
    Stillborn(Seat, Failure),
}

/// Looks at the disk, and runs the session.
pub(super) async fn live(mut seat: Seat, birth: Birth) -> Life {
    if let Birth::Failed {
        retry_at,
        unheard: true,
        ..
    } = &birth
    {
        wait(&mut seat, *retry_at).await;
    }
    let mut entry = None;
    if matches!(birth, Birth::Failed { .. }) {
        nothing_remains(&seat).await;
        entry = finish_purge(&seat).await;
    }
    let (record, origin) = match (look(&seat.store, &seat.user, &seat.remains).await, birth) {
        (Standing::Nothing, Birth::Wanted { owner, phone }) => {
            return begin_new(seat, owner, phone).await;
        }
        (Standing::Nothing, _) => return Life::Unfounded(seat, entry.map(Box::new)),
        (Standing::Unreadable(error), Birth::Wanted { .. }) => {
            let message = format!("the session of {} cannot be read: {error}", seat.user);
            let failure = Failure::new(FailureCode::StoreFailed, message);
            return Life::Stillborn(seat, failure);
        }
        // Where it cannot be read whose it is, it is the administrators'.
        (Standing::Unreadable(error), _) => (Record::new(0), Origin::Corrupt(error.to_string())),
        (Standing::Corrupt { record, why }, _) => {
            let record = record.map_or_else(|| Record::new(0), |record| *record);
            (record, Origin::Corrupt(why))
        }
        (
            Standing::Session { record, paired },
            Birth::Failed {
                error, retry_at, ..
            },
        ) => {
            let origin = Origin::Failed {
                paired,
                error,
                retry_at,
            };
            (*record, origin)
        }
        (Standing::Session { record, paired }, Birth::Wanted { .. } | Birth::Restored) => {
            (*record, Origin::Stored { paired })
        }
    };
    Life::Lived(run(seat, record, origin).await)
}

/// One that got as far as its first status waits by itself. One that did not would fail as fast as it
/// can begin, at everybody's cost. Whoever asks for something does not wait.
async fn wait(seat: &mut Seat, until: Timestamp) {
    tokio::select! {
        () = seat.clock.until(Some(until)) => {}
        () = seat.stop.cancelled() => {}
        command = seat.commands.recv() => seat.early = command,
    }
}

async fn begin_new(seat: Seat, owner: u32, phone: Option<PhoneNumber>) -> Life {
    let record = Record::new(owner);
    let (store, user, written) = (seat.store.clone(), seat.user.clone(), record.clone());
    let created = seat
        .remains
        .spawn_blocking(move || store.create(&user, &written));
    let why = match created.await {
        Ok(Ok(())) => return Life::Lived(run(seat, record, Origin::New { phone }).await),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    };
    let message = format!("the session of {} could not be made: {why}", seat.user);
    Life::Stillborn(seat, Failure::new(FailureCode::StoreFailed, message))
}

/// The task before was ended in the middle of something. What cannot be broken off (an opening of the
/// credentials, a rename) is still under way then, and must not be met halfway. A disk that hangs holds
/// up its own user: commands are answered at their deadlines.
async fn nothing_remains(seat: &Seat) {
    if timeout(REMAINS, seat.remains.gone()).await.is_err() {
        tracing::warn!("what its task had begun is not over yet, a disk may be hanging");
        seat.remains.gone().await;
    }
}

/// The task before may have failed in the middle of a purge: what it had renamed is finished first.
/// Returns the line of it, if there is something.
async fn finish_purge(seat: &Seat) -> Option<HistoryEntry> {
    let (store, user) = (seat.store.clone(), seat.user.clone());
    let history = Arc::clone(&seat.history);
    let work = seat.remains.spawn_blocking(move || {
        let mut left = store.leftovers()?;
        left.retain(|left| left.user == user.as_str());
        let entries = left.iter().filter_map(|left| left.entry.clone());
        let newest = entries.max_by_key(|entry| entry.at);
        Ok::<_, StoreError>((newest, restore::finish(left, &history).1))
    });
    match work.await {
        Ok(Ok((entry, unfinished))) => {
            let history = Arc::clone(&seat.history);
            // Its end is told without this.
            tokio::spawn(restore::keep_finishing(unfinished, history, |_| ()));
            entry
        }
        Ok(Err(e)) => {
            tracing::error!(
                message_id = message_id::PURGE_FAILED,
                "an interrupted logout could not be finished: {e}"
            );
            None
        }
        // It panicked; the hook has said where.
        Err(_) => None,
    }
}
