//! How a session's task begins: what is on the disk decides.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::restore;
use crate::message_id;
use crate::protocol::{Failure, FailureCode, PhoneNumber};
use crate::session::{Origin, Outcome, Seat, Standing, look, run};
use crate::store::Record;

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
    Failed { error: String, retry_at: Timestamp },
}

/// A task that ended.
pub(super) enum Life {
    /// It lived.
    Lived(Outcome),
    /// There was nothing on the disk for it, and nobody wanted a new one.
    Unfounded(Seat),
    /// It could not begin.
    Stillborn(Seat, Failure),
}

/// Looks at the disk, and runs the session.
pub(super) async fn live(seat: Seat, birth: Birth) -> Life {
    if matches!(birth, Birth::Failed { .. }) {
        finish_purge(&seat).await;
    }
    let (record, origin) = match (look(&seat.store, &seat.user).await, birth) {
        (Standing::Nothing, Birth::Wanted { owner, phone }) => {
            return begin_new(seat, owner, phone).await;
        }
        (Standing::Nothing, _) => return Life::Unfounded(seat),
        (Standing::Unreadable(error), Birth::Wanted { .. }) => {
            let message = format!("the session of {} cannot be read: {error}", seat.user);
            let failure = Failure::new(FailureCode::StoreFailed, message);
            return Life::Stillborn(seat, failure);
        }
        // Whose it is cannot be read: it is the administrators'.
        (Standing::Unreadable(error), _) => (Record::new(0), Origin::Corrupt(error.to_string())),
        (Standing::Corrupt(why), _) => (Record::new(0), Origin::Corrupt(why)),
        (Standing::Session { record, paired }, Birth::Failed { error, retry_at }) => {
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

async fn begin_new(seat: Seat, owner: u32, phone: Option<PhoneNumber>) -> Life {
    let record = Record::new(owner);
    let (store, user, written) = (seat.store.clone(), seat.user.clone(), record.clone());
    let created = tokio::task::spawn_blocking(move || store.create(&user, &written)).await;
    let why = match created {
        Ok(Ok(())) => return Life::Lived(run(seat, record, Origin::New { phone }).await),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    };
    let message = format!("the session of {} could not be made: {why}", seat.user);
    Life::Stillborn(seat, Failure::new(FailureCode::StoreFailed, message))
}

/// The task before may have failed in the middle of a purge: what it had renamed is finished first.
async fn finish_purge(seat: &Seat) {
    let (store, user) = (seat.store.clone(), seat.user.clone());
    let history = Arc::clone(&seat.history);
    let work = tokio::task::spawn_blocking(move || {
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        restore::finish_purges(&store, &mut history, Some(&user))
    });
    if let Ok(Err(e)) = work.await {
        tracing::error!(
            message_id = message_id::PURGE_FAILED,
            "an interrupted logout could not be finished: {e}"
        );
    }
}
