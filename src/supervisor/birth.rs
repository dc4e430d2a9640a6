//! How a session's task begins: what is on the disk decides.

use jiff::Timestamp;

use crate::protocol::{Failure, FailureCode, PhoneNumber};
use crate::session::{Origin, Outcome, Seat, run};
use crate::store::{Found, Record, StoreError};
use crate::whatsapp::{Stored, look_into};

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
    let (store, user) = (seat.store.clone(), seat.user.clone());
    let looked = tokio::task::spawn_blocking(move || store.find(&user)).await;
    let found = match looked {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => return unreadable(seat, birth, &e).await,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    };
    match (found, birth) {
        (Found::Nothing, Birth::Wanted { owner, phone }) => begin_new(seat, owner, phone).await,
        (Found::Nothing, _) => Life::Unfounded(seat),
        (Found::Corrupt(why), _) => {
            Life::Lived(run(seat, Record::new(0), Origin::Corrupt(why)).await)
        }
        (Found::Session(record), birth) => begin_stored(seat, *record, birth).await,
    }
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

async fn begin_stored(seat: Seat, record: Record, birth: Birth) -> Life {
    // A record with an account was written after its credentials; without one, only they can tell.
    let paired = if record.account.is_some() {
        Ok(true)
    } else {
        look_into(&seat.store.auth_db(&seat.user))
            .await
            .map(|stored| matches!(stored, Stored::Paired(_)))
    };
    let origin = match (paired, birth) {
        (Err(e), _) => Origin::Corrupt(e.to_string()),
        (Ok(paired), Birth::Failed { error, retry_at }) => Origin::Failed {
            paired,
            error,
            retry_at,
        },
        (Ok(paired), Birth::Wanted { .. } | Birth::Restored) => Origin::Stored { paired },
    };
    Life::Lived(run(seat, record, origin).await)
}

/// The directory cannot even be looked at. It may hold credentials, so nothing is made over it.
async fn unreadable(seat: Seat, birth: Birth, error: &StoreError) -> Life {
    match birth {
        Birth::Wanted { .. } => {
            let message = format!("the session of {} cannot be read: {error}", seat.user);
            Life::Stillborn(seat, Failure::new(FailureCode::StoreFailed, message))
        }
        Birth::Restored | Birth::Failed { .. } => {
            Life::Lived(run(seat, Record::new(0), Origin::Corrupt(error.to_string())).await)
        }
    }
}
