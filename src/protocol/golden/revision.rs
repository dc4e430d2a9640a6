//! bincode is only spoken between equal revisions, so whatever changes its bytes must raise the revision.
//!
//! `tests/golden/revisions.txt` has a line for each revision: its number, and a checksum of the bytes of
//! every golden message in it.

use std::fmt::Write as _;

use super::{MESSAGES, REQUESTS, in_tree, read};
use crate::protocol::preface::BINCODE_REVISION;

const PATH: &str = "tests/golden/revisions.txt";

/// FNV-1a, which is the same on every machine and in every version of the compiler.
fn checksum(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_revision_is_raised_when_the_bytes_change() {
    let kept = [REQUESTS, MESSAGES].into_iter().flat_map(read);
    let sum = format!("{:016x}", checksum(kept.flat_map(|kept| kept.bincode)));
    let file = in_tree(PATH);
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    let known = |text: &str| {
        let last = text.lines().last()?;
        let (revision, sum) = last.split_once(' ')?;
        Some((revision.parse::<u32>().ok()?, sum.to_owned()))
    };
    let writing = std::env::var_os("WASESSION_GOLDEN").is_some_and(|how| how == "write");
    // The line of a revision is never written over.
    if writing && known(&text).is_none_or(|(revision, _)| revision < BINCODE_REVISION) {
        writeln!(text, "{BINCODE_REVISION} {sum}").expect("text");
        std::fs::write(&file, &text).expect("written");
    }
    assert_eq!(
        known(&text),
        Some((BINCODE_REVISION, sum)),
        "the bytes of bincode are not those of revision {BINCODE_REVISION} any more: raise \
         BINCODE_REVISION in src/protocol/preface.rs, and run the tests with WASESSION_GOLDEN=write"
    );
}
