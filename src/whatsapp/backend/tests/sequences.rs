//! Random sequences of operations, on this backend and on the library's store, and their takeover.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use whatsapp_rust::store::DeviceStore;
use whatsapp_rust::wacore::store::Device;

use super::memory::Memory;
use super::operations::{Operation, any_operation, apply};
use super::questions::{ask, assert_same, take_sent};
use super::{block_on, ours, theirs};
use crate::store::Durability;
use crate::whatsapp::backend::{SpaceBackend, Taken, take_over};

/// Two mappings of one number that were updated at the same moment: which of them counts is left open.
fn distinct(operations: &mut [Operation]) {
    let mut step = 0;
    for operation in operations {
        if let Operation::PutMappings(entries) = operation {
            for (_, _, at) in entries {
                step += 1;
                *at = *at * 1000 + step;
            }
        }
    }
}

async fn run(operations: &[Operation]) {
    let (sqlite, _dir) = theirs().await;
    let (backend, space) = ours();
    let device = Device::new();
    for (step, operation) in operations.iter().enumerate() {
        let expected = apply(operation, &sqlite, &device).await.expect("SQLite");
        let answer = apply(operation, &backend, &device).await.expect("ours");
        assert_eq!(answer, expected, "step {step}: {operation:?}");
        let commits = space.commits();
        assert!(commits.len() <= 1, "{operation:?}: {commits:?}");
    }
    let expected = ask(&sqlite).await;
    assert_same(&ask(&backend).await, &expected, "ours");
    let again = SpaceBackend::new(Arc::clone(&space) as _);
    assert_same(&ask(&again).await, &expected, "after a start");
    assert_eq!(again.trouble().so_far(), None);

    let taken = Arc::new(Memory::default());
    let found = take_over(&sqlite, &*taken, None).await.expect("a takeover");
    if sqlite.exists().await.expect("SQLite") {
        assert_eq!(found, Taken::Now);
        assert_eq!(taken.commits().last(), Some(&Durability::Synced));
        let taken = SpaceBackend::new(taken);
        assert_same(&ask(&taken).await, &expected, "taken over");
        let expected = take_sent(&sqlite).await;
        assert_same(&take_sent(&taken).await, &expected, "taken over");
        assert_same(&take_sent(&backend).await, &expected, "ours");
    } else {
        assert_eq!(found, Taken::Nothing);
        assert!(taken.values().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_answers_as_the_librarys_store_does(mut operations in vec(any_operation(), 1..60)) {
        distinct(&mut operations);
        // The tables of the library need a device before some rows.
        operations.insert(0, Operation::Save(1));
        block_on(run(&operations));
    }
}

#[tokio::test]
async fn a_file_without_a_device_gives_nothing() {
    run(&[Operation::PutSession(0, 1)]).await;
}
