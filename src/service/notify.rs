//! Notifications to the service manager: ready, reloading, stopping, alive, and one true line of status.
//!
//! All of it does nothing where no service manager listens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Speaks to the service manager.
#[derive(Debug, Default)]
pub struct Notifier {
    telling: Mutex<Telling>,
}

#[derive(Debug, Default)]
struct Telling {
    /// A sentence after the summary: a reload that failed.
    notice: Option<String>,
    /// The last status line.
    said: String,
    /// The stop was announced: whatever ends after it must not say otherwise.
    stopping: bool,
}

fn send(state: &[NotifyState<'_>]) {
    let manager = std::env::var_os("NOTIFY_SOCKET");
    let sent = match manager.as_deref().and_then(abstract_name) {
        Some(name) => send_to_abstract(name, state),
        None => sd_notify::notify(state),
    };
    if let Err(error) = sent {
        warn!("the service manager could not be notified of {state:?}: {error}");
    }
}

/// The name of a socket that is no file. systemd has not used one for years, but containers and other
/// managers do, and `sd_notify` does not know them.
fn abstract_name(socket: &OsStr) -> Option<&[u8]> {
    socket.as_bytes().strip_prefix(b"@")
}

fn send_to_abstract(name: &[u8], state: &[NotifyState<'_>]) -> io::Result<()> {
    let lines: Vec<_> = state.iter().map(|part| format!("{part}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.send(lines.concat().as_bytes()).map(|_| ())
}

impl Telling {
    fn line(&self, summary: &str) -> String {
        match self.notice.as_deref() {
            // A newline would begin another variable of the protocol.
            Some(notice) => format!("{summary}. {}", notice.replace('\n', "; ")),
            None => summary.to_owned(),
        }
    }
}

impl Notifier {
    /// The program does what it is for.
    pub fn ready(&self, summary: &str) {
        let mut telling = self.lock();
        if !telling.stopping {
            telling.said = telling.line(summary);
            send(&[NotifyState::Ready, NotifyState::Status(&telling.said)]);
        }
    }

    /// A reload begins. It ends with [`Notifier::ready`].
    pub fn reloading(&self) {
        let telling = self.lock();
        if telling.stopping {
            return;
        }
        // systemd wants both in one datagram, and ignores a reload without the time.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => warn!("the monotonic clock cannot be read: {error}"),
        }
    }

    /// An orderly stop begins, and may take this long. It is the last thing that is said.
    pub fn stopping(&self, summary: &str, at_most: Duration) {
        let mut telling = self.lock();
        telling.stopping = true;
        let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        let status = format!("Stopping: {summary}");
        send(&[
            NotifyState::Stopping,
            NotifyState::Status(&status),
            NotifyState::ExtendTimeoutUsec(micros),
            // Nobody feeds it from here on; a stop has a limit of its own.
            NotifyState::Watchdog,
        ]);
    }

    /// Adds a sentence to the summary, until the next call.
    pub fn set_notice(&self, notice: Option<String>) {
        self.lock().notice = notice;
    }

    /// Says that every part makes progress.
    pub fn alive(&self) {
        send(&[NotifyState::Watchdog]);
    }

    /// Tells the status line, if it is not the last one.
    pub fn status(&self, summary: &str) {
        let mut telling = self.lock();
        let line = telling.line(summary);
        if line != telling.said && !telling.stopping {
            send(&[NotifyState::Status(&line)]);
            telling.said = line;
        }
    }

    // Held while a datagram is sent, so that what is said comes in the order in which it is true.
    fn lock(&self) -> MutexGuard<'_, Telling> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
