//! How many files this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many as it is allowed to ask for: the simulator has a socket for each session.
pub(crate) fn raise() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a higher limit");
}
