//! Who asks.

use std::sync::Arc;

use crate::daemon::access::Peer;
use crate::daemon::state::Daemon;
use crate::supervisor::Caller;

/// Who asks, and whom is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    pub(super) peer: Arc<Peer>,
    pub(super) daemon: Daemon,
}

impl Requester {
    pub(super) fn new(peer: Peer, daemon: Daemon) -> Self {
        Self {
            peer: Arc::new(peer),
            daemon,
        }
    }

    /// What the peer may see now: a reload may have changed it.
    pub(super) fn caller(&self) -> Caller {
        self.daemon.in_force().policy.caller(&self.peer)
    }
}
