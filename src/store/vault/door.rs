//! Opens a vault's file when it is used, and closes it when it is idle.
//!
//! While the file is open a task of its own looks whether it is still used; while it is closed there is no
//! task and no descriptor. Opening and closing are calls to the disk, in the user's own work, and the open
//! file counts as work until it is closed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::file::{Failure, Fingerprint, VaultFile};
use super::seal::Seal;
use super::table;
use crate::blocking::UncancellableWork;
use crate::store::space::{Batch, Durability, SpaceError};

/// A file that was not used for this long is closed within the same time again.
const IDLE: Duration = Duration::from_secs(2);

/// A file that is opened again so soon after it was closed stays open longer: an opening and a closing cost
/// syncs.
const SOON: Duration = Duration::from_secs(20);

/// How long at the most it stays open. [`Durability::Eventual`] promises the disk within a minute, and the close
/// syncs.
const LONGEST_IDLE: Duration = Duration::from_secs(16);

/// A file that is used all the time is synced that often.
const SYNC_AFTER: Duration = Duration::from_secs(20);

/// How long to wait for another process's lock on the file: longer than any transaction of a session.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait right after that was in vain: the calls that have queued up meanwhile must not wait as long
/// each.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// The way to a vault's values.
pub(super) struct Door {
    file: VaultFile,
    seal: Seal,
    work: UncancellableWork,
    runtime: Handle,
    state: Mutex<State>,
    /// How often the file was used.
    uses: AtomicU64,
    /// Nobody has the vault any more.
    abandoned: Notify,
    /// The file is about to be closed for good: of the calls that wait for their turn only writes are made.
    is_closing: AtomicBool,
}

enum State {
    /// Opened at the next use.
    Idle(Idle),
    Open(Open),
    /// Closed for good.
    Closed,
}

/// What is known of a file that is closed.
#[derive(Debug, Clone, Copy, Default)]
struct Idle {
    /// What it looked like when it was closed, if that is known.
    file: Option<Fingerprint>,
    /// When it was closed, and after how long without use.
    closed: Option<(Instant, Duration)>,
    /// Since when somebody else has had it locked.
    locked: Option<Instant>,
}

/// An open file. The fields are dropped in this order: it counts as work until it is closed.
struct Open {
    connection: Connection,
    is_full: bool,
    is_unsynced: bool,
    /// How long it stays open without use.
    idle: Duration,
    /// Dropped with the connection: that ends the task which looks after it.
    _ends: oneshot::Sender<()>,
    _counts: TaskTrackerToken,
}

impl Door {
    /// A door that is not open yet.
    pub(super) fn new(file: VaultFile, seal: Seal, work: &UncancellableWork) -> Arc<Self> {
        Arc::new(Self {
            file,
            seal,
            work: work.clone(),
            runtime: Handle::current(),
            state: Mutex::new(State::Idle(Idle::default())),
            uses: AtomicU64::new(0),
            abandoned: Notify::new(),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Does something with the open file, as a call to the disk.
    pub(super) async fn enter<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Connection, &Seal) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, SpaceError> {
        let door = Arc::clone(self);
        let call = move || door.with_open(false, |open, seal| call(&open.connection, seal));
        self.work.on_disk(call).await
    }

    /// Makes a batch, as a call to the disk.
    pub(super) async fn commit(self: &Arc<Self>, batch: Batch) -> Result<(), SpaceError> {
        let door = Arc::clone(self);
        let call = move || door.with_open(true, |open, seal| open.commit(seal, &batch));
        self.work.on_disk(call).await
    }

    /// Closes the file for good, as a call to the disk.
    pub(super) async fn close(self: &Arc<Self>) {
        self.is_closing.store(true, Ordering::Relaxed);
        let door = Arc::clone(self);
        self.work.on_disk(move || door.shut(true)).await;
    }

    /// Tells the task of an open file that nobody has the vault any more.
    pub(super) fn abandon(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.abandoned.notify_one();
    }

    fn with_open<T>(
        self: &Arc<Self>,
        writes: bool,
        call: impl FnOnce(&mut Open, &Seal) -> Result<T, Failure>,
    ) -> Result<T, SpaceError> {
        let mut state = self.lock();
        // What waited to be written is, where the file is open. Nothing is opened any more: it may be locked.
        let may_go_on = writes && matches!(*state, State::Open(_));
        if self.is_closing.load(Ordering::Relaxed) && !may_go_on {
            return Err(self.file.unavailable("the vault is closed"));
        }
        self.uses.fetch_add(1, Ordering::Relaxed);
        if let State::Idle(idle) = &mut *state {
            let open = self.open(idle)?;
            *state = State::Open(open);
        }
        let State::Open(open) = &mut *state else {
            return Err(self.file.unavailable("the vault is closed"));
        };
        let done = call(open, &self.seal);
        done.map_err(|failure| {
            // The next use opens the file anew and checks everything.
            *state = State::Idle(Idle::default());
            self.file.tell(failure)
        })
    }

    fn open(self: &Arc<Self>, known: &mut Idle) -> Result<Open, SpaceError> {
        let counts = self.work.hold();
        let in_vain = |at: &Instant| at.elapsed() < PATIENCE;
        let patience = match known.locked.filter(in_vain) {
            Some(_) => IMPATIENCE,
            None => PATIENCE,
        };
        let opened = self.file.open(&self.seal, patience, known.file);
        let connection = opened.map_err(|failure| {
            if failure.is_of_a_lock() && patience == PATIENCE {
                known.locked = Some(Instant::now());
            }
            self.file.tell(failure)
        })?;
        let idle = match known.closed {
            Some((at, idle)) if at.elapsed() < SOON => (idle * 2).min(LONGEST_IDLE),
            _ => IDLE,
        };
        let (ends, ended) = oneshot::channel();
        let uses = self.uses.load(Ordering::Relaxed);
        self.runtime
            .spawn(Arc::clone(self).look_after(idle, uses, ended));
        Ok(Open {
            connection,
            is_full: true,
            // What a crash left in the log may not be synced.
            is_unsynced: known.file.is_none(),
            idle,
            _ends: ends,
            _counts: counts,
        })
    }

    /// Closes the file when it is idle, and syncs it now and then while it is not.
    async fn look_after(
        self: Arc<Self>,
        idle: Duration,
        mut seen: u64,
        mut ended: oneshot::Receiver<()>,
    ) {
        let mut synced = Instant::now();
        loop {
            let is_abandoned = tokio::select! {
                biased;
                _ = &mut ended => return,
                () = self.abandoned.notified() => true,
                () = sleep(idle) => false,
            };
            let door = Arc::clone(&self);
            if is_abandoned {
                self.work.on_disk(move || door.shut(true)).await;
                return;
            }
            let now = self.uses.load(Ordering::Relaxed);
            if now == seen {
                self.work.on_disk(move || door.shut_unless_used(now)).await;
            } else if synced.elapsed() >= SYNC_AFTER {
                self.work.on_disk(move || door.sync()).await;
                synced = Instant::now();
            }
            seen = now;
        }
    }

    fn shut_unless_used(&self, uses: u64) {
        if self.uses.load(Ordering::Relaxed) == uses {
            self.shut(false);
        }
    }

    fn shut(&self, for_good: bool) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut *state, State::Closed);
        let next = match before {
            State::Closed => State::Closed,
            State::Idle(known) => State::Idle(known),
            State::Open(open) => {
                // What is not given back now is given back later.
                let _ = table::shrink(&open.connection);
                let idle = open.idle;
                drop(open);
                State::Idle(Idle {
                    file: self.file.fingerprint(),
                    closed: Some((Instant::now(), idle)),
                    locked: None,
                })
            }
        };
        if !for_good {
            *state = next;
        }
    }

    fn sync(&self) {
        if let State::Open(open) = &mut *self.lock()
            && open.is_unsynced
        {
            // The next look tries again, and so does the close.
            let _ = open.sync();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn commit(&mut self, seal: &Seal, batch: &Batch) -> Result<(), Failure> {
        let is_full = batch.durability == Durability::Synced;
        if batch.changes.is_empty() {
            return if is_full && self.is_unsynced {
                self.sync()
            } else {
                Ok(())
            };
        }
        if self.is_full != is_full {
            // The sync of the log makes every commit before it durable, too.
            let level = if is_full { "FULL" } else { "NORMAL" };
            self.connection
                .execute_batch(&format!("PRAGMA synchronous = {level}"))?;
            self.is_full = is_full;
        }
        table::commit(&self.connection, seal, &batch.changes)?;
        self.is_unsynced = !is_full;
        Ok(())
    }

    /// Writes the log into the file, and syncs both.
    fn sync(&mut self) -> Result<(), Failure> {
        let checkpoint = "PRAGMA wal_checkpoint(FULL)";
        self.connection.query_row(checkpoint, [], |_| Ok(()))?;
        self.is_unsynced = false;
        Ok(())
    }
}
