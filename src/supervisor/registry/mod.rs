//! The registry: the supervisor's loop. Only here sessions begin (births), and only here their ends are
//! noticed (deaths).
//!
//! The loop waits for nothing but its orders and the ends of tasks.

mod birth_rate;
mod deaths;
mod failed;
mod quotas;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{SetOnce, mpsc};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use super::birth::{Birth, TaskExit, run_session};
use super::caller::Caller;
use super::history::last_of;
use super::restore::Restored;
use super::routes::{Begin, COMMANDS, Handed, Order, Route, not_found};
use super::{Shared, narration};
use crate::blocking::UncancellableWork;
use crate::failpoint;
use crate::protocol::{Failure, UserId};
use crate::session::{Devices, FirstLink, PairOptions, Report, SessionCommand, SessionContext};
use crate::store::Found;
use quotas::Quotas;

/// The supervisor's loop, with its sessions.
pub(super) struct Registry {
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    tasks: JoinSet<TaskExit>,
    users: HashMap<Id, UserId>,
    sessions: HashMap<UserId, Entry>,
    devices: Devices,
    quotas: Quotas,
}

/// A session, and the task that runs it now.
struct Entry {
    route: Arc<Route>,
    /// Whether the task has published a status.
    has_published: Arc<AtomicBool>,
    /// When the task began.
    began: Instant,
    about: About,
}

/// The facts about a session that stay when its task fails and another task begins.
struct About {
    owner: u32,
    /// The uncancellable work of the session's tasks. Each task waits for the work of the one before.
    work: UncancellableWork,
    /// How often its task failed.
    failures: u32,
    /// The id of the user's last line in the history when the session began. A later line tells how
    /// this session ended.
    last_line: Option<String>,
}

impl About {
    fn new(owner: u32, work: UncancellableWork, last_line: Option<String>) -> Self {
        Self {
            owner,
            work,
            failures: 0,
            last_line,
        }
    }
}

impl Registry {
    pub(super) fn new(shared: Arc<Shared>, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            shared,
            orders,
            tasks: JoinSet::new(),
            users: HashMap::new(),
            sessions: HashMap::new(),
            devices: Devices::default(),
            quotas: Quotas::default(),
        }
    }

    /// Begins to restore these sessions; the gate lets a limited number connect at a time. The returned
    /// barrier opens when each of them has published its first status, or has ended.
    pub(super) fn restore(&mut self, found: Vec<Restored>) -> mpsc::Receiver<Infallible> {
        self.claim_devices(&found);
        let (ready_guard, all_ready) = mpsc::channel(1);
        for restored in found {
            let Restored {
                user,
                owner,
                found,
                work,
                last_line,
            } = restored;
            let ready_guard = Some(ready_guard.clone());
            self.shared.works.adopt(&user, work.clone());
            let about = About::new(owner, work, last_line);
            self.quotas.begun(owner);
            self.begin(user, about, Birth::Restored { found }, ready_guard);
        }
        all_ready
    }

    /// Decides which of two sessions with the same credentials is the copy: the one whose record names
    /// another user. Where the records do not tell, the first in the order of names is the original.
    fn claim_devices(&self, found: &[Restored]) {
        let records = found.iter().filter_map(|restored| match &restored.found {
            Some(Found::Session(record)) => Some((&restored.user, record)),
            _ => None,
        });
        let mut linked: Vec<_> = records
            .filter_map(|(user, record)| {
                let is_named = record.user.as_ref().is_none_or(|named| named == user);
                Some((!is_named, user, &record.account.as_ref()?.jid))
            })
            .collect();
        linked.sort();
        for (_, user, device) in linked {
            // A copy learns it before it connects.
            let _ = self.devices.claim(device, user);
        }
    }

    pub(super) async fn run(mut self) {
        // A stop must not wait for the loop, however it ends.
        let stopped = self.shared.stopped.clone().drop_guard();
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
        drop(stopped);
    }

    fn order(&mut self, order: Order) {
        failpoint::hang("supervisor");
        match order {
            Order::Begin(begin) => {
                let Begin {
                    caller,
                    user,
                    command,
                    reply,
                } = *begin;
                // Whoever asked may have given up.
                let _ = reply.send(self.connect(caller, &user, command));
            }
            Order::Probe(reply) => drop(reply.send(())),
            Order::EndAll => self.tasks.abort_all(),
        }
    }

    // ---- births ---------------------------------------------------------------------------------

    /// Begins a session with a `connect` as its first command.
    fn connect(&mut self, caller: Caller, user: &UserId, command: SessionCommand) -> Handed {
        // Another caller's session of this name may have begun meanwhile.
        let command = match self.shared.routes.give(caller, user, command) {
            Handed::Nobody(command) => command,
            handed => return handed,
        };
        let settings = self.shared.settings.borrow().clone();
        if let Err(failure) = self.quotas.admit(caller, &settings) {
            return Handed::Refused(failure);
        }
        if self.sessions.contains_key(user) {
            return Handed::Refused(self.taken(user, caller));
        }
        let owner = caller.uid;
        narration::begun(user, owner);
        self.quotas.begun(owner);
        let last_line = last_of(&self.shared.history.read(), user, None).map(|(id, _)| id);
        let about = About::new(owner, self.shared.works.begin(user), last_line);
        let birth = Birth::Connect {
            owner,
            options: options_of(&command),
        };
        let route = self.begin(user.clone(), about, birth, None);
        // Its channel is new and empty.
        route.hand(command)
    }

    /// The failure for the name of a session that the caller may not see: the same as if there were none.
    ///
    /// With `connect` the caller can still find out that a name is taken, for a free name would begin a
    /// session. All users share one name space, as files in a directory do. Each try costs what a birth
    /// costs, and says nothing else.
    fn taken(&self, user: &UserId, caller: Caller) -> Failure {
        let mut failure = not_found(&self.shared.history, user, caller);
        failure.message = format!(
            "uid {} has no session {user} and can begin none: choose another user id, or ask an \
             admin of this machine",
            caller.uid
        );
        failure
    }

    /// Starts a task for a session. `ready_guard` is dropped when the session publishes its first status.
    fn begin(
        &mut self,
        user: UserId,
        about: About,
        birth: Birth,
        ready_guard: Option<mpsc::Sender<Infallible>>,
    ) -> Arc<Route> {
        let (commands, received) = mpsc::channel(COMMANDS);
        // The span has the highest level, so that no filter of the log takes the user's name from the lines.
        let span = tracing::error_span!("session", wasession_user = %user);
        let first_link = match &birth {
            Birth::Connect { .. } => FirstLink::AtOnce,
            Birth::Restored { .. } => FirstLink::Restored,
            Birth::Failed { .. } => FirstLink::InLine,
        };
        let has_published = Arc::new(AtomicBool::new(false));
        let owner = Arc::new(AtomicU32::new(about.owner));
        let context = SessionContext {
            user: user.clone(),
            store: self.shared.store.clone(),
            gateway: self.shared.gateway.clone(),
            history: Arc::clone(&self.shared.history),
            devices: self.devices.clone(),
            settings: self.shared.settings.subscribe(),
            clock: self.shared.clock.clone(),
            report: self.report(Arc::clone(&has_published), Arc::clone(&owner), ready_guard),
            commands: received,
            early: None,
            stop: self.shared.stop.clone(),
            gate: self.shared.gate.clone(),
            first_link,
            work: about.work.clone(),
            span: span.clone(),
        };
        let task = self
            .tasks
            .spawn(run_session(context, birth).instrument(span));
        self.users.insert(task.id(), user.clone());
        let route = Arc::new(Route {
            owner,
            commands,
            task,
            end: SetOnce::new(),
        });
        self.shared.routes.insert(user.clone(), Arc::clone(&route));
        let entry = Entry {
            route: Arc::clone(&route),
            has_published,
            began: Instant::now(),
            about,
        };
        self.sessions.insert(user, entry);
        route
    }

    /// The function with which a task publishes what happens to its session.
    fn report(
        &self,
        has_published: Arc<AtomicBool>,
        owner: Arc<AtomicU32>,
        ready_guard: Option<mpsc::Sender<Infallible>>,
    ) -> Report {
        let board = Arc::clone(&self.shared.board);
        let ready_guard = Mutex::new(ready_guard);
        Arc::new(move |kind, status| {
            has_published.store(true, Ordering::Relaxed);
            // A record that could not be read at the start can be read now, so its owner gets the session
            // back. A record that cannot be read any more takes the session from nobody.
            if status.owner != 0 {
                owner.store(status.owner, Ordering::Relaxed);
            }
            board.changed_to(kind, status);
            let mut ready_guard = ready_guard.lock().unwrap_or_else(PoisonError::into_inner);
            ready_guard.take();
        })
    }
}

fn options_of(command: &SessionCommand) -> PairOptions {
    match command {
        SessionCommand::Connect { options, .. } => options.clone(),
        _ => PairOptions::default(),
    }
}
