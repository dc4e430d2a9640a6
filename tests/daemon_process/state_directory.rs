//! The state directory: one daemon, its own user's, and nothing in it stalls a start.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::process::{Client, Home, outcome};
use crate::skipped::skipped;

/// Starts a daemon on this state directory, which ends by itself: its status, and what it said.
fn refused(home: &Home, state: &Path) -> (i32, String) {
    let mut command = home.program();
    command.arg("--state").arg(state);
    command.arg("--socket").arg(home.path("other.sock"));
    let (status, _, told) = outcome(&mut command);
    (status, told)
}

/// A directory that is seen under a second path, too.
struct Bound(PathBuf);

impl Bound {
    fn new(from: &Path, to: PathBuf) -> nix::Result<Self> {
        std::fs::create_dir(&to).expect("a directory");
        let nothing = None::<&str>;
        mount(Some(from), &to, nothing, MsFlags::MS_BIND, nothing).map(|()| Self(to))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn no_second_daemon_by_another_path_or_without_the_lock_file() {
    let home = Home::new();
    let first = home.start();
    let state = home.path("state");
    let held = |state: &Path| {
        let (status, told) = refused(&home, state);
        assert_eq!(status, 75, "{told}");
        assert!(told.contains("held by another wasessiond"), "{told}");
    };
    let link = home.path("link");
    symlink(&state, &link).expect("a link");
    held(&link);
    match Bound::new(&state, home.path("bound")) {
        Ok(bound) => held(&bound.0),
        Err(e) => skipped(&format!("a second daemon through a bind mount: {e}")),
    }
    std::fs::remove_file(state.join("lock")).expect("remove the lock file");
    held(&state);
    held(&link);
    std::fs::write(state.join("lock"), "").expect("another lock file");
    held(&state);
    Client::json(&home.socket()).ping();
    first.stop();
}

#[test]
fn the_directory_of_another_user_is_refused_and_stays_as_it_is() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can give a directory to another user; run this as root");
    }
    let home = Home::new();
    home.start().stop();
    let state = home.path("state");
    let everything = ["", "lock", "sessions", "trash"];
    for part in everything {
        chown(state.join(part), Some(54_321), Some(54_321)).expect("give it away");
    }
    let (status, told) = refused(&home, &state);
    assert_eq!(status, 77, "{told}");
    for word in ["belongs to uid 54321", "runs as uid 0", "--state"] {
        assert!(told.contains(word), "{word:?} is not in\n{told}");
    }
    for part in everything {
        let about = std::fs::metadata(state.join(part)).expect(part);
        assert_eq!(about.uid(), 54_321, "{part}");
    }
}

#[test]
fn pipes_in_it_are_told_and_stall_no_start() {
    let home = Home::new();
    home.start().stop();
    let state = home.path("state");
    for name in ["history.jsonl", "intents.jsonl", "lock"] {
        let file = state.join(name);
        let _ = std::fs::remove_file(&file);
        mkfifo(&file, Mode::S_IRWXU).expect("a pipe");
        let (status, told) = refused(&home, &state);
        assert_eq!(status, 74, "{told}");
        assert!(
            told.contains(name) && told.contains("not a regular file"),
            "{told}"
        );
        std::fs::remove_file(&file).expect("remove it");
    }
    let left = state.join("trash/alice.unlinked.0123456789abcdef");
    std::fs::create_dir(&left).expect("a directory");
    mkfifo(&left.join("session.toml"), Mode::S_IRWXU).expect("a pipe");
    home.start().stop();
    assert!(!left.exists(), "it is erased as anything in the trash");
}
