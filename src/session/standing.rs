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
    /// Something that cannot be used. It may hold credentials: nothing is made over it.
    Corrupt {
        /// Its record, where that can be read.
        record: Option<Box<Record>>,
        /// Why not.
        why: String,
    },
    /// It cannot even be looked at.
    Unreadable(StoreError),
}

/// Looks at the disk.
pub async fn look(store: &Store, user: &UserId, remains: &Remains) -> Standing {
    let (on_disk, whose) = (store.clone(), user.clone());
    let found = remains.spawn_blocking(move || on_disk.find(&whose)).await;
    let record = match found {
        Ok(Ok(Found::Nothing)) => return Standing::Nothing,
        Ok(Ok(Found::Corrupt(why))) => return Standing::Corrupt { record: None, why },
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
        Err(e) => Standing::Corrupt {
            record: Some(record),
            why: e.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_that_cannot_be_used_are_still_their_owners() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Store::open(state.path()).expect("a store");
        let alice: UserId = "alice".parse().expect("an id");
        store.create(&alice, &Record::new(4711)).expect("a session");
        std::fs::write(store.auth_db(&alice), b"no database at all").expect("written");
        match look(&store, &alice, &Remains::default()).await {
            Standing::Corrupt {
                record: Some(record),
                ..
            } => assert_eq!(record.owner, 4711),
            other => panic!("{other:?}"),
        }
    }
}
