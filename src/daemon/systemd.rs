//! What systemd is told: ready, reloading, stopping, alive, and one true line of status.
//!
//! All of it does nothing where no service manager listens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::listener::Heart;
use crate::supervisor::Supervisor;

/// Status lines come no faster than this: each one wakes the service manager.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Speaks to the service manager.
#[derive(Debug, Default)]
pub struct Notifier {
    // What must be said besides the sessions: a reload that failed.
    notice: Mutex<Option<String>>,
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("the service manager could not be notified of {state:?}: {error}");
    }
}

impl Notifier {
    /// The socket listens and the restores are under way.
    pub fn ready(&self, summary: &str) {
        send(&[NotifyState::Ready, NotifyState::Status(&self.line(summary))]);
    }

    /// A reload begins. It ends with [`Notifier::ready`].
    pub fn reloading() {
        // systemd wants both in one datagram, and ignores a reload without the time.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => warn!("the monotonic clock cannot be read: {error}"),
        }
    }

    /// An orderly stop begins, and may take this long.
    pub fn stopping(summary: &str, at_most: Duration) {
        let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        send(&[
            NotifyState::Stopping,
            NotifyState::Status(&format!("Stopping: {summary}")),
            NotifyState::ExtendTimeoutUsec(micros),
        ]);
    }

    /// Says something besides the sessions, until told otherwise.
    pub fn set_notice(&self, notice: Option<String>) {
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice;
    }

    fn line(&self, summary: &str) -> String {
        let notice = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        match notice.as_deref() {
            // A newline would begin another variable of the protocol.
            Some(notice) => format!("{summary}. {}", notice.replace('\n', "; ")),
            None => summary.to_owned(),
        }
    }

    /// Keeps the status line true until the stop; `said` is the summary that READY told.
    pub async fn keep_status(&self, supervisor: &Supervisor, said: &str, stop: CancellationToken) {
        let mut changed = supervisor.changed();
        let mut last = self.line(said);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(next) => {}
            }
            changed.borrow_and_update();
            let line = self.line(&supervisor.census().summary());
            if line != last {
                send(&[NotifyState::Status(&line)]);
                next = Instant::now() + STATUS_INTERVAL;
                last = line;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                alive = changed.changed() => if alive.is_err() { return },
            }
        }
    }

    /// Feeds the watchdog until the stop, but only while everything that must make progress does:
    /// the listener, the supervisor, and the store behind it.
    pub async fn feed_watchdog(
        &self,
        within: Duration,
        heart: Heart,
        supervisor: &Supervisor,
        stop: CancellationToken,
    ) {
        let half = within / 2;
        // Twice as often as it must be fed, and never so patient that a feed comes too late.
        let mut turns = interval(half);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = turns.tick() => {}
            }
            let patience = half / 2;
            let probe = async { timeout(patience, supervisor.probe()).await.unwrap_or(false) };
            let alive = async { tokio::join!(heart.beats(patience), probe) };
            let (listener, sessions) = tokio::select! {
                () = stop.cancelled() => return,
                alive = alive => alive,
            };
            if listener && sessions {
                send(&[NotifyState::Watchdog]);
            } else {
                let stuck = match (listener, sessions) {
                    (false, true) => "the listener makes no progress",
                    (true, false) => "the supervisor or the store makes no progress",
                    _ => "neither the listener nor the supervisor makes progress",
                };
                error!("{stuck}: the watchdog is not fed, and systemd will restart the daemon");
            }
        }
    }
}
