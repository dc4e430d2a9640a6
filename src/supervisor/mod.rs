//! All sessions: starts them, restores them after a start of the daemon, routes commands to them,
//! and drops them when their tasks end.
//!
//! A session is here exactly as long as its task runs. That a session ended is learned from its task
//! ending, however it ended: there is no flag to forget, and no dead entry can stay behind.
//!
//! `status`, `list` and watchers are answered from a board, which every session writes to: a
//! session that is busy or hangs delays nobody.

mod actor;
mod birth;
mod board;
mod caller;
mod census;
mod execute;
mod failed;
mod narration;
mod page;
mod refusal;
mod restore;
mod watcher;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use crate::session::{Clock, OnConflict, Settings};
pub use caller::Caller;
pub use census::Census;
pub use watcher::Watcher;

use crate::protocol::{Failure, FailureCode, MAX_WATCHED, Since, UserId, Watching};
use crate::store::{History, Store, StoreError};
use crate::whatsapp::Gateway;
use actor::{Actor, Order};
use board::Board;

/// Orders that wait for the supervisor's loop, which never waits for anything itself.
const ORDERS: usize = 1024;
/// How long the stored sessions may take to tell their first status.
const FIRST_WORDS: Duration = Duration::from_secs(10);

/// All sessions. Clones are the same one.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// What the stored sessions have yet to tell.
#[derive(Debug)]
pub struct RestoreBarrier(mpsc::Receiver<Infallible>);

impl RestoreBarrier {
    /// Waits for them: a client that comes with the first instant must not be told that a stored
    /// session does not exist. A disk that hangs under one of them holds this up only so long.
    pub async fn told(mut self) {
        let _ = timeout(FIRST_WORDS, self.0.recv()).await;
    }
}

struct Shared {
    store: Store,
    board: Arc<Board>,
    history: Arc<History>,
    settings: watch::Sender<Settings>,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    stopped: CancellationToken,
    clock: Clock,
    started_at: Timestamp,
}

impl Supervisor {
    /// Finishes what a crash interrupted, removes pairings that were never finished, and begins to
    /// restore the others; returns when that is under way.
    ///
    /// # Errors
    /// [`StoreError`] when the state directory or the history cannot be read.
    pub async fn start(
        store: Store,
        gateway: Gateway,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        Self::start_with(store, gateway, settings, Clock::System).await
    }

    /// [`Supervisor::start`] with a clock of the caller's choice.
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub async fn start_with(
        store: Store,
        gateway: Gateway,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let (supervisor, restored) = Self::begin(store, gateway, settings, clock).await?;
        restored.told().await;
        Ok(supervisor)
    }

    /// The same in two halves: after the first one every session has its task, and can be stopped;
    /// the second one waits until each of them has told what it is.
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub async fn begin(
        store: Store,
        gateway: Gateway,
        settings: Settings,
        clock: Clock,
    ) -> Result<(Self, RestoreBarrier), StoreError> {
        let start = restore::read(&store, settings.history_limit).await?;
        let concurrency = settings.restore_concurrency.max(1);
        let (orders, to_do) = mpsc::channel(ORDERS);
        let shared = Arc::new(Shared {
            store,
            board: Arc::new(Board::new()),
            history: start.history,
            settings: watch::channel(settings).0,
            orders,
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
            clock,
            started_at: clock.now(),
        });
        let mut actor = Actor::new(Arc::clone(&shared), gateway, to_do);
        let spoken = actor.restore(start.sessions, concurrency);
        tokio::spawn(actor.run());
        let (history, board) = (Arc::clone(&shared.history), Arc::clone(&shared.board));
        let late = restore::keep_finishing(start.unfinished, history, move |entry| {
            board.ended_before(entry);
        });
        tokio::spawn(late);
        Ok((Self { shared }, RestoreBarrier(spoken)))
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
        self.shared.board.changed()
    }

    /// The number of this run: event numbers belong to it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.board.epoch()
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

    /// Whether the supervisor's loop answers within this time. For a watchdog.
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
        let asked = tokio::task::spawn_blocking(move || store.answers());
        matches!(timeout(within, asked).await, Ok(Ok(true)))
    }

    /// Closes all links in parallel and ends every task; nothing is logged out. What has not ended
    /// within `grace` is cut.
    pub async fn stop(&self, grace: Duration) {
        self.shared.stop.cancel();
        if timeout(grace, self.shared.stopped.cancelled())
            .await
            .is_err()
        {
            tracing::warn!("not every session closed within {} s", grace.as_secs_f32());
            let _ = self.shared.orders.send(Order::Cut).await;
            self.shared.stopped.cancelled().await;
        }
    }

    /// Makes one session's task fail, for tests of what a panic must not reach.
    #[doc(hidden)]
    pub async fn inject_panic(&self, user: UserId) {
        let _ = self.shared.orders.send(Order::Panic(user)).await;
    }

    /// For tests: as if a session had told this of itself.
    #[cfg(test)]
    pub(crate) fn pretend(&self, status: crate::protocol::Status) {
        let kind = crate::protocol::EventKind::Updated;
        self.shared.board.changed_to(kind, status);
    }

    /// For tests: as if this session had ended.
    #[cfg(test)]
    pub(crate) async fn pretend_ended(&self, id: &str, entry: &crate::protocol::HistoryEntry) {
        let appended = self.shared.history.append(id, entry).await;
        appended.expect("it is written");
    }

    fn stopping() -> Failure {
        Failure::new(
            FailureCode::Stopping,
            "the daemon is stopping: nothing was begun, and nothing is lost. Ask again when it is back",
        )
    }
}
