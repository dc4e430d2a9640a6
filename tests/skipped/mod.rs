//! What cannot be tested here is said where it is seen: at once, past the capture of a passing test's
//! output, and once more at the end of `tests/run.sh`, which names a file for it.

use std::fs::File;
use std::io::{Write, stderr};

/// Says that this was not tested, and why.
pub(crate) fn skipped(what: &str) {
    let line = format!("SKIPPED: {what}\n");
    let _ = stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("WASESSIOND_SKIPPED") {
        let list = File::options().append(true).create(true).open(list);
        let written = list.and_then(|mut list| list.write_all(line.as_bytes()));
        written.expect("list what was skipped");
    }
}
