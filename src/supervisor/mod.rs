//! The supervisor of all sessions. It starts them, restores them after a start of the daemon, routes
//! commands to them, and drops them when their tasks end.
//!
//! It has three parts. Each uses only those below it:
//!
//! - the registry is a loop of its own. It begins sessions, and learns that they have ended;
//! - the routes bring a command to its task, within a deadline, and end a task that does not answer;
//! - the views have the present state, the last events and the watchers. Every session writes to them, so
//!   a session that is busy or hangs delays no answer.
//!
//! A session is here exactly as long as its task runs. The registry learns of the end of a session from the
//! end of its task, however it ended: there is no flag to forget, and no dead entry can stay behind.

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
mod rotation;
mod routes;
mod views;
mod works;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use crate::session::{Clock, OnConflict, OnLocked, Settings};
pub use caller::Caller;
pub use views::{Census, Watcher};

use crate::blocking::{Room, Rooms};
use crate::protocol::{Failure, FailureCode, MAX_WATCHED, Since, Watching};
use crate::session::Gate;
use crate::store::{History, Store, StoreError};
use crate::whatsapp::{DaemonWarnings, Gateway};
use registry::Registry;
use routes::{Order, Routes};
use views::Board;
use works::Works;

/// How many orders may wait for the registry's loop, which never waits for anything itself.
const ORDERS: usize = 1024;
/// How long a stop waits for its note that it was one.
const NOTE_WITHIN: Duration = Duration::from_secs(1);
/// How long the stored sessions may take to publish their first status.
const FIRST_STATUSES: Duration = Duration::from_secs(10);

/// The supervisor. Clones are the same one.
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

/// A supervisor that has begun, with what its caller waits for.
#[derive(Debug)]
pub struct Begun {
    /// The supervisor.
    pub supervisor: Supervisor,
    /// The first status of each stored session.
    pub restored: RestoreBarrier,
    /// The end of the supervisor's loop, which ends only with a stop, or by a fault.
    pub loop_end: LoopEnd,
}

/// A barrier until the stored sessions have published their first statuses.
#[derive(Debug)]
pub struct RestoreBarrier(mpsc::Receiver<Infallible>);

impl RestoreBarrier {
    /// Waits for these statuses, so that no client learns that a stored session does not exist. A disk that
    /// hangs under one of the sessions holds this up only for a limited time.
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
    /// Waits until the loop ends without having been stopped, and says how it ended. The tasks of all
    /// sessions have then ended with it, and nothing starts them again: the daemon must end. Never returns
    /// where the loop was stopped.
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
    /// The work of each user with the disk.
    works: Works,
    /// Held by the rotation of the master key: there is one at a time.
    rotating: Arc<Mutex<()>>,
    board: Arc<Board>,
    history: Arc<History>,
    settings: watch::Sender<Settings>,
    /// The gate through which all sessions connect.
    gate: Gate,
    routes: Routes,
    orders: mpsc::Sender<Order>,
    /// The room for the watchdog's probe of the disk.
    probe: Room,
    stop: CancellationToken,
    stopped: CancellationToken,
    clock: Clock,
    started_at: Timestamp,
    gateway: Gateway,
}

impl Supervisor {
    /// [`Supervisor::begin`] with the system's clock and rooms of its own. Waits until every stored session
    /// has published its first status.
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

    /// What concerns the daemon and all its sessions, and will become a failure if nobody does anything.
    #[must_use]
    pub fn warnings(&self) -> &DaemonWarnings {
        self.shared.gateway.warnings()
    }

    /// One line: how many sessions are in which phase, and the warnings of the daemon.
    #[must_use]
    pub fn status_line(&self) -> String {
        let mut line = self.census().summary();
        for warning in self.warnings().standing() {
            line = format!("{line}. {}: {}", warning.kind, warning.text);
        }
        line
    }

    /// Finishes removals that a crash interrupted, removes unfinished pairings, and begins to restore the
    /// other sessions. Returns when every session has its task, and can be stopped.
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
        rotation::read_key(&store).await;
        gateway.keep_versions_in(store.clone());
        let gate = Gate::new(settings.restore_concurrency);
        let (orders, to_do) = mpsc::channel(ORDERS);
        let stop = CancellationToken::new();
        let (settings, in_force) = watch::channel(settings);
        let history = Arc::clone(&start.history);
        let shared = Arc::new(Shared {
            works: Works::new(store.clone()),
            rotating: Arc::default(),
            store,
            board: Arc::new(Board::new()),
            history: start.history,
            settings,
            gate,
            routes: Routes::new(orders.clone(), history, in_force, stop.clone()),
            orders,
            probe: rooms.probe.clone(),
            stop: stop.clone(),
            stopped: CancellationToken::new(),
            started_at: clock.now(),
            clock,
            gateway,
        });
        let mut registry = Registry::new(Arc::clone(&shared), to_do);
        let restored = RestoreBarrier(registry.restore(start.sessions));
        let loop_end = LoopEnd {
            running: tokio::spawn(registry.run()),
            stop,
        };
        let (history, board) = (Arc::clone(&shared.history), Arc::clone(&shared.board));
        let late = restore::keep_finishing(start.removals, history, move |entry| {
            board.ended_before(entry);
        });
        tokio::spawn(late);
        Ok(Begun {
            supervisor: Self { shared },
            restored,
            loop_end,
        })
    }

    /// Begins a watch of these users. An empty list means everyone the caller may see, now and later.
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

    /// [`Supervisor::census`] of the sessions that the caller may see. Ended sessions are counted for all
    /// users together, so only callers who see everything get these counts.
    #[must_use]
    pub fn census_for(&self, caller: Caller) -> Census {
        self.shared.board.census_for(caller)
    }

    /// Ticks whenever a session changed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.board.changes()
    }

    /// The number of this run, for this caller. Event numbers belong to it: for a caller who sees only their
    /// own sessions they count only the events of these.
    #[must_use]
    pub fn epoch(&self, caller: Caller) -> u64 {
        self.shared.board.epoch(caller)
    }

    /// When it started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// The way to WhatsApp that all sessions use.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.shared.gateway
    }

    /// The state directory.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.shared.store.root().to_owned()
    }

    /// Changes the settings of running sessions and of those to come.
    pub fn configure(&self, settings: Settings) {
        self.shared.history.set_limit(settings.history_limit);
        self.shared.gate.set_limit(settings.restore_concurrency);
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
            return;
        }
        let store = self.shared.store.clone();
        // Where the disk hangs, nobody waits for it: the next start takes this stop for a crash.
        let noted = self.shared.store.disk().run(move || store.ends_well());
        let _ = timeout(NOTE_WITHIN, noted).await;
    }
}
