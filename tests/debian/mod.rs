//! The Debian package of this build, for the tests that install it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::skipped::skipped;

/// What the newer package's configuration file says besides.
pub(crate) const NEWER: &str = "# Of the newer version.\n";

/// One package in two versions, which differ in their number and their configuration file.
pub(crate) struct Packages {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    _directory: TempDir,
}

impl Packages {
    /// `None`: they cannot be made here, which was said. Making them takes seconds: once a test.
    pub(crate) fn make() -> Option<Self> {
        let asked = Command::new(env!("CARGO"))
            .args(["deb", "--version"])
            .output();
        if !asked.is_ok_and(|answer| answer.status.success()) || !has("dpkg-deb") {
            skipped("the Debian package is not tested: there is no cargo-deb or no dpkg here");
            return None;
        }
        let directory = programs();
        let [old, new] = ["1.deb", "2.deb"].map(|name| directory.path().join(name));
        run(Command::new(env!("CARGO"))
            // The build's own directory is no business of the package's.
            .env("CARGO_TARGET_DIR", directory.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["deb", "--no-build", "--offline", "--no-dbgsym", "--strip"])
            .args(["--fast", "--deb-version", "1", "--output"])
            .arg(&old));
        // Compressing it again would take longer than all the rest.
        let unpacked = directory.path().join("unpacked");
        run(Command::new("dpkg-deb").arg("-R").arg(&old).arg(&unpacked));
        edit(&unpacked.join("DEBIAN/control"), |text| {
            text.replace("\nVersion: 1\n", "\nVersion: 2\n")
        });
        let configuration = unpacked.join("etc/wasessiond/config.toml");
        edit(&configuration, |text| text + NEWER);
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "-b"])
            .args([&unpacked, &new]));
        Some(Self {
            old,
            new,
            _directory: directory,
        })
    }
}

fn edit(file: &Path, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(file).expect("a file of the package");
    std::fs::write(file, change(text)).expect("written");
}

/// A directory with the two programs as `cargo build --release` leaves them, but of this build.
pub(crate) fn programs() -> TempDir {
    let target = tempfile::tempdir().expect("a directory");
    let release = target.path().join("release");
    std::fs::create_dir(&release).expect("a directory");
    for (name, program) in [
        ("wasessiond", env!("CARGO_BIN_EXE_wasessiond")),
        ("wactl", env!("CARGO_BIN_EXE_wactl")),
    ] {
        symlink(program, release.join(name)).expect("a link");
    }
    target
}

fn has(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// Runs a command that must succeed, and returns what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{said}");
    said
}
