//! Shared objects that stand between the daemon and the C library.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::skipped::skipped;
use crate::stage::PATIENCE;

/// Compiles a shared object into a directory. `None`: there is no compiler, which was said.
pub(crate) fn compile(source: &str, home: &Path) -> Option<PathBuf> {
    let cc = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let code = home.join("preloaded.c");
    let object = home.join("preloaded.so");
    std::fs::write(&code, source).expect("write the source");
    let compiled = Command::new(&cc)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
        .args([&object, &code].map(AsRef::<OsStr>::as_ref))
        .arg("-ldl")
        .output();
    match compiled {
        Ok(done) if done.status.success() => Some(object),
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            let cc = cc.display();
            skipped(&format!("what stands before the C library: {cc}: {error}"));
            None
        }
    }
}

/// Waits until so many calls have been made that such an object counts, a byte for each.
pub(crate) fn are_made(calls: &Path, least: u64) {
    let until = Instant::now() + PATIENCE;
    while std::fs::metadata(calls).map_or(0, |file| file.len()) < least {
        assert!(Instant::now() < until, "nothing waits");
        // Nobody is told when a file grows.
        std::thread::sleep(Duration::from_millis(5));
    }
}
