//! The client, as its requests and its watch know it.

use std::sync::Arc;

use crate::daemon::access::Peer;
use crate::daemon::state::Daemon;
use crate::supervisor::Caller;

/// The client of a connection, and the daemon that it asks. Cheap to clone.
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

    /// The rights that the client has now. A reload may have changed them.
    pub(super) fn caller(&self) -> Caller {
        self.daemon.in_force().policy.caller(&self.peer)
    }
}
