//! All sessions: starts them, restores them after a start of the daemon, routes commands to them,
//! and drops them when their tasks end.
//!
//! Three parts, which use one another only in this order:
//!
//! - the registry, a loop of its own: sessions begin there, and it learns there that they ended;
//! - the routes: which task a command goes to, within which deadline, and what happens to a task
//!   that does not answer;
//! - the views: the present state, the last events, who watches. Every session writes there, so a
//!   session that is busy or hangs delays no answer.
//!
//! A session is here exactly as long as its task runs. That a session ended is learned from its task
//! ending, however it ended: there is no flag to forget, and no dead entry can stay behind.

mod birth;
mod caller;
mod execute;
#[cfg(test)]
mod fixtures;
mod history;
mod narration;
mod refusal;
mod registry;
mod restore;
mod routes;
mod views;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use crate::session::{Clock, OnConflict, Settings};
pub use caller::Caller;
pub use views::{Census, Watcher};

use crate::blocking::{Room, Rooms};
use crate::protocol::{Failure, FailureCode, MAX_WATCHED, Since, Watching};
use crate::store::{History, Store, StoreError};
use crate::whatsapp::Gateway;
use registry::Registry;
use routes::{Order, Routes};
use views::Board;

/// Orders that wait for the registry's loop, which never waits for anything itself.
const ORDERS: usize = 1024;
/// How long the stored sessions may take to publish their first status.
const FIRST_STATUSES: Duration = Duration::from_secs(10);

/// All sessions. Clones are the same one.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("started_at", &self.shared.started_at)
            .finish_non_exhaustive()
    }
}

/// A supervisor that has begun, and what there is to wait for.
#[derive(Debug)]
pub struct Begun {
    /// It.
    pub supervisor: Supervisor,
    /// The first status of each stored session.
    pub restored: RestoreBarrier,
    /// The end of its loop, which comes only with a stop, or by a fault.
    pub loop_end: LoopEnd,
}

/// The first statuses of the stored sessions.
#[derive(Debug)]
pub struct RestoreBarrier(mpsc::Receiver<Infallible>);

impl RestoreBarrier {
    /// Waits for them: a client that comes with the first instant must not be told that a stored
    /// session does not exist. A disk that hangs under one of them holds this up only so long.
    pub async fn passed(mut self) {
        let _ = timeout(FIRST_STATUSES, self.0.recv()).await;
    }
}

/// The end of the supervisor's loop.
#[derive(Debug)]
pub struct LoopEnd {
    running: JoinHandle<()>,
    stop: CancellationToken,
}

impl LoopEnd {
    /// Waits until the loop ends without having been stopped, and says how. All sessions' tasks have
    /// ended with it, and nobody starts them again: the daemon cannot go on. Never comes back where the
    /// loop was stopped.
    pub async fn fault(&mut self) -> String {
        let ended = (&mut self.running).await;
        match ended {
            Ok(()) if self.stop.is_cancelled() => std::future::pending().await,
            Ok(()) => "it ended without being stopped".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

struct Shared {
    store: Store,
    board: Arc<Board>,
    history: Arc<History>,
    settings: watch::Sender<Settings>,
    routes: Routes,
    orders: mpsc::Sender<Order>,
    /// Where the watchdog's look at the disk is made.
    probe: Room,
    stop: CancellationToken,
    stopped: CancellationToken,
    clock: Clock,
    started_at: Timestamp,
}

impl Supervisor {
    /// [`Supervisor::begin`] with the system's clock and rooms of its own, and waits until every
    /// stored session has published what it is.
    ///
    /// # Errors
    /// As [`Supervisor::begin`].
    pub async fn start(
        store: Store,
        gateway: Gateway,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let rooms = Rooms::new();
        let begun = Self::begin(store, gateway, settings, Clock::system(), &rooms).await?;
        begun.restored.passed().await;
        Ok(begun.supervisor)
    }

    /// Finishes what a crash interrupted, removes pairings that were never finished, and begins to
    /// restore the others; returns when every session has its task, and can be stopped.
    ///
    /// # Errors
    /// [`StoreError`] when the state directory or the history cannot be read.
    pub async fn begin(
        store: Store,
        gateway: Gateway,
        settings: Settings,
        clock: Clock,
        rooms: &Rooms,
    ) -> Result<Begun, StoreError> {
        let start = restore::read(&store, settings.history_limit).await?;
        let concurrency = settings.restore_concurrency.max(1);
        let (orders, to_do) = mpsc::channel(ORDERS);
        let stop = CancellationToken::new();
        let (settings, in_force) = watch::channel(settings);
        let history = Arc::clone(&start.history);
        let shared = Arc::new(Shared {
            store,
            board: Arc::new(Board::new()),
            history: start.history,
            settings,
            routes: Routes::new(orders.clone(), history, in_force, stop.clone()),
            orders,
            probe: rooms.probe.clone(),
            stop: stop.clone(),
            stopped: CancellationToken::new(),
            started_at: clock.now(),
            clock,
        });
        let mut registry = Registry::new(Arc::clone(&shared), gateway, to_do);
        let restored = RestoreBarrier(registry.restore(start.sessions, concurrency));
        let loop_end = LoopEnd {
            running: tokio::spawn(registry.run()),
            stop,
        };
        let (history, board) = (Arc::clone(&shared.history), Arc::clone(&shared.board));
        let late = restore::keep_finishing(start.unfinished, history, move |entry| {
            board.ended_before(entry);
        });
        tokio::spawn(late);
        Ok(Begun {
            supervisor: Self { shared },
            restored,
            loop_end,
        })
    }

    /// Begins a watch of these users; none named: everyone the caller may see, now and later.
    ///
    /// # Errors
    /// A [`Failure`] that names a user id that is none, or says that there are too many.
    pub fn watch(
        &self,
        caller: Caller,
        users: Vec<String>,
        since: Option<Since>,
    ) -> Result<(Watching, Watcher), Failure> {
        if users.len() > MAX_WATCHED {
            let message = format!(
                "{} users are more than the {MAX_WATCHED} a watch may name; name none to watch all",
                users.len()
            );
            return Err(Failure::new(FailureCode::InvalidArgument, message));
        }
        let users = users
            .into_iter()
            .map(execute::user_id)
            .collect::<Result<_, _>>()?;
        Ok(Watcher::begin(&self.shared.board, caller, users, since))
    }

    /// How many sessions are in which phase, and how many ended why.
    #[must_use]
    pub fn census(&self) -> Census {
        self.shared.board.census()
    }

    /// [`Supervisor::census`] of what the caller may see. What ended is counted for all together, so
    /// only those who see everything see it.
    #[must_use]
    pub fn census_for(&self, caller: Caller) -> Census {
        self.shared.board.census_for(caller)
    }

    /// Ticks whenever a session changed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.board.changes()
    }

    /// The number of this run, for this caller: event numbers belong to it. Those of a caller who sees
    /// only their own sessions count only events of these.
    #[must_use]
    pub fn epoch(&self, caller: Caller) -> u64 {
        self.shared.board.epoch(caller)
    }

    /// When it started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// The state directory.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.shared.store.root().to_owned()
    }

    /// Changes the settings of running sessions and of those to come.
    pub fn configure(&self, settings: Settings) {
        self.shared.history.set_limit(settings.history_limit);
        self.shared.settings.send_if_modified(|present| {
            let differs = *present != settings;
            *present = settings;
            differs
        });
    }

    /// Whether the registry's loop answers within this time. For a watchdog.
    pub async fn beats(&self, within: Duration) -> bool {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let order = Order::Probe(reply);
            self.shared.orders.send(order).await.is_ok() && answer.await.is_ok()
        };
        timeout(within, asked).await.unwrap_or(false)
    }

    /// Whether the disk answers within this time. For a watchdog.
    pub async fn disk_answers(&self, within: Duration) -> bool {
        let store = self.shared.store.clone();
        let asked = self.shared.probe.run(move || store.answers());
        timeout(within, asked).await.unwrap_or(false)
    }

    /// Closes all links in parallel and ends every task; nothing is logged out. A task that has not
    /// ended within `grace` is ended by force.
    pub async fn stop(&self, grace: Duration) {
        self.shared.stop.cancel();
        if timeout(grace, self.shared.stopped.cancelled())
            .await
            .is_err()
        {
            tracing::warn!("not every session closed within {} s", grace.as_secs_f32());
            let _ = self.shared.orders.send(Order::EndAll).await;
            self.shared.stopped.cancelled().await;
        }
    }
}
