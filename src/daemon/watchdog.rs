//! What the service manager learns of the running daemon: a true line of status, and whether every part
//! makes progress.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::listener::LivenessProbe;
use crate::message_id;
use crate::service::notify::Notifier;
use crate::supervisor::Supervisor;

/// Status lines come no faster than this: each one wakes the service manager.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Keeps the status line true until the stop.
pub(super) async fn keep_status(
    notifier: &Notifier,
    supervisor: &Supervisor,
    stop: CancellationToken,
) {
    let mut changed = supervisor.changed();
    let mut warned = supervisor.warnings().changed();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(next) => {}
        }
        changed.borrow_and_update();
        warned.borrow_and_update();
        notifier.status(&supervisor.status_line());
        next = Instant::now() + STATUS_INTERVAL;
        tokio::select! {
            () = stop.cancelled() => return,
            alive = changed.changed() => if alive.is_err() { return },
            alive = warned.changed() => if alive.is_err() { return },
        }
    }
}

/// Feeds the watchdog until the stop, but only while everything that must make progress does: the
/// listener, the supervisor, and the store behind it.
pub(super) async fn feed(
    notifier: &Notifier,
    within: Duration,
    liveness: LivenessProbe,
    supervisor: &Supervisor,
    stop: CancellationToken,
) {
    let half = within / 2;
    // Twice as often as it must be fed, and never so patient that a feed comes too late.
    let mut feeds = interval(half);
    feeds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = feeds.tick() => {}
        }
        let patience = half / 2;
        let alive = async {
            tokio::join!(
                liveness.answers(patience),
                supervisor.beats(patience),
                supervisor.disk_answers(patience)
            )
        };
        let (listener, sessions, store) = tokio::select! {
            () = stop.cancelled() => return,
            alive = alive => alive,
        };
        let parts = [
            (listener, "the listener"),
            (sessions, "the supervisor"),
            (store, "the store"),
        ];
        let stuck: Vec<_> = parts
            .into_iter()
            .filter_map(|(alive, part)| (!alive).then_some(part))
            .collect();
        if stuck.is_empty() {
            notifier.alive();
        } else {
            let stuck = stuck.join(" and ");
            error!(
                message_id = message_id::WEDGED,
                "no progress of {stuck}: the watchdog is not fed, and if this lasts systemd \
                 restarts the daemon"
            );
        }
    }
}
