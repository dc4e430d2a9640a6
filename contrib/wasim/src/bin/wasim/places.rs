//! The default place of the control socket.

use std::path::PathBuf;

/// The path of the control socket: `given`, or else in the runtime directory, or else in the user's own
/// state directory. Never in a directory where others may write.
pub(crate) fn control(given: Option<PathBuf>) -> Result<PathBuf, String> {
    let directory = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    given
        .or_else(|| directory("XDG_RUNTIME_DIR").map(|runtime| runtime.join("wasim.sock")))
        .or_else(|| directory("XDG_STATE_HOME").map(|state| state.join("wasim/wasim.sock")))
        .or_else(|| directory("HOME").map(|home| home.join(".local/state/wasim/wasim.sock")))
        .ok_or_else(|| "no place for the control socket: give one with --control".to_owned())
}
