//! Where the daemon's socket is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable that names the socket.
pub const SOCKET_VARIABLE: &str = "WASESSIOND_SOCKET";

/// The socket of the system's daemon.
pub const SYSTEM_SOCKET: &str = "/run/wasessiond/control.sock";

/// The socket to connect to: the given one; else [`SOCKET_VARIABLE`]; else the one of the user's own
/// daemon, `$XDG_RUNTIME_DIR/wasessiond/control.sock`, where that exists; else [`SYSTEM_SOCKET`].
#[must_use]
pub fn socket_path(given: Option<&Path>) -> PathBuf {
    resolve(given, |name| std::env::var_os(name), Path::exists)
}

fn resolve(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> PathBuf {
    // An empty variable counts as one that is not set.
    let path = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = given {
        return path.to_owned();
    }
    if let Some(path) = path(SOCKET_VARIABLE) {
        return path;
    }
    path("XDG_RUNTIME_DIR")
        .map(|directory| directory.join("wasessiond/control.sock"))
        .filter(|path| exists(path))
        .unwrap_or_else(|| PathBuf::from(SYSTEM_SOCKET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wins() {
        let own = "/run/user/7/wasessiond/control.sock";
        for (given, named, runtime, exists, expected) in [
            (Some("/a"), Some("/b"), Some("/run/user/7"), true, "/a"),
            (None, Some("/b"), Some("/run/user/7"), true, "/b"),
            (None, None, Some("/run/user/7"), true, own),
            (None, Some(""), Some("/run/user/7"), true, own),
            (None, None, Some("/run/user/7"), false, SYSTEM_SOCKET),
            (None, None, Some(""), true, SYSTEM_SOCKET),
            (None, None, None, true, SYSTEM_SOCKET),
        ] {
            let variable = |name: &str| match name {
                SOCKET_VARIABLE => named.map(OsString::from),
                "XDG_RUNTIME_DIR" => runtime.map(OsString::from),
                _ => None,
            };
            let found = resolve(given.map(Path::new), variable, |_| exists);
            assert_eq!(found, Path::new(expected));
        }
    }
}
