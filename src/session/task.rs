//! The task that runs one session. It gives the machine every input, and performs the effects beside its
//! loop, so that it always answers.

mod effects;
mod exit;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::command::{Disconnected, LogoutReply, PasskeyReply, SessionCommand};
use super::devices::Devices;
use super::gate::{Gate, Turn};
use super::machine::{Answer, Effect, Exit, Input, Machine, Moment, Origin, Request};
use super::narration;
use super::passkey::PasskeyInput;
use super::proxy::{ProxyChange, log_proxy};
use super::settings::Settings;
use super::targets::Change;
use crate::blocking::UncancellableWork;
use crate::failpoint;
use crate::protocol::{
    Cause, EventKind, Failure, FailureCode, HistoryEntry, Phase, ProxyEdit, Status, UserId,
};
use crate::store::{History, Record, Removal, Store};
use crate::whatsapp::{Ending, Gateway, Link, LinkEvent, LinkEvents, Pace, Verdict};
use effects::{Done, Opening};

/// Publishes what happened to a session, and the status after it.
pub type Report = Arc<dyn Fn(EventKind, Status) + Send + Sync>;

impl std::fmt::Debug for SessionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionContext")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

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
    /// Which session uses which linked device.
    pub devices: Devices,
    /// The configuration, as it is now and as it changes.
    pub settings: watch::Receiver<Settings>,
    /// The clocks.
    pub clock: Clock,
    /// Publishes what happens.
    pub report: Report,
    /// Where commands come from.
    pub commands: mpsc::Receiver<SessionCommand>,
    /// A command that came before the task began.
    pub early: Option<SessionCommand>,
    /// Fires when the daemon stops.
    pub stop: CancellationToken,
    /// The gate through which the session goes when it connects.
    pub gate: Gate,
    /// How soon it connects the first time.
    pub first_link: FirstLink,
    /// The user's work that cannot be cancelled.
    pub work: UncancellableWork,
    /// The span that everything of this session logs in.
    pub span: tracing::Span,
}

/// How soon a session connects the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstLink {
    /// At once: somebody asked for it.
    AtOnce,
    /// When it is its turn.
    InLine,
    /// When it is its turn, for which it asks after a moment: the daemon has just started.
    Restored,
}

impl SessionContext {
    /// Takes no more commands, and returns those that wait.
    pub fn drain(&mut self) -> Vec<SessionCommand> {
        self.commands.close();
        let waiting = std::iter::from_fn(|| self.commands.try_recv().ok());
        self.early.take().into_iter().chain(waiting).collect()
    }
}

/// The end of a session's task, with what it left.
#[derive(Debug)]
pub struct Outcome {
    /// How.
    pub ended: SessionEnd,
    /// Commands that came too late. They concern the user, not the session that is gone.
    pub left: Vec<SessionCommand>,
}

/// How a session's task ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// Nothing of the session is left. The supervisor publishes that, and then sends the replies.
    LoggedOut {
        /// Its line in the history.
        entry: Box<HistoryEntry>,
        /// Who waits for the reply to a force-logout.
        waiters: Vec<LogoutReply>,
        /// Who waits for the reply to a disconnect, which found nothing to keep.
        stopped: Vec<oneshot::Sender<Result<Disconnected, Failure>>>,
    },
    /// The daemon stops; everything is kept.
    Stopped,
    /// Somebody else removed what was on the disk.
    NothingOnDisk(Box<SessionContext>),
}

/// Runs a session until it ends.
pub async fn run(mut context: SessionContext, record: Record, origin: Origin) -> Outcome {
    failpoint::panic("session_run", &context.user);
    let at = moment(&context.clock);
    let settings = context.settings.borrow_and_update().clone();
    let user = context.user.clone();
    // Whatever is news from here on ends a wait that begins from here on.
    let version_news = context.gateway.version_news();
    let urgent = context.first_link == FirstLink::AtOnce;
    let reachable = context.gate.reachable();
    let (machine, effects) = Machine::new(user, record, origin, at, &settings);
    let mut task = Task {
        context,
        machine,
        link: None,
        events: None,
        opening: None,
        turn: None,
        urgent,
        reachable,
        removal: None,
        version_news,
        asked: BTreeMap::new(),
        last_request: 0,
        under_way: FuturesUnordered::new(),
        stopping: false,
        deserted: false,
        exit: None,
    };
    task.perform(effects);
    task.run_loop().await
}

/// The time and the jitter of a step.
fn moment(clock: &Clock) -> Moment {
    Moment {
        now: clock.now(),
        monotonic: clock.monotonic(),
        jitter: rand::random(),
    }
}

struct Task {
    context: SessionContext,
    machine: Machine,
    link: Option<Link>,
    events: Option<LinkEvents>,
    /// The link that is being opened.
    opening: Option<Opening>,
    /// The session's turn to connect, and how long the session may keep it.
    turn: Option<(Turn, Instant)>,
    /// Whether somebody asked for the session to be connected now, so it does not wait for its turn.
    urgent: bool,
    /// Ticks when WhatsApp can be reached again.
    reachable: watch::Receiver<()>,
    /// A removal that failed, with the steps that are done.
    removal: Option<Removal>,
    /// Ticks when WhatsApp may accept a version that it did not.
    version_news: watch::Receiver<u64>,
    /// The commands that are not answered yet.
    asked: BTreeMap<Request, SessionCommand>,
    last_request: u64,
    /// The effects that take time.
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    stopping: bool,
    /// Whether nobody is left who could send a command.
    deserted: bool,
    exit: Option<Exit>,
}

enum Wake {
    Stop,
    Command(SessionCommand),
    Done(Done),
    Link(LinkEvent),
    TurnEnds,
    Reachable,
    Due,
    Configured,
    VersionChanged,
}

impl Task {
    async fn run_loop(mut self) -> Outcome {
        loop {
            if let Some(exit) = self.exit.take() {
                return self.leave(exit);
            }
            match self.next_wake().await {
                Wake::Stop => {
                    self.stopping = true;
                    self.take(Input::Stop);
                }
                Wake::Command(command) => self.command(command),
                Wake::Done(done) => self.done(done),
                Wake::Link(event) => self.link_event(event),
                Wake::TurnEnds => self.turn = None,
                Wake::Reachable => self.take(Input::Reachable),
                Wake::Due => self.take(Input::Due),
                Wake::Configured => self.configured(),
                Wake::VersionChanged => self.take(Input::VersionChanged),
            }
            if self.machine.phase() != Phase::Connecting {
                self.turn = None;
                self.urgent = false;
            }
        }
    }

    async fn next_wake(&mut self) -> Wake {
        let due = {
            // A change is seen only where it is taken in.
            let settings = self.context.settings.borrow();
            self.machine.deadline(&settings)
        };
        let backs_off = self.machine.phase() == Phase::BackingOff;
        if !backs_off {
            // What was told before the session had to wait does not concern it.
            self.reachable.mark_unchanged();
        }
        tokio::select! {
            () = self.context.stop.cancelled(), if !self.stopping => Wake::Stop,
            command = command(&mut self.context.early, &mut self.context.commands), if !self.deserted => {
                // Without one, the supervisor is gone, and nobody can send a command.
                self.deserted = command.is_none();
                command.map_or(Wake::Stop, Wake::Command)
            }
            Some(done) = self.under_way.next() => Wake::Done(done),
            Some(event) = next_event(&mut self.events) => Wake::Link(event),
            () = turn_ends(self.turn.as_ref().map(|(_, until)| *until)) => Wake::TurnEnds,
            () = self.context.clock.until(due) => Wake::Due,
            Ok(()) = self.reachable.changed(), if backs_off => Wake::Reachable,
            Ok(()) = self.context.settings.changed() => Wake::Configured,
            Ok(()) = self.version_news.changed() => Wake::VersionChanged,
        }
    }

    /// Takes an event of the link, and tells the gate what it means for the other sessions.
    fn link_event(&mut self, event: LinkEvent) {
        if let LinkEvent::Paired(account) = &event {
            let SessionContext { devices, user, .. } = &self.context;
            devices.take(&account.jid, user);
        }
        let before = self.machine.phase();
        let struggled = self.machine.has_failed();
        self.take(Input::Link(event));
        match (before, self.machine.phase()) {
            (Phase::Online, Phase::BackingOff | Phase::Connecting) => self.context.gate.lost(),
            (Phase::Connecting, Phase::Online) if struggled => self.context.gate.reached(),
            _ => {}
        }
    }

    /// Gives the machine an input, and performs the effects.
    fn take(&mut self, input: Input) {
        let at = moment(&self.context.clock);
        let settings = self.context.settings.borrow().clone();
        let effects = self.machine.step(input, at, &settings);
        self.perform(effects);
    }

    /// Takes over what changed in the configuration. Deadlines follow from it anyway.
    fn configured(&self) {
        if let Some(link) = &self.link {
            link.handle()
                .set_presence(self.context.settings.borrow().presence);
        }
    }

    fn command(&mut self, command: SessionCommand) {
        failpoint::panic("session_command", &self.context.user);
        self.last_request += 1;
        let request = Request(self.last_request);
        let input = match &command {
            SessionCommand::Connect { options, .. } => {
                // A session that somebody asks for does not wait for its turn.
                self.skip_the_queue();
                Input::Connect(request, options.clone())
            }
            SessionCommand::Disconnect { by, .. } => Input::Disconnect { request, by: *by },
            SessionCommand::ForceLogout { by, deadline, .. } => Input::ForceLogout {
                request,
                by: *by,
                within: deadline.left(),
            },
            SessionCommand::Groups { .. } => Input::Groups(request),
            SessionCommand::Passkey { action, .. } => {
                match PasskeyInput::parse(&self.context.user, action) {
                    Ok(input) => Input::Passkey(request, input),
                    Err(failure) => return command.refuse(failure),
                }
            }
            SessionCommand::Targets { edit, .. } => match Change::parse(edit.clone()) {
                Ok(change) => Input::Targets(request, change),
                Err(failure) => return command.refuse(failure),
            },
            SessionCommand::Proxy { edit, .. } => match ProxyChange::parse(edit.clone()) {
                Ok(change) => {
                    if change != ProxyChange::Nothing {
                        self.skip_the_queue();
                    }
                    Input::Proxy(request, change)
                }
                Err(failure) => return command.refuse(failure),
            },
        };
        self.asked.insert(request, command);
        self.take(input);
    }

    /// The status with the proxy in force: the machine knows only what was chosen for the session.
    fn with_proxy(&self, status: Status) -> Status {
        let record = self.machine.record();
        let known = !record.is_stand_in;
        let proxy = known.then(|| self.context.gateway.proxy_of(record.proxy.as_ref()));
        Status { proxy, ..status }.bounded()
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::OpenLink(expected) => self.open_link(expected),
                Effect::CloseLink {
                    close,
                    goodbye,
                    within,
                } => self.close_link(close, goodbye, within),
                Effect::AskPairCode(request, phone) => {
                    if let Some(link) = &self.link {
                        link.handle().ask_pair_code(request, &phone);
                    }
                }
                Effect::ShowUp => {
                    if let Some(link) = &self.link {
                        link.handle().show_up();
                    }
                }
                Effect::AnswerPasskey(request, assertion) => {
                    self.send_passkey(Some(request), Some(*assertion));
                }
                Effect::ConfirmPasskey(request) => self.send_passkey(request, None),
                Effect::AskGroups(request) => self.ask_groups(request),
                Effect::Save(record) => self.save(*record),
                Effect::Look => self.look(),
                Effect::Unlink {
                    paired,
                    full_handshake,
                    within,
                } => self.unlink(paired, full_handshake, within),
                Effect::Remove(intent) => self.remove(intent),
                Effect::Publish(kind, status) => {
                    let status = self.with_proxy(*status);
                    narration::log(&kind, &status);
                    (self.context.report)(kind, status);
                }
                Effect::Answer(request, answer) => {
                    let answer = match answer {
                        Answer::Status(status) => {
                            Answer::Status(Box::new(self.with_proxy(*status)))
                        }
                        answer => answer,
                    };
                    if let Some(command) = self.asked.remove(&request) {
                        reply(&self.context.gateway, command, answer);
                    }
                }
                Effect::End(exit) => self.exit = Some(exit),
            }
        }
    }
}

/// Sends the answer to a command.
fn reply(gateway: &Gateway, command: SessionCommand, answer: Answer) {
    match (command, answer) {
        (command, Answer::Refused(failure)) => command.refuse(failure),
        (SessionCommand::Connect { reply, .. }, Answer::Status(status)) => {
            let _ = reply.send(Ok(*status));
        }
        (SessionCommand::Disconnect { reply, .. }, Answer::Status(status)) => {
            let _ = reply.send(Ok(Disconnected::Kept(status)));
        }
        (SessionCommand::Passkey { reply, .. }, Answer::Passkey(challenge)) => {
            let _ = reply.send(Ok(PasskeyReply::Challenge(challenge)));
        }
        (SessionCommand::Passkey { reply, .. }, Answer::Status(status)) => {
            let _ = reply.send(Ok(PasskeyReply::Taken(status)));
        }
        (SessionCommand::Groups { reply, .. }, Answer::Groups(groups)) => {
            let _ = reply.send(Ok(groups));
        }
        (SessionCommand::Targets { reply, .. }, Answer::Targets(targets)) => {
            let _ = reply.send(Ok(targets));
        }
        (SessionCommand::Proxy { by, edit, reply }, Answer::Proxy(choice)) => {
            let proxy = gateway.proxy_of(choice.as_ref());
            if edit != ProxyEdit::Show {
                log_proxy(by, &proxy);
            }
            let _ = reply.send(Ok(proxy));
        }
        (command, _) => {
            // Neither the command nor the answer is logged: they name phones, groups and correspondents.
            tracing::error!("a fault: a command was to be answered with something else");
            command.refuse(Failure::new(
                FailureCode::Internal,
                "the answer does not belong to the command; this is a fault of the daemon",
            ));
        }
    }
}

async fn next_event(events: &mut Option<LinkEvents>) -> Option<LinkEvent> {
    match events {
        Some(told) => {
            let event = told.recv().await;
            if event.is_none() {
                *events = None;
            }
            // A link that has ended says so. Here its monitor has failed, and without this nobody would learn
            // how the link goes on.
            Some(event.unwrap_or_else(|| LinkEvent::Ended(unfollowed())))
        }
        None => std::future::pending().await,
    }
}

/// The ending of a link whose monitor failed.
fn unfollowed() -> Ending {
    Ending {
        verdict: Verdict::Retry(Cause::TaskFailed, Pace::Usual),
        error: "the link's monitor failed; the daemon's log says where".to_owned(),
        text: None,
        appeal_token: None,
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

async fn turn_ends(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
