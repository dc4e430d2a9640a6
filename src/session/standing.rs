//! What stands on the disk for a user, before anything is made of it.

use crate::protocol::UserId;
use crate::store::{Found, Record, Store, StoreError};
use crate::whatsapp::{BUSY, Remains, Stored, look_into};

/// What stands on the disk for a user.
#[derive(Debug)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// A session.
    Session {
        /// Its record.
        record: Box<Record>,
        /// Whether its credentials are an account's.
        paired: bool,
    },
    /// Something that cannot be used, and why. It may hold credentials: nothing is made over it.
    Corrupt(String),
    /// It cannot even be looked at.
    Unreadable(StoreError),
}

/// Looks at the disk.
pub async fn look(store: &Store, user: &UserId, remains: &Remains) -> Standing {
    let (on_disk, whose) = (store.clone(), user.clone());
    let found = remains.spawn_blocking(move || on_disk.find(&whose)).await;
    let record = match found {
        Ok(Ok(Found::Nothing)) => return Standing::Nothing,
        Ok(Ok(Found::Corrupt(why))) => return Standing::Corrupt(why),
        Ok(Ok(Found::Session(record))) => record,
        Ok(Err(e)) => return Standing::Unreadable(e),
        // The blocking call panicked; the hook has said where.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    };
    // A record with an account was written after its credentials; without one, only they can tell.
    if record.account.is_some() {
        return Standing::Session {
            record,
            paired: true,
        };
    }
    match look_into(&store.auth_db(user), remains, BUSY).await {
        Ok(stored) => Standing::Session {
            record,
            paired: matches!(stored, Stored::Paired(_)),
        },
        Err(e) => Standing::Corrupt(e.to_string()),
    }
}
