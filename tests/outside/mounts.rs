//! A daemon with files and file systems of its own, in a mount namespace that goes with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use crate::daemon::PROGRAM;
use crate::skipped::skipped;

/// Why the daemon cannot be given mounts of its own here. `None`: it can.
fn obstacle(script: &str, arguments: &[&Path]) -> Option<String> {
    if !geteuid().is_root() {
        return Some("it needs root, for a mount namespace".to_owned());
    }
    let tried = within(script, arguments).arg("true").output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

fn within(script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc"])
        .arg(format!("{script}\nshift {}\nexec \"$@\"", arguments.len()))
        .arg("sh")
        .args(arguments);
    command
}

/// The daemon after this script, which mounts what it will see; `$1` and so on are the arguments.
/// `None`: this machine cannot do it, which was said.
pub(crate) fn daemon(what: &str, script: &str, arguments: &[&Path]) -> Option<Command> {
    if let Some(why) = obstacle(script, arguments) {
        skipped(&format!("{what}: {why}"));
        return None;
    }
    let mut command = within(script, arguments);
    command.arg(PROGRAM);
    Some(command)
}

/// A path as the daemon with this pid sees it.
pub(crate) fn seen_by(pid: i32, path: &Path) -> PathBuf {
    let mut seen = PathBuf::from(format!("/proc/{pid}/root"));
    seen.extend(path.components().skip(1));
    seen
}
