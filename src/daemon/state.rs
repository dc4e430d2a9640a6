//! A running daemon, as its connections and its signals see it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::access::Policy;
use super::config::{Config, Origins};
use super::logging::FilterHandle;
use super::refusals::Refusals;
use super::source::Source;
use super::systemd::Notifier;
use crate::supervisor::Supervisor;

/// A handle on the running daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Daemon {
    pub(super) shared: Arc<Shared>,
}

/// What there is one of.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) supervisor: Supervisor,
    pub(super) live: RwLock<Arc<Live>>,
    pub(super) effects: TaskTracker,
    pub(super) about: About,
    pub(super) source: Source,
    pub(super) filter: FilterHandle,
    pub(super) notifier: Arc<Notifier>,
    pub(super) refusals: Refusals,
    // One reload at a time.
    pub(super) reloading: Mutex<()>,
}

/// What stays the same for as long as it runs.
#[derive(Debug, Clone)]
pub struct About {
    /// When it started.
    pub started_at: Timestamp,
    /// Where the sessions are kept.
    pub state_directory: PathBuf,
}

/// What a reload replaces, as a whole.
#[derive(Debug)]
pub struct Live {
    /// The configuration in force.
    pub config: Config,
    /// Where its values come from.
    pub origins: Origins,
    /// Who may do what.
    pub policy: Policy,
}

impl Daemon {
    /// A handle on these parts.
    #[must_use]
    pub fn new(
        supervisor: Supervisor,
        live: Live,
        source: Source,
        about: About,
        filter: FilterHandle,
        notifier: Arc<Notifier>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                supervisor,
                live: RwLock::new(Arc::new(live)),
                effects: TaskTracker::new(),
                about,
                source,
                filter,
                notifier,
                refusals: Refusals::default(),
                reloading: Mutex::new(()),
            }),
        }
    }

    /// What is in force now.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        let live = self.shared.live.read();
        Arc::clone(&live.unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, live: Live) {
        let mut present = self
            .shared
            .live
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *present = Arc::new(live);
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

    /// What was refused, and to whom.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.shared.refusals
    }

    /// What was begun for clients, and goes on without them.
    #[must_use]
    pub fn effects(&self) -> &TaskTracker {
        &self.shared.effects
    }
}
