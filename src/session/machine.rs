//! The pure state machine of a session: what each input does in each phase.
//!
//! Everything that happens to a session is an [`Input`]: a command, a report of its link, the result of
//! an [`Effect`], the passing of time, the daemon's stop. Nothing else changes a [`Machine`]. The machine
//! knows no clock and does no I/O, so what it does can be read, and tested, as a table.

mod account;
mod answers;
mod asked;
mod disk;
mod ending;
mod ghost;
mod lifecycle;
mod link;
mod logout;
mod passkey;
mod proxy;
mod target_edits;
mod time;

use jiff::Timestamp;

use super::clock::Monotonic;
use super::pairing::{PairOptions, Pairing, Past};
use super::passkey::PasskeyInput;
use super::proxy::ProxyChange;
use super::settings::Settings;
use super::standing::Standing;
use super::targets::Change;
use crate::protocol::{
    Cause, Connecting, EventKind, Failure, Group, GroupJid, HistoryEntry, PairCode,
    PasskeyChallenge, Phase, PhoneNumber, Qr, Status, UserId, Warning,
};
use crate::store::{Intent, ProxyChoice, Record};
use crate::whatsapp::{AskError, Assertion, CodeRequest, Expected, LinkEvent};
pub(super) use disk::Saving;
pub(super) use ending::Outdated;
pub(super) use ghost::Ghosts;
pub use ghost::LOGIN_MAY_BE_OPEN;
pub(super) use logout::Logout;
pub use logout::Unlinked;
pub(super) use target_edits::TargetEdits;

/// A session's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub(super) user: UserId,
    /// The record: what is on the disk, or will be with the next [`Effect::Save`].
    pub(super) record: Record,
    /// Whether the credentials are an account's. Where nobody can tell, the machine takes them for one's.
    pub(super) paired: bool,
    /// Whether the session's files cannot be read or used. The record in memory may then not be the one on
    /// the disk, so it is not written.
    unread: bool,
    pub(super) phase: Phase,
    pub(super) since: Timestamp,
    entered: Monotonic,
    pub(super) connecting: Option<Connecting>,
    /// Since when the stage of phase `connecting` is timed. A link that is not open yet is not.
    stage_timed_since: Option<Monotonic>,
    pub(super) pairing: Option<Pairing>,
    /// The number of the last [`Effect::AskPairCode`].
    last_code: CodeRequest,
    pub(super) qr: Option<Qr>,
    pub(super) pair_code: Option<PairCode>,
    /// By when the next event must have come after the QR code or the pair code that is shown.
    code_ends: Monotonic,
    pub(super) retry_at: Option<Timestamp>,
    retry_due: Option<Monotonic>,
    pub(super) reason: Option<Cause>,
    pub(super) error: Option<String>,
    link: LinkState,
    /// The number of the last [`Effect::CloseLink`].
    last_close: Close,
    saving: Saving,
    edits: TargetEdits,
    /// Whether the disk is being looked at.
    looking: bool,
    logout: Option<Logout>,
    waiting: Waiting,
    /// What will become a failure if nobody does anything.
    pub(super) warnings: Vec<Warning>,
    /// How many times it was warned of the silence of the account's phone.
    phone_warnings: usize,
    /// When to show up as available again.
    shows_up_at: Option<Monotonic>,
    /// Links opened since it was last online.
    pub(super) attempts: u32,
    /// Links that failed in a row.
    failures: u32,
    /// Links in a row that were online for a short time only.
    short_links: u32,
    pub(super) way_back: WayBack,
    /// Handshakes that failed in a row.
    failed_handshakes: u32,
    outdated: Outdated,
    ghosts: Ghosts,
    course: Course,
    /// The effects of the step under way.
    effects: Vec<Effect>,
}

/// What decides when a session that lost its link comes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WayBack {
    /// How long the last link was online.
    pub(super) was_online_for: std::time::Duration,
    /// Whether the session tried again because another one had come online, since it was last online itself.
    was_told: bool,
}

/// Whether the task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Running,
    /// The daemon stops: what is under way is finished, and nothing is begun.
    Stopping,
    /// The machine has ended the task.
    Ended,
}

/// The number of a request. The answer carries the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub(super) u64);

/// The number of a close. Its result carries the same number, so that the result of an earlier close is not
/// taken for that of a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Close(u64);

/// The requests that wait, by what they wait for.
#[derive(Debug, Clone, Default, PartialEq)]
struct Waiting {
    /// `connect` by phone number: for a pair code.
    code: Vec<Request>,
    /// `connect`: until the record is written.
    written: Vec<Request>,
    /// `disconnect`: until the link is closed and the record written.
    close: Vec<Request>,
    /// `force-logout`, and commands that are carried out after the logout: for its end.
    removal: Vec<Request>,
    /// `proxy`: until the record is written.
    proxy: Vec<Request>,
    /// `groups`: for WhatsApp's answer.
    groups: Vec<Request>,
    /// `passkey`: for WhatsApp's answer to what was handed in.
    passkey: Vec<Request>,
    /// `connect`: for the look at the disk.
    look: Vec<(Request, PairOptions)>,
}

/// Whether the session has a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// There is none. What is left of the last link ends before the next one is opened.
    Closed,
    Opening,
    Open,
    Closing,
}

/// How a session came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody said `connect` and there was nothing.
    New {
        /// How to pair it.
        options: PairOptions,
        /// What the history knows of the user.
        past: Past,
    },
    /// It was on the disk.
    Stored {
        /// Whether its credentials are an account's.
        paired: bool,
    },
    /// It is on the disk, its bytes are wrong, and this is why.
    Unusable(String),
    /// It is on the disk, cannot be opened now, and this is why.
    Unavailable(String),
    /// Its task failed, and it begins again.
    Failed {
        /// Whether its credentials are an account's.
        paired: bool,
        /// How the task failed, in words.
        error: String,
        /// How long until the next try.
        wait: std::time::Duration,
        /// What the history knows of the user.
        past: Past,
    },
}

/// Something that happens to a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody asks for it to be brought up.
    Connect(Request, PairOptions),
    /// Somebody asks for it to be closed.
    Disconnect {
        /// The request.
        request: Request,
        /// Who asks.
        by: u32,
    },
    /// Somebody asks for it to be removed.
    ForceLogout {
        /// The request.
        request: Request,
        /// Who asks.
        by: u32,
        /// How long it may take until the reply.
        within: std::time::Duration,
    },
    /// Somebody asks for the account's groups.
    Groups(Request),
    /// Somebody asks for the target groups to be shown or changed.
    Targets(Request, Change),
    /// Somebody does a step of a pairing for which WhatsApp wants a passkey.
    Passkey(Request, PasskeyInput),
    /// Somebody asks for the proxy to be shown or changed.
    Proxy(Request, ProxyChange),
    /// The daemon stops.
    Stop,
    /// Its link reported something.
    Link(LinkEvent),
    /// Something is due.
    Due,
    /// The client names another version to WhatsApp, or WhatsApp accepts the present one again.
    VersionChanged,
    /// Another session came online after WhatsApp could not be reached.
    Reachable,

    /// Of [`Effect::OpenLink`]: the link is open.
    Opened,
    /// Of [`Effect::OpenLink`]: the bytes of the credentials are wrong, and this is why.
    Unusable(String),
    /// Of [`Effect::OpenLink`]: the credentials cannot be opened now, and this is why.
    Unavailable(String),
    /// Of [`Effect::OpenLink`]: another session uses these credentials, and this one is a copy, as these words
    /// say. Nothing was opened.
    Copied(String),
    /// Of [`Effect::CloseLink`]: nothing of the link runs any more; or what still runs, in words.
    Closed(Close, Result<(), String>),
    /// The result of [`Effect::Save`].
    Saved(Result<(), String>),
    /// The result of [`Effect::Look`].
    Looked(Standing),
    /// The result of [`Effect::AskGroups`].
    GroupsAnswered(Request, Result<Vec<Group>, AskError>),
    /// The result of [`Effect::AnswerPasskey`] or [`Effect::ConfirmPasskey`].
    PasskeyAnswered(Option<Request>, Result<(), AskError>),
    /// The result of [`Effect::Unlink`].
    Unlinked(Unlinked),
    /// Of [`Effect::Remove`]: the line of the history, or what is left and why.
    Removed(Result<Box<HistoryEntry>, String>),
}

/// The time and the jitter of a step.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of day.
    pub now: Timestamp,
    /// The moment on the monotonic clock.
    pub monotonic: Monotonic,
    /// A number from 0 to 1, drawn anew for every input: it spreads the retries.
    pub jitter: f64,
}

/// What the task must do. Effects that take time run beside its loop, and their results are inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Open a link. The task waits first until nothing of the last link is left.
    OpenLink(Expected),
    /// Close the link, or give up opening it, and wait until nothing of it runs.
    CloseLink {
        /// The number of this close.
        close: Close,
        /// Whether to write what is in memory and to tell WhatsApp. Otherwise the link is cut.
        goodbye: bool,
        /// How long that may take.
        within: std::time::Duration,
    },
    /// Ask the link for a pair code.
    AskPairCode(CodeRequest, PhoneNumber),
    /// Say `available` over the link, and take it back at once.
    ShowUp,
    /// Send the answer of a passkey through the link.
    AnswerPasskey(Request, Box<Assertion>),
    /// Say through the link that the codes are the same.
    ConfirmPasskey(Option<Request>),
    /// Ask the link for the account's groups.
    AskGroups(Request),
    /// Write this record.
    Save(Box<Record>),
    /// Look at the disk.
    Look,
    /// Ask WhatsApp to remove the device.
    Unlink {
        /// Whether it may be an account's. If not, there is something to unlink only where the phone
        /// has accepted the device just now.
        paired: bool,
        /// Whether the last handshake failed.
        full_handshake: bool,
        /// How long that may take.
        within: std::time::Duration,
    },
    /// Remove everything, and write the history.
    Remove(Box<Intent>),
    /// Publish what happened, and the status after it.
    Publish(EventKind, Box<Status>),
    /// Answer a request.
    Answer(Request, Answer),
    /// End the task.
    End(Exit),
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The session as it is now.
    Status(Box<Status>),
    /// The account's groups.
    Groups(Vec<Group>),
    /// The target groups.
    Targets(Vec<GroupJid>),
    /// The challenge for a passkey.
    Passkey(Box<PasskeyChallenge>),
    /// The session's own proxy, if it has one.
    Proxy(Option<ProxyChoice>),
    /// It could not be done.
    Refused(Failure),
}

/// How a session's task ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Exit {
    /// Nothing of the session is left.
    LoggedOut(Box<HistoryEntry>),
    /// The daemon stops; everything is kept.
    Stopped,
    /// There is nothing on the disk any more, and it was not removed by this task.
    NothingOnDisk,
}

impl Machine {
    /// The state of a session at its beginning, and what to do first.
    #[must_use]
    pub fn new(
        user: UserId,
        record: Record,
        origin: Origin,
        at: Moment,
        settings: &Settings,
    ) -> (Self, Vec<Effect>) {
        let mut machine = Self {
            user,
            record,
            paired: false,
            unread: false,
            phase: Phase::Disconnected,
            since: at.now,
            entered: at.monotonic,
            connecting: None,
            stage_timed_since: None,
            pairing: None,
            last_code: CodeRequest::default(),
            qr: None,
            pair_code: None,
            code_ends: at.monotonic,
            retry_at: None,
            retry_due: None,
            reason: None,
            error: None,
            link: LinkState::Closed,
            last_close: Close(0),
            saving: Saving::default(),
            edits: TargetEdits::default(),
            looking: false,
            logout: None,
            waiting: Waiting::default(),
            warnings: Vec::new(),
            phone_warnings: 0,
            shows_up_at: None,
            attempts: 0,
            failures: 0,
            short_links: 0,
            way_back: WayBack::default(),
            failed_handshakes: 0,
            outdated: Outdated::default(),
            ghosts: Ghosts::default(),
            course: Course::Running,
            effects: Vec::new(),
        };
        machine.begin(origin, at, settings);
        let effects = std::mem::take(&mut machine.effects);
        (machine, effects)
    }

    /// Takes an input; returns what to do about it.
    pub fn step(&mut self, input: Input, at: Moment, settings: &Settings) -> Vec<Effect> {
        if self.course != Course::Ended {
            self.take(input, at, settings);
            self.note_lost_login(at);
            self.settle();
        }
        std::mem::take(&mut self.effects)
    }

    fn take(&mut self, input: Input, at: Moment, settings: &Settings) {
        match input {
            Input::Connect(request, options) => self.connect_asked(request, options, at, settings),
            Input::Disconnect { request, by } => self.disconnect_asked(request, by, at, settings),
            Input::ForceLogout {
                request,
                by,
                within,
            } => self.force_logout_asked(request, by, within, at, settings),
            Input::Groups(request) => self.groups_asked(request),
            Input::Targets(request, change) => self.targets_asked(request, change),
            Input::Passkey(request, input) => self.passkey_asked(request, input, at),
            Input::Proxy(request, change) => self.proxy_asked(request, change, at),
            Input::Stop => self.stop(at),
            Input::Due => self.due(at, settings),
            Input::VersionChanged => self.version_changed(at),
            Input::Reachable => self.reachable(at),
            // A link that is being closed has nothing to say any more.
            Input::Link(event) if self.has_link() => self.link(event, at, settings),
            Input::Link(_) => {}
            Input::Opened => self.opened(at),
            Input::Unusable(why) => self.not_opened(at, |machine, at| machine.unusable(why, at)),
            Input::Unavailable(why) => {
                self.not_opened(at, |machine, at| machine.unavailable(why, at, settings));
            }
            Input::Copied(why) => self.not_opened(at, |machine, at| machine.copied(why, at)),
            Input::Closed(close, closed) => self.closed(close, closed, at, settings),
            Input::Saved(saved) => self.saved(saved, at),
            Input::Looked(standing) => self.looked(standing, at, settings),
            Input::GroupsAnswered(request, groups) => self.groups_answered(request, groups),
            Input::PasskeyAnswered(request, result) => {
                self.passkey_answered(request, result, at, settings);
            }
            Input::Unlinked(unlinked) => self.unlinked(unlinked, at, settings),
            Input::Removed(removed) => self.removed(removed, at),
        }
    }

    /// Answers after each step the requests that need not wait any more.
    fn settle(&mut self) {
        self.answer_for_code();
        self.answer_when_written();
        self.answer_for_close();
        self.answer_for_proxy();
        self.stop_when_done();
    }

    /// The logout under way.
    pub(super) const fn logout(&self) -> Option<&Logout> {
        self.logout.as_ref()
    }

    /// Whether the session's files could not be read yet.
    const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Whether a link is open or being opened.
    fn has_link(&self) -> bool {
        matches!(self.link, LinkState::Opening | LinkState::Open)
            && matches!(
                self.phase,
                Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode | Phase::Online
            )
    }

    /// Enters a phase, and clears what belonged to the phase before. The caller adds what belongs to the
    /// new phase, and publishes it.
    fn enter(&mut self, phase: Phase, at: Moment) {
        self.phase = phase;
        self.since = at.now;
        self.entered = at.monotonic;
        self.connecting = None;
        self.stage_timed_since = None;
        self.qr = None;
        self.pair_code = None;
        self.retry_at = None;
        self.retry_due = None;
        self.reason = None;
        // WhatsApp binds a passkey to the connection on which it wants it.
        if !matches!(phase, Phase::AwaitingScan | Phase::AwaitingCode)
            && let Some(pairing) = &mut self.pairing
        {
            pairing.passkey = None;
        }
        if phase != Phase::Connecting {
            self.ghosts.has_forgiven = false;
        }
        // While the session tries again, a person wants to see the last error.
        if !matches!(
            phase,
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode
        ) {
            self.error = None;
        }
    }

    fn publish(&mut self, kind: EventKind) {
        let status = Box::new(self.status());
        self.effects.push(Effect::Publish(kind, status));
    }

    fn answer(&mut self, request: Request, answer: Answer) {
        self.effects.push(Effect::Answer(request, answer));
    }

    fn refuse(&mut self, requests: impl IntoIterator<Item = Request>, failure: &Failure) {
        for request in requests {
            self.answer(request, Answer::Refused(failure.clone()));
        }
    }

    fn answer_status(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            let status = Box::new(self.status());
            self.answer(request, Answer::Status(status));
        }
    }

    fn end(&mut self, exit: Exit) {
        self.course = Course::Ended;
        self.effects.push(Effect::End(exit));
    }

    fn touch(&mut self, at: Moment) {
        self.record.last_activity = Some(at.now);
    }
}

#[cfg(test)]
mod tests;
