//! A bounded run of what the fuzzer does, on any toolchain: everything in the corpus, changes of it, and
//! bytes at random.

// The bodies of a fuzzer's targets fail as tests do.
#[allow(clippy::panic)]
mod bodies;
#[cfg(feature = "simulator")]
mod conversation;

use std::path::Path;

use proptest::prelude::*;
use wasessiond::protocol::codec::Encoding;

/// The corpus of a target: what is checked in, and what a fuzzer found here.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&directory).expect("a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{} is all but empty", directory.display());
    let read = paths
        .iter()
        .map(|path| std::fs::read(path).expect("its bytes"));
    read.collect()
}

/// One of these with some bytes changed, cut out, or put in; or nothing but noise.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits =
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..8);
    let edited = (prop::sample::select(seeds), edits).prop_map(|(mut bytes, edits)| {
        for (place, byte, kind) in edits {
            let place = place.index(bytes.len() + 1);
            match (kind, bytes.get_mut(place)) {
                (0, Some(old)) => *old = byte,
                (1, Some(_)) => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    });
    prop_oneof![9 => edited, 1 => proptest::collection::vec(any::<u8>(), 0..512)]
}

fn play(target: &str, cases: u32, body: impl Fn(&[u8])) {
    let seeds = corpus(target);
    for bytes in &seeds {
        body(bytes);
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        // What fails is kept by hand: as a file in the corpus.
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let played = runner.run(&changed(seeds), |bytes| {
        body(&bytes);
        Ok(())
    });
    played.expect("every case holds");
}

#[test]
fn requests_of_any_bytes() {
    play("request", 20_000, bodies::request);
}

#[test]
fn messages_of_any_bytes() {
    play("message", 20_000, bodies::message);
}

#[test]
fn prefaces_of_any_bytes() {
    play("preface", 20_000, bodies::preface);
}

#[cfg(feature = "simulator")]
#[test]
fn conversations_of_any_bytes() {
    play("conversation", 300, conversation::hold);
}

/// The corpus is what it is for: most of it can be read.
#[test]
fn the_corpus_holds_what_can_be_read() {
    use wasessiond::protocol::{Message, Request};

    fn readable<T: serde::de::DeserializeOwned>(target: &str) -> usize {
        let can = |bytes: &Vec<u8>| {
            [Encoding::Bincode, Encoding::Json]
                .iter()
                .any(|encoding| encoding.decode::<T>(bytes).is_ok())
        };
        corpus(target).iter().filter(|bytes| can(bytes)).count()
    }
    assert!(readable::<Request>("request") >= 24);
    assert!(readable::<Message>("message") >= 24);
}
