//! The state that the tasks of one server share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::describe::describe;
use crate::fault::{Fault, Stage, Who};
use crate::journal::Journal;
use crate::observation::Observation;
use crate::order::{Order, Work};
use crate::store::Store;
use crate::world::World;
use crate::{Error, Options};

/// The shared state. Every task has a reference to it.
pub(crate) struct Shared {
    pub options: Options,
    pub address: SocketAddr,
    pub journal: Journal,
    pub store: Store,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    /// Starts and stops accepting connections.
    pub listening: mpsc::Sender<(bool, oneshot::Sender<Result<(), Error>>)>,
    world: Mutex<World>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        address: SocketAddr,
        world: World,
        listening: mpsc::Sender<(bool, oneshot::Sender<Result<(), Error>>)>,
    ) -> Self {
        Self {
            journal: Journal::new(options.journal),
            store: Store::new(options.state.clone()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            world: Mutex::new(world),
            options,
            address,
            listening,
        }
    }

    /// The shared state. A panic elsewhere leaves it whole: nothing between taking and giving back
    /// the lock can fail.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn see(&self, observation: Observation) {
        tracing::info!("{}", describe(&observation));
        self.journal.record(observation);
    }

    /// The first fault in force for a client that `wanted` maps to something.
    pub(crate) fn fault<T>(&self, who: &Who, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.world().faults.take(who, wanted)
    }

    /// How long a fault puts off what is done at this stage, if one does.
    pub(crate) fn delay(&self, who: &Who, at: Stage) -> Option<Duration> {
        self.fault(who, |fault| match fault {
            Fault::Delay {
                stage,
                milliseconds,
            } if *stage == at => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        })
    }

    /// Gives a connection some work, and waits until it is done.
    pub(crate) async fn order(&self, connection: u64, work: Work) -> Result<(), Error> {
        let orders = self
            .world()
            .links
            .get(&connection)
            .map(|link| link.orders.clone());
        let orders = orders.ok_or(Error::ClientGone)?;
        let (done, finished) = oneshot::channel();
        orders
            .send(Order { work, done })
            .await
            .map_err(|_| Error::ClientGone)?;
        finished.await.map_err(|_| Error::ClientGone)
    }

    /// Starts to keep the state file up to date.
    pub(crate) fn keep_state(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let keep = shared.store.run(|| shared.encode());
            shared.stop.run_until_cancelled(keep).await;
        });
    }

    /// Returns once what has changed is in the state file, if there is one, or the server stops.
    pub(crate) async fn persist(&self) {
        self.stop.run_until_cancelled(self.store.persist()).await;
    }

    /// Has the change written some time soon, if there is a state file.
    pub(crate) fn persist_soon(&self) {
        self.store.wish();
    }

    /// The URL of a file under this path.
    pub(crate) fn media_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The text of the state file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.world().state.encode()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    now_milliseconds() / 1000
}

/// Milliseconds since 1970.
pub(crate) fn now_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
