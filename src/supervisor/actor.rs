//! The supervisor's loop: the only place where sessions begin and where their ends are learned.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

use super::birth::{Birth, TaskExit, live};
use super::caller::Caller;
use super::failed::{lost_entry, panic_message, unheard_status};
use super::narration;
use super::refusal::{not_found, refuse, refuse_all};
use super::restore::Restored;
use super::{Shared, Supervisor};
use crate::blocking::UncancellableWork;
use crate::failpoint;
use crate::protocol::{EventKind, Failure, FailureCode, HistoryEntry, PhoneNumber, UserId};
use crate::session::{Ended, Outcome, Report, SessionCommand, SessionContext, answer};
use crate::whatsapp::Gateway;

/// What the loop is told.
pub(super) enum Order {
    /// Give a session a command.
    Deliver(Delivery),
    /// A session does not answer: end its task, then deliver this to a new one.
    Escalate(Delivery),
    /// Is the loop alive?
    Probe(oneshot::Sender<()>),
    /// End what has not ended by itself.
    Cut,
    /// Let a session's task fail.
    Panic(UserId),
}

/// A command on its way to a session.
pub(super) struct Delivery {
    pub(super) user: UserId,
    pub(super) caller: Caller,
    pub(super) command: SessionCommand,
    pub(super) absent: Absent,
}

/// What a command does where there is no session.
pub(super) enum Absent {
    /// It is refused.
    NotFound,
    /// It begins one.
    Begin {
        /// By pair code for this phone.
        phone: Option<PhoneNumber>,
    },
}

/// Commands that may wait for one session.
const COMMANDS: usize = 64;
/// How long a session whose task failed waits before it begins again; it doubles.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const LONGEST_AFTER_FAILURE: Duration = Duration::from_mins(5);

/// What a session that is restored is given besides.
struct Restoring {
    turn: Arc<Semaphore>,
    /// Dropped with the session's first word.
    silent: mpsc::Sender<Infallible>,
}

struct Entry {
    owner: u32,
    commands: mpsc::Sender<SessionCommand>,
    task: AbortHandle,
    /// Whether it has told a status.
    heard: Arc<AtomicBool>,
    /// Deliveries that wait for the task to end, because it is ending or was told to.
    waiting: Vec<Delivery>,
    /// What the task begins that cannot be broken off: the next one waits for it.
    work: UncancellableWork,
}

pub(super) struct Actor {
    shared: Arc<Shared>,
    gateway: Gateway,
    orders: mpsc::Receiver<Order>,
    tasks: JoinSet<TaskExit>,
    users: HashMap<Id, UserId>,
    sessions: HashMap<UserId, Entry>,
    /// How often a session's task failed since it was last dropped.
    failures: HashMap<UserId, u32>,
}

impl Actor {
    pub(super) fn new(
        shared: Arc<Shared>,
        gateway: Gateway,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            shared,
            gateway,
            orders,
            tasks: JoinSet::new(),
            users: HashMap::new(),
            sessions: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// Begins to restore, so many at a time. What is returned closes when each of them has told its
    /// first status, or has ended.
    pub(super) fn restore(
        &mut self,
        found: Vec<Restored>,
        concurrency: usize,
    ) -> mpsc::Receiver<Infallible> {
        let turn = Arc::new(Semaphore::new(concurrency));
        let (silent, spoken) = mpsc::channel(1);
        for Restored { user, owner } in found {
            let restoring = Restoring {
                turn: Arc::clone(&turn),
                silent: silent.clone(),
            };
            let work = self.shared.store.work();
            self.begin(user, owner, Birth::Restored, Some(restoring), work);
        }
        spoken
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                joined = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if let Some(joined) = joined {
                        self.joined(joined);
                    }
                }
                Some(order) = self.orders.recv() => self.order(order),
                () = self.shared.stop.cancelled(), if self.tasks.is_empty() => break,
            }
        }
        self.orders.close();
        // What came too late is refused, as what comes now.
        while let Ok(order) = self.orders.try_recv() {
            self.order(order);
        }
        self.shared.stopped.cancel();
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Deliver(delivery) => self.deliver(delivery),
            Order::Escalate(delivery) => self.escalate(delivery),
            Order::Probe(reply) => {
                failpoint::hang("supervisor");
                // Whoever asked may have given up.
                let _ = reply.send(());
            }
            Order::Cut => self.tasks.abort_all(),
            Order::Panic(user) => {
                if let Some(entry) = self.sessions.get(&user) {
                    let _ = entry.commands.try_send(SessionCommand::Panic);
                }
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        if self.shared.stop.is_cancelled() {
            return refuse(delivery.command, &Supervisor::stopping());
        }
        let Some(entry) = self.sessions.get_mut(&delivery.user) else {
            return self.deliver_to_nobody(delivery);
        };
        if !delivery.caller.may_see(entry.owner) {
            let failure = self.hidden(&delivery);
            return refuse(delivery.command, &failure);
        }
        let Delivery {
            user,
            caller,
            command,
            absent,
        } = delivery;
        match entry.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Closed(command)) => {
                entry.waiting.push(Delivery {
                    user,
                    caller,
                    command,
                    absent,
                });
            }
            Err(TrySendError::Full(command)) => {
                let message = format!(
                    "{COMMANDS} commands already wait for the session of {user}, which does not take them: a disk may be hanging. `wactl force-logout {user}` ends it"
                );
                refuse(command, &Failure::new(FailureCode::QuotaExceeded, message));
            }
        }
    }

    fn deliver_to_nobody(&mut self, delivery: Delivery) {
        let Delivery {
            user,
            caller,
            command,
            absent,
        } = delivery;
        let Absent::Begin { phone } = absent else {
            return refuse(command, &self.not_found(&user, caller));
        };
        if let Err(failure) = self.has_room(caller) {
            return refuse(command, &failure);
        }
        let owner = caller.uid;
        narration::begun(&user, owner);
        let birth = Birth::Wanted { owner, phone };
        let work = self.shared.store.work();
        self.begin(user.clone(), owner, birth, None, work);
        if let Some(entry) = self.sessions.get(&user) {
            // The channel is new and empty.
            let _ = entry.commands.try_send(command);
        }
    }

    fn has_room(&self, caller: Caller) -> Result<(), Failure> {
        let settings = self.shared.settings.borrow();
        let full = |limit: usize, whose: &str, key: &str| {
            let message = format!("{whose} {limit} sessions already, the most that {key} allows");
            Err(Failure::new(FailureCode::QuotaExceeded, message))
        };
        if self.sessions.len() >= settings.max_sessions {
            return full(settings.max_sessions, "the daemon has", "sessions.max");
        }
        let owned = self
            .sessions
            .values()
            .filter(|e| e.owner == caller.uid)
            .count();
        if !caller.sees_all && owned >= settings.max_sessions_per_uid {
            let whose = format!("uid {} owns", caller.uid);
            return full(
                settings.max_sessions_per_uid,
                &whose,
                "access.max_sessions_per_uid",
            );
        }
        Ok(())
    }

    fn escalate(&mut self, delivery: Delivery) {
        match self.sessions.get_mut(&delivery.user) {
            // The one that hung may have ended meanwhile, and this be somebody else's.
            Some(entry) if delivery.caller.may_see(entry.owner) => {
                narration::hung(&delivery.user);
                entry.task.abort();
                entry.waiting.push(delivery);
            }
            _ => self.deliver(delivery),
        }
    }

    fn begin(
        &mut self,
        user: UserId,
        owner: u32,
        birth: Birth,
        restoring: Option<Restoring>,
        work: UncancellableWork,
    ) {
        let (commands, received) = mpsc::channel(COMMANDS);
        // No filter of the log takes the user's name from the lines that remain.
        let span = tracing::error_span!("session", wasession_user = %user);
        let board = Arc::clone(&self.shared.board);
        let (turn, silent) = match restoring {
            Some(Restoring { turn, silent }) => (Some(turn), Some(silent)),
            None => (None, None),
        };
        let silent = Mutex::new(silent);
        let heard = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&heard);
        let report: Report = Arc::new(move |kind, status| {
            speaks.store(true, Ordering::Relaxed);
            board.changed_to(kind, status);
            silent.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        let context = SessionContext {
            user: user.clone(),
            store: self.shared.store.clone(),
            gateway: self.gateway.clone(),
            history: Arc::clone(&self.shared.history),
            settings: self.shared.settings.subscribe(),
            clock: self.shared.clock,
            report,
            commands: received,
            early: None,
            stop: self.shared.stop.clone(),
            turn,
            work: work.clone(),
            span: span.clone(),
        };
        let task = self.tasks.spawn(live(context, birth).instrument(span));
        self.users.insert(task.id(), user.clone());
        let entry = Entry {
            owner,
            commands,
            task,
            heard,
            waiting: Vec::new(),
            work,
        };
        self.sessions.insert(user, entry);
    }

    // ---- ends -----------------------------------------------------------------------------------

    fn joined(&mut self, joined: Result<(Id, TaskExit), JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(e) => e.id(),
        };
        let Some(user) = self.users.remove(&id) else {
            return;
        };
        let Some(mut entry) = self.sessions.remove(&user) else {
            return;
        };
        match joined {
            Ok((_, TaskExit::Ran(outcome))) => self.lived(&user, outcome),
            Ok((_, TaskExit::NothingOnDisk(mut context, end))) => {
                let mut late = context.drain();
                late.extend(entry.waiting.drain(..).map(|delivery| delivery.command));
                let ends = [end.map(|end| *end), self.last_entry(&user)];
                let newest = ends.into_iter().flatten().max_by_key(|end| end.at);
                let end = newest.unwrap_or_else(|| lost_entry(&user, entry.owner));
                self.unfounded(&user, entry.owner, &end, late);
            }
            Ok((_, TaskExit::CouldNotStart(context, failure))) => {
                narration::not_begun(&user, &failure);
                refuse_all(context, &failure);
            }
            Err(error) => self.failed(&user, &entry, error),
        }
        for delivery in entry.waiting {
            self.deliver(delivery);
        }
    }

    fn lived(&mut self, user: &UserId, outcome: Outcome) {
        self.failures.remove(user);
        let Ended::LoggedOut {
            entry,
            waiters,
            stopped,
        } = outcome.ended
        else {
            for command in outcome.left {
                refuse(command, &Supervisor::stopping());
            }
            return;
        };
        // First the announcement, then the replies: whoever has a reply finds it in the stream.
        let kind = EventKind::from_end((*entry).clone());
        self.shared.board.ended(kind, &entry);
        narration::ended(&entry);
        let owner = entry.owner;
        answer(&entry, waiters, stopped);
        for command in outcome.left {
            self.deliver_late(user, owner, command);
        }
    }

    /// A task that failed began again and found nothing: it had failed in the middle of its logout,
    /// which was committed. It ended after all, and whoever asked for that is told so.
    fn unfounded(
        &mut self,
        user: &UserId,
        owner: u32,
        entry: &HistoryEntry,
        late: Vec<SessionCommand>,
    ) {
        self.failures.remove(user);
        if self.shared.board.get(user).is_some() {
            let kind = EventKind::from_end(entry.clone());
            self.shared.board.ended(kind, entry);
            narration::ended(entry);
        }
        for command in late {
            match command {
                SessionCommand::ForceLogout { reply, .. } => {
                    answer(entry, vec![reply], Vec::new());
                }
                other => self.deliver_late(user, owner, other),
            }
        }
    }

    fn last_entry(&self, user: &UserId) -> Option<HistoryEntry> {
        let history = self.shared.history.read();
        history.last_of(user, |_| true).cloned()
    }

    /// A command that came while the session was ending concerns the user: a connect begins anew.
    fn deliver_late(&mut self, user: &UserId, owner: u32, command: SessionCommand) {
        let absent = match &command {
            SessionCommand::Connect { phone, .. } => Absent::Begin {
                phone: phone.clone(),
            },
            _ => Absent::NotFound,
        };
        // It was let through to this owner's session, so it was the owner or somebody who sees all.
        let caller = Caller {
            uid: owner,
            sees_all: true,
        };
        self.deliver(Delivery {
            user: user.clone(),
            caller,
            command,
            absent,
        });
    }

    /// A task that panicked or was cut begins again: what is on the disk decides how.
    fn failed(&mut self, user: &UserId, before: &Entry, error: JoinError) {
        if self.shared.stop.is_cancelled() {
            return;
        }
        let error = if error.is_panic() {
            format!("its task failed: {}", panic_message(error))
        } else {
            "its task did not answer and was ended".to_owned()
        };
        narration::failed(user, &error);
        let failures = self.failures.entry(user.clone()).or_default();
        *failures = failures.saturating_add(1);
        let wait = AFTER_FAILURE
            .saturating_mul(1 << (*failures - 1).min(16))
            .min(LONGEST_AFTER_FAILURE);
        let now = self.shared.clock.now();
        let retry_at = now.checked_add(wait).unwrap_or(now);
        let owner = before.owner;
        let unheard = !before.heard.load(Ordering::Relaxed);
        if unheard {
            let known = self.shared.board.get(user);
            let status = unheard_status(user, owner, known, &error, now, retry_at);
            self.shared.board.changed_to(EventKind::BackingOff, status);
        }
        let birth = Birth::Failed {
            error,
            retry_at,
            unheard,
        };
        let work = before.work.clone();
        self.begin(user.clone(), owner, birth, None, work);
    }

    /// The failure for a session that the caller may not see: the same as if there were none.
    ///
    /// `connect` cannot keep that up, for it would have to begin a session. All users share one name
    /// space, as files in a directory do: that a name is taken can be found out by trying to take it.
    /// This costs a place in the caller's quota for each name that is not, and tells nothing else.
    fn hidden(&self, delivery: &Delivery) -> Failure {
        let Delivery {
            user,
            caller,
            absent,
            ..
        } = delivery;
        let mut failure = self.not_found(user, *caller);
        if matches!(absent, Absent::Begin { .. }) {
            if let Err(full) = self.has_room(*caller) {
                return full;
            }
            failure.message = format!(
                "uid {} has no session {user} and can begin none: choose another user id, or ask an \
                 admin of this machine",
                caller.uid
            );
        }
        failure
    }

    fn not_found(&self, user: &UserId, caller: Caller) -> Failure {
        not_found(&self.shared, user, caller)
    }
}
