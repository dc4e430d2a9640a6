//! Shared objects that stand between the daemon and the C library.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skipped::skipped;

/// Compiles a shared object into a directory. `None`: there is no compiler, which was said.
pub(crate) fn compile(source: &str, home: &Path) -> Option<PathBuf> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let code = home.join("preloaded.c");
    let object = home.join("preloaded.so");
    std::fs::write(&code, source).expect("write the source");
    let compiled = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
        .args([&object, &code].map(AsRef::<OsStr>::as_ref))
        .arg("-ldl")
        .output();
    match compiled {
        Ok(done) if done.status.success() => Some(object),
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            let compiler = compiler.display();
            skipped(&format!(
                "what stands before the C library: {compiler}: {error}"
            ));
            None
        }
    }
}
