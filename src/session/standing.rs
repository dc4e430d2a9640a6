//! The first look at the disk: what is there for a user.

use crate::blocking::UncancellableWork;
use crate::protocol::UserId;
use crate::store::{CredentialsError, Found, Record, Store, StoreError};
use crate::whatsapp::{Stored, look_into};

/// What is on the disk for a user.
#[derive(Debug, Clone, PartialEq)]
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
    /// Something whose bytes are wrong. It may hold credentials, so nothing is written over it.
    Unusable {
        /// Its record, where that can be read.
        record: Option<Box<Record>>,
        /// Why not.
        why: String,
    },
    /// Something that cannot be opened now: no permission, no descriptors, a disk that fails. That says
    /// nothing about its bytes.
    Unavailable {
        /// Its record, where that can be read.
        record: Option<Box<Record>>,
        /// Why not.
        why: String,
    },
}

/// Looks at the disk.
pub async fn look(store: &Store, user: &UserId, work: &UncancellableWork) -> Standing {
    let (on_disk, whose) = (store.clone(), user.clone());
    let found = work.on_disk(move || on_disk.find(&whose)).await;
    look_further(store, user, work, found).await
}

/// Looks at the rest, where the record was looked for already.
pub(crate) async fn look_further(
    store: &Store,
    user: &UserId,
    work: &UncancellableWork,
    found: Result<Found, StoreError>,
) -> Standing {
    let record = match found {
        Ok(Found::Nothing) => return Standing::Nothing,
        Ok(Found::Session(record)) => record,
        Ok(Found::Unusable { why, .. }) => return Standing::Unusable { record: None, why },
        Err(e) => {
            return Standing::Unavailable {
                record: None,
                why: e.to_string(),
            };
        }
    };
    // A record with an account was written after the credentials. Where the record has no account, only the
    // credentials can tell whether the session is paired.
    // Credentials of a former layout are taken over by a look: at the first start, whether the session is to
    // connect or not.
    let credentials = store.credentials(user);
    let is_paired = record.account.is_some();
    if is_paired && !credentials.are_of_a_former_layout(work).await {
        return Standing::Session {
            record,
            paired: true,
        };
    }
    match look_into(&credentials, work).await {
        Ok(stored) => Standing::Session {
            record,
            paired: is_paired || matches!(stored, Stored::Paired(_)),
        },
        Err(e @ CredentialsError::Unusable { .. }) => Standing::Unusable {
            record: Some(record),
            why: e.to_string(),
        },
        Err(e @ CredentialsError::Unavailable { .. }) => Standing::Unavailable {
            record: Some(record),
            why: e.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn alice(store: &Store) -> UserId {
        let alice: UserId = "alice".parse().expect("an id");
        store.create(&alice, &Record::new(4711)).expect("a session");
        alice
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_used_are_still_their_owners() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Store::open(state.path()).expect("a store");
        let alice = alice(&store);
        std::fs::write(store.vault_db(&alice), b"no database at all").expect("written");
        match look(&store, &alice, &store.work()).await {
            Standing::Unusable {
                record: Some(record),
                ..
            } => assert_eq!(record.owner, 4711),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_unavailable() {
        if nix::unistd::geteuid().is_root() {
            // Root may read everything; a link that leads round in a circle it cannot follow either.
            let state = tempfile::tempdir().expect("a directory");
            let store = Store::open(state.path()).expect("a store");
            let alice = alice(&store);
            let file = store.vault_db(&alice);
            std::os::unix::fs::symlink(&file, &file).expect("a link");
            let standing = look(&store, &alice, &store.work()).await;
            let unavailable = matches!(
                standing,
                Standing::Unavailable {
                    record: Some(_),
                    ..
                }
            );
            assert!(unavailable, "{standing:?}");
            return;
        }
        let state = tempfile::tempdir().expect("a directory");
        let store = Store::open(state.path()).expect("a store");
        let alice = alice(&store);
        let record = store.session_dir(&alice).join("session.toml");
        std::fs::set_permissions(record, Permissions::from_mode(0o000)).expect("a mode");
        let standing = look(&store, &alice, &store.work()).await;
        let unavailable = matches!(standing, Standing::Unavailable { record: None, .. });
        assert!(unavailable, "{standing:?}");
    }
}
