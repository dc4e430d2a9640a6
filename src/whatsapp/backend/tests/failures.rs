//! Spaces that fail, and values that are damaged: nothing half, and nothing that looks like "not there".

use whatsapp_rust::wacore::store::Device;

use super::conformance::of_every_kind;
use super::operations::{Operation as O, apply};
use super::ours;
use super::questions::{ask, assert_same, take_sent};
use crate::store::{Durability, SpaceError};
use crate::whatsapp::backend::{Fault, SpaceBackend, kinds};

fn full() -> SpaceError {
    SpaceError::Unavailable {
        why: "no room on the disk".to_owned(),
    }
}

/// Whether this operation must survive a loss of power.
fn is_synced(operation: &O) -> bool {
    match operation {
        O::PutIdentity(..)
        | O::PutIdentities(_)
        | O::DeleteIdentity(_)
        | O::PutSession(..)
        | O::PutSessions(_)
        | O::DeleteSession(_)
        | O::StorePrekey(..)
        | O::StorePrekeys(..)
        | O::MarkUploaded(_)
        | O::RemovePrekey(_)
        | O::StoreSigned(..)
        | O::RemoveSigned(_)
        | O::PutSenderKey(..)
        | O::PutSenderKeys(_)
        | O::DeleteSenderKey(_)
        | O::SetSyncKey(..)
        | O::ClearGroup(_)
        | O::DeleteRows(_)
        | O::ClearAllGroups
        | O::SaveBase(..)
        | O::DeleteBase(..)
        | O::Pending(..)
        | O::PendingBatch(_)
        | O::Save(_) => true,
        O::SetStatus(_, entries) => entries.iter().any(|(_, has_key)| !has_key),
        _ => false,
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error_and_changes_nothing() {
    let (backend, space) = ours();
    let device = Device::new();
    for operation in of_every_kind() {
        let before = space.values();
        let answers = ask(&backend).await;
        let fresh = SpaceBackend::new(std::sync::Arc::clone(&space) as _);
        space.fail_commits(Some(full()));
        let failed = apply(&operation, &fresh, &device).await;
        space.fail_commits(None);
        assert_eq!(space.values(), before, "{operation:?}");
        assert_same(&ask(&fresh).await, &answers, &format!("{operation:?}"));
        let trouble = fresh.trouble().so_far();
        space.commits();
        // The other backend does it, so that the next operation has something to meet.
        apply(&operation, &backend, &device).await.expect("done");
        let commits = space.commits();
        assert!(commits.len() <= 1, "{operation:?}");
        let Some(&durability) = commits.first() else {
            // There was nothing to be changed.
            continue;
        };
        let expected = if is_synced(&operation) {
            Durability::Synced
        } else {
            Durability::Eventual
        };
        assert_eq!(durability, expected, "{operation:?}");
        let error = failed.expect_err("it could not be written");
        assert_eq!(
            trouble.is_some(),
            durability == Durability::Synced,
            "{operation:?}"
        );
        let source = std::error::Error::source(&error).expect("a source");
        let fault = source.downcast_ref::<Fault>();
        assert!(matches!(fault, Some(Fault::Unavailable(_))), "{error:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let (backend, space) = ours();
    let device = Device::new();
    for operation in of_every_kind() {
        apply(&operation, &backend, &device).await.expect("done");
    }
    let before = space.values();
    space.fail_reads(Some(full()));
    for (question, answer) in ask(&backend).await {
        assert_eq!(answer, None, "{question}");
    }
    for (question, answer) in take_sent(&backend).await {
        assert_eq!(answer, None, "{question}");
    }
    assert_eq!(space.values(), before);
    let fault = backend.trouble().arises().await;
    assert_eq!(fault, Fault::Unavailable("no room on the disk".to_owned()));
    space.fail_reads(Some(SpaceError::ClaimLost));
    ask(&backend).await;
    assert_eq!(backend.trouble().so_far(), Some(Fault::ClaimLost));
}

/// Changes the bytes of a value.
type Damage = fn(&mut Vec<u8>);

#[tokio::test]
async fn a_damaged_value_is_an_error_and_never_absent() {
    let (backend, space) = ours();
    let device = Device::new();
    for operation in of_every_kind() {
        apply(&operation, &backend, &device).await.expect("done");
    }
    let (sound, bytes) = (ask(&backend).await, space.values());
    let damages: [(&str, Damage); 3] = [
        ("another format", |value| value[0] = 2),
        ("empty", |value| value.clear()),
        ("half of it", |value| value.truncate(value.len() / 2)),
    ];
    for (name, damage) in damages {
        for kind in kinds::ALL {
            // What is the library's own is checked by the library, and its bytes by the space.
            let is_raw = [
                kinds::SESSION,
                kinds::SIGNED_PREKEY,
                kinds::SENDER_KEY,
                kinds::BASE_KEY,
                kinds::GROUP_METADATA,
            ]
            .contains(&kind);
            if is_raw && name == "half of it" {
                continue;
            }
            let (fresh, copy) = ours();
            for ((kind, group, name), value) in &bytes {
                let place = crate::store::Place::new(*kind, group, name);
                let put = crate::store::Change::Put(place, value.clone());
                let batch = crate::store::Batch {
                    changes: vec![put],
                    durability: Durability::Synced,
                };
                crate::store::Space::commit(&*copy, batch)
                    .await
                    .expect("committed");
            }
            copy.damage(|it, value| {
                if it == kind {
                    damage(value);
                }
            });
            let mut errors = 0;
            for (answer, sound) in ask(&fresh).await.iter().zip(&sound) {
                if answer.1.is_none() {
                    errors += 1;
                } else {
                    assert_eq!(answer, sound, "{kind:?}, {name}");
                }
            }
            if kind == kinds::SENT_MESSAGE {
                let taken = take_sent(&fresh).await;
                errors += taken.iter().filter(|(_, answer)| answer.is_none()).count();
            }
            assert!(errors > 0, "{kind:?}, {name}");
            let fault = fresh.trouble().so_far();
            assert!(
                matches!(fault, Some(Fault::Unusable(_))),
                "{kind:?}, {name}"
            );
        }
    }
}
