//! Places where a rehearsal makes the daemon hang, fail or die, as `FAILPOINTS` in its environment says.
//!
//! Only in builds with the feature `simulator`; in any other they do nothing. All places:
//!
//! | place | with | does |
//! |---|---|---|
//! | `listener`, `supervisor`, `store`, `configuration` | `pause` | hangs there: the watchdog must notice |
//! | `session_run`, `session_command` | `return(USER)` | that user's task panics as it begins, or at each command |
//! | a [step](crate::store::Step) of the disk: `trash_rename:before`, `erase_file:after`, … | `return(EIO)`, `return(kill)` | the step fails so; the daemon dies there |
//!
//! Before an action may stand how often it is taken: `erase_file:before=2*return(ENOSPC)`.

use std::io;

#[cfg(feature = "simulator")]
pub(crate) use active::{disk, hang, panic, setup};
#[cfg(not(feature = "simulator"))]
pub(crate) use inactive::{disk, hang, panic, setup};

#[cfg(feature = "simulator")]
mod active {
    use fail::{FailScenario, fail_point};
    use nix::errno::Errno;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::io;
    use crate::protocol::UserId;

    /// Reads the environment, for as long as the process runs.
    pub(crate) fn setup() {
        std::mem::forget(FailScenario::setup());
    }

    pub(crate) fn hang(place: &'static str) {
        fail_point!(place);
    }

    pub(crate) fn panic(place: &'static str, user: &UserId) {
        fail_point!(place, |named: Option<String>| {
            let asked = named.is_some_and(|named| named == user.as_str());
            assert!(!asked, "this session was asked to fail");
        });
    }

    pub(crate) fn disk(step: &'static str, moment: &'static str) -> io::Result<()> {
        fail_point!(&format!("{step}:{moment}"), |what: Option<String>| {
            let errno = match what.as_deref() {
                Some("kill") => {
                    let _ = kill(Pid::this(), Signal::SIGKILL);
                    return Ok(());
                }
                Some("EACCES") => Errno::EACCES,
                Some("EROFS") => Errno::EROFS,
                Some("ENOSPC") => Errno::ENOSPC,
                _ => Errno::EIO,
            };
            Err(errno.into())
        });
        Ok(())
    }
}

#[cfg(not(feature = "simulator"))]
mod inactive {
    use super::io;
    use crate::protocol::UserId;

    pub(crate) const fn setup() {}

    pub(crate) const fn hang(_: &'static str) {}

    pub(crate) const fn panic(_: &'static str, _: &UserId) {}

    #[expect(clippy::unnecessary_wraps, reason = "the same shape as in a rehearsal")]
    pub(crate) const fn disk(_: &'static str, _: &'static str) -> io::Result<()> {
        Ok(())
    }
}
