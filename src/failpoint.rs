//! Places where a rehearsal makes the daemon hang, fail or die, as `FAILPOINTS` in its environment says.
//!
//! Only in builds with the feature `simulator`; in any other they do nothing. All places:
//!
//! | place | with | does |
//! |---|---|---|
//! | `listener`, `supervisor`, `store`, `configuration` | `pause` | hangs there: the watchdog must notice |
//! | `session_run`, `session_command` | `return(USER)` | that user's task panics as it begins, or at each command |
//! | `disk_hang` | `return(USER:FILE)` | calls to the disk about that user hang for as long as this file exists |
//! | a [step](crate::store::Step) of the disk: `trash_rename:before`, `erase_file:after`, … | `return(EIO)`, `return(kill)` | the step fails so; the daemon dies there |
//!
//! Before an action may stand how often it is taken: `erase_file:before=2*return(ENOSPC)`.

use std::io;

#[cfg(feature = "simulator")]
pub(crate) use active::{disk, disk_of, hang, panic, setup};
#[cfg(not(feature = "simulator"))]
pub(crate) use inactive::{disk, disk_of, hang, panic, setup};

#[cfg(feature = "simulator")]
mod active {
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use fail::{FailScenario, fail_point};
    use nix::errno::Errno;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::io;
    use crate::protocol::UserId;

    /// Nobody is told when a file goes.
    const LOOK_AGAIN: Duration = Duration::from_millis(10);

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

    /// Hangs where a disk would that does not answer for one user's directory.
    pub(crate) fn disk_of(user: &UserId) {
        fail_point!("disk_hang", |what: Option<String>| {
            let named = what.as_deref().and_then(|what| what.split_once(':'));
            if let Some((named, file)) = named
                && named == user.as_str()
            {
                while Path::new(file).exists() {
                    thread::sleep(LOOK_AGAIN);
                }
            }
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

    pub(crate) const fn disk_of(_: &UserId) {}

    #[expect(clippy::unnecessary_wraps, reason = "the same shape as in a rehearsal")]
    pub(crate) const fn disk(_: &'static str, _: &'static str) -> io::Result<()> {
        Ok(())
    }
}
