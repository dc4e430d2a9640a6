//! The task that runs one session.

mod ending;
mod groups;
mod opening;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::command::{LogoutReply, SessionCommand, Stopped};
use super::machine::{Effect, Input, Machine, Moment, Origin};
use super::narration;
use super::settings::Settings;
use super::standing::{Standing, look};
use super::targets::Change;
use crate::blocking::UncancellableWork;
use crate::failpoint;
use crate::message_id;
use crate::protocol::{
    EventKind, Failure, FailureCode, Group, GroupJid, HistoryEntry, Phase, Status, TargetEdit,
    UserId,
};
use crate::store::{Desired, History, Record, Removal, Store};
use crate::whatsapp::{AskError, CredentialsError, Gateway, Link, LinkEvent, Scope};
use opening::{maybe, opened};

/// Tells what happened to a session, and its status after it.
pub type Report = Arc<dyn Fn(EventKind, Status) + Send + Sync>;

/// What a session's task is given.
pub struct SessionContext {
    /// Whose session it is.
    pub user: UserId,
    /// The disk.
    pub store: Store,
    /// The way to WhatsApp.
    pub gateway: Gateway,
    /// Where ended sessions are written.
    pub history: Arc<History>,
    /// The configuration, as it is now and as it changes.
    pub settings: watch::Receiver<Settings>,
    /// The time of day.
    pub clock: Clock,
    /// Where to tell what happens.
    pub report: Report,
    /// Where commands come from.
    pub commands: mpsc::Receiver<SessionCommand>,
    /// One that came before the task began.
    pub early: Option<SessionCommand>,
    /// Fires when the daemon stops.
    pub stop: CancellationToken,
    /// After a start: whose turn it is to connect.
    pub turn: Option<Arc<Semaphore>>,
    /// What the user's tasks begin that cannot be broken off.
    pub work: UncancellableWork,
    /// The span that everything of this session logs in.
    pub span: tracing::Span,
}

impl SessionContext {
    /// Takes no more commands, and returns those that wait.
    pub fn drain(&mut self) -> Vec<SessionCommand> {
        self.commands.close();
        let waiting = std::iter::from_fn(|| self.commands.try_recv().ok());
        self.early.take().into_iter().chain(waiting).collect()
    }
}

/// How a session's task ended.
#[derive(Debug)]
pub struct Outcome {
    /// How.
    pub ended: Ended,
    /// Commands that came too late to be done; they concern the user, not the session that is gone.
    pub left: Vec<SessionCommand>,
}

/// How a session's task ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing of the session is left. Whoever asked for it is told, once it has been published.
    LoggedOut {
        /// The line in the history.
        entry: Box<HistoryEntry>,
        /// Who waits for the reply to a force-logout.
        waiters: Vec<LogoutReply>,
        /// Who waits for the reply to a disconnect, which found nothing to keep.
        stopped: Vec<oneshot::Sender<Result<Stopped, Failure>>>,
    },
    /// The daemon stops; everything is kept.
    Stopped,
}

/// How long to wait for another pair code where WhatsApp asks to slow down and does not say how long.
const PAIR_CODE_WAIT: Duration = Duration::from_mins(1);

type Queue = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;
type Opening = JoinHandle<Result<Link, CredentialsError>>;

/// Runs a session until it ends.
pub async fn run(context: SessionContext, record: Record, origin: Origin) -> Outcome {
    failpoint::panic("session_run", &context.user);
    let (machine, effects) = Machine::new(
        context.user.clone(),
        record,
        origin,
        Moment {
            now: context.clock.now(),
            dice: rand::random(),
        },
    );
    let (checked, to_check) = mpsc::channel(8);
    let mut task = Task {
        context,
        machine,
        link: None,
        events: None,
        queue: None,
        opening: None,
        given_up: None,
        scope: None,
        turn: None,
        removal: None,
        logout_waiters: Vec::new(),
        stop_waiters: Vec::new(),
        code_waiters: Vec::new(),
        checked,
        to_check,
        gone: None,
        unwritten: false,
    };
    task.perform(effects).await;
    task.live().await
}

/// A change of the target groups whose newcomers WhatsApp was asked about.
struct Checked {
    change: Change,
    groups: Result<Vec<Group>, AskError>,
    reply: oneshot::Sender<Result<Vec<GroupJid>, Failure>>,
}

struct Task {
    context: SessionContext,
    machine: Machine,
    link: Option<Link>,
    events: Option<mpsc::UnboundedReceiver<LinkEvent>>,
    /// It waits for its turn to connect.
    queue: Option<Queue>,
    opening: Option<Opening>,
    /// A link that was given up while it was being opened. Opening a database cannot be broken off, so
    /// it is waited for before another one is opened, or the files are removed.
    given_up: Option<Opening>,
    /// The scope of the link, or of the one that is being opened.
    scope: Option<Scope>,
    turn: Option<(OwnedSemaphorePermit, Instant)>,
    removal: Option<Removal>,
    logout_waiters: Vec<LogoutReply>,
    stop_waiters: Vec<oneshot::Sender<Result<Stopped, Failure>>>,
    code_waiters: Vec<oneshot::Sender<Result<Status, Failure>>>,
    checked: mpsc::Sender<Checked>,
    to_check: mpsc::Receiver<Checked>,
    /// The line in the history, once the session is gone.
    gone: Option<HistoryEntry>,
    /// Whether the record on the disk is older than the machine's, because it could not be written.
    unwritten: bool,
}

enum Wake {
    Stop,
    Command(SessionCommand),
    Turn(Option<OwnedSemaphorePermit>),
    Opened(Result<Link, CredentialsError>),
    Link(LinkEvent),
    Checked(Checked),
    TurnOver,
    Due,
    Configured,
}

impl Task {
    async fn live(mut self) -> Outcome {
        loop {
            if let Some(entry) = self.gone.take() {
                return self.logged_out(entry);
            }
            match self.wake().await {
                Wake::Stop => return self.stop().await,
                Wake::Command(command) => self.command(command).await,
                Wake::Turn(permit) => self.my_turn(permit),
                Wake::Opened(opened) => self.opened(opened).await,
                Wake::Link(event) => self.take(Input::Link(event)).await,
                Wake::Checked(checked) => self.targets_checked(checked).await,
                Wake::TurnOver => self.turn = None,
                Wake::Due => self.take(Input::Due).await,
                Wake::Configured => {}
            }
            if self.machine.phase() != Phase::Connecting {
                self.turn = None;
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let deadline = {
            let settings = self.context.settings.borrow_and_update();
            self.machine.deadline(&settings)
        };
        tokio::select! {
            () = self.context.stop.cancelled() => Wake::Stop,
            command = command(&mut self.context.early, &mut self.context.commands) => match command {
                Some(command) => Wake::Command(command),
                // The supervisor is gone, and so is everybody who could ask.
                None => Wake::Stop,
            },
            permit = maybe(&mut self.queue) => Wake::Turn(permit),
            opened = opened(&mut self.opening) => Wake::Opened(opened),
            Some(event) = next(&mut self.events) => Wake::Link(event),
            Some(checked) = self.to_check.recv() => Wake::Checked(checked),
            () = turn_over(self.turn.as_ref().map(|(_, until)| *until)) => Wake::TurnOver,
            () = self.context.clock.until(deadline) => Wake::Due,
            Ok(()) = self.context.settings.changed() => Wake::Configured,
        }
    }

    // ---- inputs ---------------------------------------------------------------------------------

    /// Gives the machine an input, and performs what it asks for.
    async fn take(&mut self, input: Input) {
        let effects = self.step(input);
        self.perform(effects).await;
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let at = Moment {
            now: self.context.clock.now(),
            dice: rand::random(),
        };
        let settings = self.context.settings.borrow().clone();
        self.machine.step(input, at, &settings)
    }

    async fn command(&mut self, command: SessionCommand) {
        failpoint::panic("session_command", &self.context.user);
        match command {
            SessionCommand::Targets { edit, reply } if edit != TargetEdit::Show => {
                match self.cannot_change() {
                    None => self.targets(edit, reply).await,
                    Some(failure) => drop(reply.send(Err(failure))),
                }
            }
            SessionCommand::Connect { phone, reply } => {
                // Whoever asks does not wait for a turn.
                self.skip_the_queue();
                if self.machine.phase() == Phase::StoreCorrupt {
                    self.look_again().await;
                }
                let by_code = phone.is_some() && !self.machine.is_paired();
                self.take(Input::Connect(phone)).await;
                self.answer_connect(by_code, reply);
            }
            SessionCommand::Disconnect { by, reply } => {
                self.stop_waiters.push(reply);
                self.take(Input::Disconnect { by }).await;
                if self.gone.is_none() {
                    self.answer_disconnect().await;
                }
            }
            SessionCommand::ForceLogout { by, reply } => {
                self.logout_waiters.push(reply);
                self.take(Input::ForceLogout { by }).await;
            }
            SessionCommand::Groups { reply } => self.groups(reply),
            SessionCommand::Targets { edit, reply } => self.targets(edit, reply).await,
            SessionCommand::Panic => fail_on_purpose(),
        }
    }

    /// What could not be used may have been put right. Nothing is made over what was not.
    async fn look_again(&mut self) {
        let standing = look(&self.context.store, &self.context.user, &self.context.work).await;
        let Standing::Session { mut record, paired } = standing else {
            return;
        };
        record.desired = Desired::Up;
        let at = Moment {
            now: self.context.clock.now(),
            dice: rand::random(),
        };
        let user = self.context.user.clone();
        let (machine, effects) = Machine::new(user, *record, Origin::Stored { paired }, at);
        self.machine = machine;
        self.perform(effects).await;
    }

    fn answer_connect(&mut self, by_code: bool, reply: oneshot::Sender<Result<Status, Failure>>) {
        let waits_for_code = by_code
            && matches!(
                self.machine.phase(),
                Phase::Connecting | Phase::AwaitingScan | Phase::BackingOff
            );
        match self.machine.phase() {
            _ if waits_for_code => self.code_waiters.push(reply),
            Phase::PurgeFailed => drop(reply.send(Err(self.purge_failure()))),
            _ => drop(reply.send(Ok(self.machine.status()))),
        }
    }

    async fn answer_disconnect(&mut self) {
        let answer = match self.machine.phase() {
            Phase::PurgeFailed => Err(self.purge_failure()),
            Phase::Disconnected if self.unwritten => self.stays_disconnected().await,
            _ => Ok(()),
        };
        let answer = answer.map(|()| Stopped::Kept(Box::new(self.machine.status())));
        for waiter in self.stop_waiters.drain(..) {
            let _ = waiter.send(answer.clone());
        }
    }

    /// Whoever is told that it is disconnected must find it so after a restart of the daemon.
    async fn stays_disconnected(&mut self) -> Result<(), Failure> {
        let written = self.write_record().await;
        written.map_err(|mut failure| {
            failure.message.push_str(
                ". It is disconnected now, and a restart of the daemon would bring it back: make room, then disconnect it again",
            );
            failure
        })
    }

    fn purge_failure(&self) -> Failure {
        let status = self.machine.status();
        let error = status
            .error
            .unwrap_or_else(|| "the removal did not finish".to_owned());
        let message = format!(
            "the session of {} could not be removed completely: {error}. {}",
            self.context.user, status.next_action
        );
        Failure::new(FailureCode::PurgeFailed, message)
    }

    // ---- effects --------------------------------------------------------------------------------

    async fn perform(&mut self, effects: Vec<Effect>) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::OpenLink => self.open_link(),
                Effect::CloseLink => self.close_link().await,
                Effect::AskPairCode(phone) => {
                    if let Some(link) = &self.link {
                        link.ask_pair_code(&phone);
                    }
                }
                Effect::Save => {
                    // What could not be written is written with the next change; a person sees it.
                    if let Err(failure) = self.write_record().await {
                        tracing::error!(
                            message_id = message_id::STORE_FAILED,
                            "{}",
                            failure.message
                        );
                    }
                }
                Effect::Publish(kind) => self.publish(kind),
                Effect::PairCodeRefused {
                    rate_limited,
                    retry_after,
                    error,
                } => {
                    self.refuse_code(rate_limited, retry_after, &error);
                }
                Effect::Purge { unlink } => {
                    if let Err(left) = self.log_out(unlink).await {
                        queue.extend(self.step(Input::PurgeFailed(left)));
                    }
                }
            }
        }
        if self.machine.phase() == Phase::PurgeFailed {
            let failure = self.purge_failure();
            for waiter in self.logout_waiters.drain(..) {
                let _ = waiter.send(Err(failure.clone()));
            }
        }
    }

    fn publish(&mut self, kind: EventKind) {
        let status = self.machine.status();
        // There is a code, or there will be none: scanned first, parked, disconnected.
        let may_come = matches!(
            status.phase,
            Phase::Connecting | Phase::AwaitingScan | Phase::BackingOff | Phase::LoggingOut
        );
        if !may_come {
            for waiter in self.code_waiters.drain(..) {
                let _ = waiter.send(Ok(status.clone()));
            }
        }
        narration::tell(&kind, &status);
        (self.context.report)(kind, status);
    }

    fn refuse_code(&mut self, rate_limited: bool, retry_after: Option<Duration>, error: &str) {
        let (code, hint) = if rate_limited {
            (
                FailureCode::RateLimited,
                "Wait before the next try, or pair by QR code",
            )
        } else {
            (FailureCode::Refused, "Check the number, or pair by QR code")
        };
        let message = format!(
            "WhatsApp gave no pair code for {}: {error}. {hint}",
            self.context.user
        );
        let mut failure = Failure::new(code, message);
        let wait = retry_after.or(rate_limited.then_some(PAIR_CODE_WAIT));
        failure.retry_after = wait.map(|wait| wait.as_secs().max(1));
        for waiter in self.code_waiters.drain(..) {
            let _ = waiter.send(Err(failure.clone()));
        }
    }

    async fn write_record(&mut self) -> Result<(), Failure> {
        let written = self.save(self.machine.record().clone()).await;
        self.unwritten = written.is_err();
        written
    }

    fn save(&self, record: Record) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let (store, user) = (self.context.store.clone(), self.context.user.clone());
        let name = user.clone();
        let work = self.context.work.clone();
        async move {
            let saved = work.on_disk(move || store.save(&user, &record)).await;
            let why = match saved {
                Ok(()) => return Ok(()),
                Err(e) => e.to_string(),
            };
            let message = format!("the session of {name} could not be written: {why}");
            Err(Failure::new(FailureCode::StoreFailed, message))
        }
    }
}

async fn next(events: &mut Option<mpsc::UnboundedReceiver<LinkEvent>>) -> Option<LinkEvent> {
    match events {
        Some(events) => match events.recv().await {
            Some(event) => Some(event),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn command(
    early: &mut Option<SessionCommand>,
    commands: &mut mpsc::Receiver<SessionCommand>,
) -> Option<SessionCommand> {
    match early.take() {
        Some(command) => Some(command),
        None => commands.recv().await,
    }
}

async fn turn_over(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[allow(
    clippy::panic,
    reason = "the point of it: the tests see that a panic stays in its session"
)]
fn fail_on_purpose() {
    panic!("this session was asked to fail");
}
