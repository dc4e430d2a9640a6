//! What the demo itself says, beside what wactl prints.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// Prints a line.
pub(crate) fn say(text: &str) {
    // A closed pipe ends the show, not the rehearsal.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints the title of the next scene.
pub(crate) fn scene(title: &str) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
    say(&format!("\n== {number}. {title}"));
}
