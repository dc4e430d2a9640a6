//! The running daemon, for its connections and its signals.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::in_force::InForce;
use super::refusals::Refusals;
use super::source::Source;
use crate::blocking::Rooms;
use crate::service::logging::FilterHandle;
use crate::service::notify::Notifier;
use crate::supervisor::Supervisor;

/// A handle on the running daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Daemon {
    pub(super) shared: Arc<Shared>,
}

/// State shared by all connections.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) supervisor: Supervisor,
    pub(super) in_force: RwLock<Arc<InForce>>,
    pub(super) effects: TaskTracker,
    pub(super) about: About,
    pub(super) source: Source,
    pub(super) rooms: Rooms,
    pub(super) filter: FilterHandle,
    pub(super) notifier: Arc<Notifier>,
    pub(super) refusals: Refusals,
    // One reload at a time.
    pub(super) reloading: Mutex<()>,
}

/// Facts that stay the same for as long as the daemon runs.
#[derive(Debug, Clone)]
pub struct About {
    /// When it started.
    pub started_at: Timestamp,
    /// Where the sessions are kept.
    pub state_directory: PathBuf,
}

impl Daemon {
    /// A handle on these parts.
    #[must_use]
    pub fn new(
        supervisor: Supervisor,
        in_force: InForce,
        source: Source,
        rooms: Rooms,
        about: About,
        filter: FilterHandle,
        notifier: Arc<Notifier>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                supervisor,
                in_force: RwLock::new(Arc::new(in_force)),
                effects: TaskTracker::new(),
                about,
                source,
                rooms,
                filter,
                notifier,
                refusals: Refusals::default(),
                reloading: Mutex::new(()),
            }),
        }
    }

    /// The configuration that is in force now.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        let present = self.shared.in_force.read();
        Arc::clone(&present.unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, in_force: InForce) {
        let present = self.shared.in_force.write();
        *present.unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
    }

    /// Where blocking calls are made.
    pub(super) fn rooms(&self) -> &Rooms {
        &self.shared.rooms
    }

    /// The sessions.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.shared.supervisor
    }

    pub(super) fn notifier(&self) -> &Notifier {
        &self.shared.notifier
    }

    pub(super) fn filter(&self) -> &FilterHandle {
        &self.shared.filter
    }

    /// The log of refusals.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.shared.refusals
    }

    /// The effects that clients began. They go on when their clients leave.
    #[must_use]
    pub fn effects(&self) -> &TaskTracker {
        &self.shared.effects
    }
}
