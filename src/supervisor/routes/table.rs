//! The tasks of all sessions, by user, and the ways to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{SetOnce, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::super::caller::Caller;
use super::super::history::last_of;
use super::order::Order;
use crate::protocol::{Failure, FailureCode, HistoryEntry, UserId};
use crate::session::{SessionCommand, Settings};
use crate::store::History;

/// How many commands may wait for one session.
pub(in super::super) const COMMANDS: usize = 64;

/// The tasks of all sessions, by user.
pub(in super::super) struct Routes {
    table: Mutex<HashMap<UserId, Arc<Route>>>,
    /// The way to the registry, where a session is to begin.
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) history: Arc<History>,
    pub(super) settings: watch::Receiver<Settings>,
    stop: CancellationToken,
}

/// The way to one task of a session.
pub(in super::super) struct Route {
    /// Whose session it is, as far as the record could be read.
    pub(in super::super) owner: Arc<AtomicU32>,
    pub(in super::super) commands: mpsc::Sender<SessionCommand>,
    pub(in super::super) task: AbortHandle,
    /// How the task ended. This is set when everything that follows from the end has been published.
    pub(in super::super) end: SetOnce<AfterTask>,
}

/// What comes after a session's task, for those whose commands it did not answer.
pub(in super::super) enum AfterTask {
    /// The session is gone, with this line in the history; `None`: it could not begin, or the daemon
    /// stops.
    Gone(Option<Arc<HistoryEntry>>),
    /// The task failed, and another one runs the session.
    Failed(Arc<Route>),
}

/// What happened to a command that was handed over.
pub(in super::super) enum Handed {
    /// The task has it, or will have it.
    Taken(Arc<Route>),
    /// The task is ending and takes no more.
    Ending(Arc<Route>, SessionCommand),
    /// As many commands wait for the task as may.
    Full(Arc<Route>, SessionCommand),
    /// There is no session, or none that the caller may see.
    Nobody(SessionCommand),
    /// It is refused.
    Refused(Failure),
}

impl Routes {
    pub(in super::super) fn new(
        orders: mpsc::Sender<Order>,
        history: Arc<History>,
        settings: watch::Receiver<Settings>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            table: Mutex::default(),
            orders,
            history,
            settings,
            stop,
        }
    }

    /// Hands a command to the user's session, if there is one that the caller may see.
    pub(in super::super) fn give(
        &self,
        caller: Caller,
        user: &UserId,
        command: SessionCommand,
    ) -> Handed {
        if self.stop.is_cancelled() {
            return Handed::Refused(stopping());
        }
        let route = self.lock().get(user).cloned();
        match route.filter(|route| caller.may_see(route.owner.load(Ordering::Relaxed))) {
            Some(route) => route.hand(command),
            None => Handed::Nobody(command),
        }
    }

    pub(in super::super) fn insert(&self, user: UserId, route: Arc<Route>) {
        self.lock().insert(user, route);
    }

    pub(in super::super) fn remove(&self, user: &UserId) {
        self.lock().remove(user);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Route>>> {
        // Each change of it is one call, which a panic cannot leave half done.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    /// Hands a command to this task.
    pub(in super::super) fn hand(self: Arc<Self>, command: SessionCommand) -> Handed {
        match self.commands.try_send(command) {
            Ok(()) => Handed::Taken(self),
            Err(TrySendError::Closed(command)) => Handed::Ending(self, command),
            Err(TrySendError::Full(command)) => Handed::Full(self, command),
        }
    }
}

/// The failure for a user without a session, with how the last one ended.
pub(in super::super) fn not_found(history: &History, user: &UserId, caller: Caller) -> Failure {
    let message = format!("{user} has no session. `wactl connect {user}` begins one");
    let mut failure = Failure::new(FailureCode::NotFound, message);
    let last = last_of(&history.read(), user, Some(caller));
    failure.last_logout = last.map(|(_, entry)| Box::new(entry));
    failure
}

pub(in super::super) fn stopping() -> Failure {
    Failure::new(
        FailureCode::Stopping,
        "the daemon is stopping: nothing was begun, and nothing is lost. Ask again when it is back",
    )
}
