//! What stands on the disk for a user, before anything is made of it.

use crate::blocking::UncancellableWork;
use crate::protocol::UserId;
use crate::store::{Found, Record, Store, StoreError};
use crate::whatsapp::{BUSY, Stored, look_into};

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
    Unusable {
        /// Its record, where that can be read.
        record: Option<Box<Record>>,
        /// Why not.
        why: String,
    },
    /// It cannot even be looked at.
    Unavailable(StoreError),
}

/// Looks at the disk.
pub async fn look(store: &Store, user: &UserId, work: &UncancellableWork) -> Standing {
    let (on_disk, whose) = (store.clone(), user.clone());
    let found = work.on_disk(move || on_disk.find(&whose)).await;
    let record = match found {
        Ok(Found::Nothing) => return Standing::Nothing,
        Ok(Found::Unusable(why)) => return Standing::Unusable { record: None, why },
        Ok(Found::Session(record)) => record,
        Err(e) => return Standing::Unavailable(e),
    };
    // A record with an account was written after its credentials; without one, only they can tell.
    if record.account.is_some() {
        return Standing::Session {
            record,
            paired: true,
        };
    }
    match look_into(&store.auth_db(user), work, BUSY).await {
        Ok(stored) => Standing::Session {
            record,
            paired: matches!(stored, Stored::Paired(_)),
        },
        Err(e) => Standing::Unusable {
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
        match look(&store, &alice, &UncancellableWork::default()).await {
            Standing::Unusable {
                record: Some(record),
                ..
            } => assert_eq!(record.owner, 4711),
            other => panic!("{other:?}"),
        }
    }
}
