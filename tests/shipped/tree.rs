//! The source tree, and what it must hold.

use std::fmt::Write as _;
use std::path::PathBuf;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn read(name: &str) -> String {
    let text = std::fs::read_to_string(path(name));
    text.unwrap_or_else(|e| panic!("{name} must be in the tree: {e}"))
}

/// Compares a checked-in file with what is made now, or writes it.
pub(crate) fn same(name: &str, made: &str) {
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path(name), made).unwrap_or_else(|e| panic!("{name} is not written: {e}"));
        return;
    }
    let there = std::fs::read_to_string(path(name)).unwrap_or_default();
    if there == made {
        return;
    }
    let mut told = format!(
        "{name} is not what the program makes now. Write it with `BLESS=1 cargo test --test shipped \
         checked_in`, and look at what changed."
    );
    let (mut old, mut new) = (there.lines(), made.lines());
    let mut line = 1;
    loop {
        let pair = (old.next(), new.next());
        if pair.0 != pair.1 {
            let (old, new) = (pair.0.unwrap_or("(end)"), pair.1.unwrap_or("(end)"));
            let _ = write!(told, " The first is line {line}:\n-{old}\n+{new}");
            break;
        }
        if pair.0.is_none() {
            break;
        }
        line += 1;
    }
    panic!("{told}");
}
