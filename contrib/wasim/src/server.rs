//! The handle on a running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use crate::command::{Answer, Command};
use crate::observation::Observation;
use crate::shared::{Shared, now};
use crate::state::State;
use crate::world::World;
use crate::{Error, Options, listener};

/// A running server. Clones are the same server; when the last is dropped, or on
/// [`shutdown`](Self::shutdown), everything it started stops.
#[derive(Clone, Debug)]
pub struct Server {
    handle: Arc<Handle>,
}

/// Stops the server when the last clone of [`Server`] goes.
struct Handle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "wasim on {}", self.shared.address)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Server {
    /// Starts a server and returns once it listens.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoopback`], [`Error::Listen`], or [`Error::State`] when there is a state file
    /// that cannot be used.
    pub async fn start(options: Options) -> Result<Self, Error> {
        if !options.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(options.listen));
        }
        let state = match &options.state {
            Some(path) => State::load(path)?,
            None => None,
        };
        let world = World::new(state.unwrap_or_else(|| State::new(now())));
        let (listener, address) = listener::listen(options.listen)?;
        let (switch, switched) = mpsc::channel(1);
        let shared = Arc::new(Shared::new(options, address, world, switch));
        shared.keep_state();
        shared
            .tasks
            .spawn(listener::run(Arc::clone(&shared), listener, switched));
        shared.persist().await;
        Ok(Self {
            handle: Arc::new(Handle { shared }),
        })
    }

    /// Where clients connect: `ws://127.0.0.1:PORT/ws/chat`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.handle.shared.address
    }

    /// The public key of the root that signs the server's certificate.
    #[must_use]
    pub fn root_key(&self) -> [u8; 32] {
        self.handle.shared.world().state.certificate.root_key()
    }

    /// Does what the command says.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being done; see [`Error`].
    pub async fn execute(&self, command: Command) -> Result<Answer, Error> {
        self.handle.shared.execute(command).await
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Closes every connection, writes the state file, and returns when nothing is left running.
    pub async fn shutdown(self) {
        let shared = &self.handle.shared;
        shared.stop.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        shared.store.write(|| shared.encode()).await;
    }

    /// Everything observed from now on. A receiver that falls 4096 behind loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Observation> {
        self.handle.shared.journal.subscribe()
    }

    /// Waits for an observation that fits, and returns the earliest that no `wait_for` has
    /// returned yet.
    ///
    /// What was observed before the call counts, back to the start of the server or as far as the
    /// log reaches ([`Options::journal`]): a test cannot be too late. Each observation is returned
    /// once, so that waiting twice for `Online` waits for two of them; and when a device is linked,
    /// what was observed of an earlier one of the same JID does not count any more.
    ///
    /// A client may reconnect more often than a test expects. To wait only for observations after a certain
    /// moment, use [`wait_after`](Self::wait_after).
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] when nothing fitted in time.
    pub async fn wait_for(
        &self,
        fits: impl Fn(&Observation) -> bool,
        deadline: Duration,
    ) -> Result<Observation, Error> {
        self.handle.shared.journal.take(fits, deadline).await
    }

    /// The number of observations made so far; for [`wait_after`](Self::wait_after).
    #[must_use]
    pub fn position(&self) -> u64 {
        self.handle.shared.journal.position()
    }

    /// Waits for an observation that fits and was made after the call of [`position`](Self::position). This
    /// and `wait_for` do not influence each other.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] when nothing fitted in time.
    pub async fn wait_after(
        &self,
        position: u64,
        fits: impl Fn(&Observation) -> bool,
        deadline: Duration,
    ) -> Result<Observation, Error> {
        self.handle
            .shared
            .journal
            .after(position, fits, deadline)
            .await
    }

    /// Every secret that passed through the server: QR codes and their references, adv secrets, pair
    /// codes and theirs, appeal tokens, client and account keys (in the base64 and hexadecimal forms
    /// in which they would show up). A pair code that nobody typed is not among them: the server
    /// never learns it. For tests that search logs and files for leaks.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.handle.shared.world().secrets.iter().cloned().collect()
    }
}
