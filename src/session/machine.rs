//! The pure state machine of a session: what each input does in each phase.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{STABLE_AFTER, delay};
use super::clock::after;
use super::pairing::Pairing;
use super::settings::{OnConflict, Settings};
use crate::protocol::{
    Account, Cause, Connecting, EventKind, GroupJid, PairCode, Phase, PhoneNumber, Qr, Redacted,
    Stage, Unlink, UserId,
};
use crate::store::{Desired, Hold, Intent, Record};
use crate::whatsapp::{Ending, LinkEvent, Pace, PairCodeRefused, Verdict};

/// A session's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub(super) user: UserId,
    /// What is on the disk about it, or will be with the next [`Effect::Save`].
    pub(super) record: Record,
    /// Whether the credentials are an account's.
    pub(super) paired: bool,
    pub(super) phase: Phase,
    pub(super) since: Timestamp,
    pub(super) connecting: Option<Connecting>,
    pub(super) pairing: Option<Pairing>,
    pub(super) qr: Option<Qr>,
    pub(super) pair_code: Option<PairCode>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) reason: Option<Cause>,
    pub(super) error: Option<String>,
    /// The logout under way.
    pub(super) intent: Option<Intent>,
    /// Whether it is still to be unlinked at WhatsApp.
    unlink: bool,
    /// Links opened since it was last online.
    attempts: u32,
    /// Links that failed in a row.
    failures: u32,
    /// Whether the link of phase `connecting` has begun to dial, so that its stages are timed.
    dialing: bool,
    purge_failures: u32,
}

/// How a session came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody said `connect` and there was nothing.
    New {
        /// By pair code for this phone.
        phone: Option<PhoneNumber>,
    },
    /// It was on the disk.
    Stored {
        /// Whether its credentials are an account's.
        paired: bool,
    },
    /// It was on the disk and cannot be used, and why.
    Corrupt(String),
    /// Its task failed, and it begins again.
    Failed {
        /// Whether its credentials are an account's.
        paired: bool,
        /// What is known of it.
        error: String,
        /// When to try again.
        retry_at: Timestamp,
    },
}

/// Something that happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants it up.
    Connect(Option<PhoneNumber>),
    /// Somebody wants it closed.
    Disconnect {
        /// Who.
        by: u32,
    },
    /// Somebody wants it gone.
    ForceLogout {
        /// Who.
        by: u32,
    },
    /// Its link reported something.
    Link(LinkEvent),
    /// Its credentials cannot be used.
    Corrupt(String),
    /// Its link could not be opened for now.
    Unavailable(String),
    /// The deadline has passed.
    Due,
    /// The target groups are to be these.
    Targets(Vec<GroupJid>),
    /// The purge did not finish: what is left and why.
    PurgeFailed(String),
}

/// When an input comes, and with which luck.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of day.
    pub now: Timestamp,
    /// A number from 0 to 1, thrown anew for every input: it spreads the retries.
    pub dice: f64,
}

/// What the task must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Open a link.
    OpenLink,
    /// Close it, if there is one: write what is in memory, say goodbye.
    CloseLink,
    /// Ask the link for a pair code.
    AskPairCode(PhoneNumber),
    /// Write the record.
    Save,
    /// Log out: unlink if told so, close, remove, write the history, end.
    Purge {
        /// Whether to ask WhatsApp to remove the device first.
        unlink: bool,
    },
    /// Tell what happened.
    Publish(EventKind),
    /// WhatsApp gave no pair code: tell whoever asked for one.
    PairCodeRefused {
        /// Whether for too many requests.
        rate_limited: bool,
        /// When to ask again.
        retry_after: Option<Duration>,
        /// In words.
        error: String,
    },
}

/// How long a stage of connecting may take. The library has time-outs of 20 s for the first two, and
/// gives up on a silent server after 40 to 50 s; these are for where it does not, and they name the
/// stage.
const fn stage_limit(stage: Stage) -> Duration {
    Duration::from_secs(match stage {
        Stage::Transport | Stage::Handshake | Stage::Login => 25,
        Stage::Sync => 60,
    })
}

/// How much later than its end a QR code's successor may come.
const QR_SLACK: Duration = Duration::from_secs(30);
const PURGE_RETRY: Duration = Duration::from_secs(2);
const LONGEST_PURGE_RETRY: Duration = Duration::from_mins(5);

impl Machine {
    /// The state of a session at its beginning, and what to do first.
    #[must_use]
    pub fn new(user: UserId, record: Record, origin: Origin, at: Moment) -> (Self, Vec<Effect>) {
        let mut machine = Self {
            user,
            record,
            paired: false,
            phase: Phase::Disconnected,
            since: at.now,
            connecting: None,
            pairing: None,
            qr: None,
            pair_code: None,
            retry_at: None,
            reason: None,
            error: None,
            intent: None,
            unlink: false,
            attempts: 0,
            failures: 0,
            dialing: false,
            purge_failures: 0,
        };
        let effects = machine.begin(origin, at);
        (machine, effects)
    }

    fn begin(&mut self, origin: Origin, at: Moment) -> Vec<Effect> {
        match origin {
            Origin::New { phone } => {
                self.pairing = Some(Pairing::new(at.now, phone));
                self.connect(at)
            }
            Origin::Corrupt(why) => {
                // Nobody can tell, so they are taken for an account's: only force-logout removes them.
                self.paired = true;
                self.corrupt(why, at)
            }
            Origin::Stored { paired } => {
                self.paired = paired;
                if !paired {
                    return self.log_out(Cause::PairingAbandoned, None, Unlink::NotLinked, at);
                }
                if self.record.desired == Desired::Down {
                    return self.enter(Phase::Disconnected, EventKind::Disconnected, at);
                }
                self.resume(at)
            }
            Origin::Failed {
                paired,
                error,
                retry_at,
            } => {
                self.paired = paired;
                self.pairing = (!paired).then(|| Pairing::new(at.now, None));
                if self.record.desired == Desired::Down {
                    return self.enter(Phase::Disconnected, EventKind::Disconnected, at);
                }
                // What it was told to wait for does not end with its task.
                if self.holds(at) {
                    return self.resume(at);
                }
                self.record.hold = None;
                self.failures = 1;
                let effects = self.enter(Phase::BackingOff, EventKind::BackingOff, at);
                self.reason = Some(Cause::TaskFailed);
                self.error = Some(error);
                self.retry_at = Some(retry_at);
                effects
            }
        }
    }

    /// When something is due without any input.
    #[must_use]
    pub fn deadline(&self, settings: &Settings) -> Option<Timestamp> {
        let of_phase = self.phase_ends_at(settings);
        of_phase.into_iter().chain(self.pairing_ends_at()).min()
    }

    fn phase_ends_at(&self, settings: &Settings) -> Option<Timestamp> {
        match self.phase {
            Phase::Connecting => {
                let stage = self.connecting.filter(|_| self.dialing)?;
                Some(after(stage.stage_since, stage_limit(stage.stage)))
            }
            Phase::AwaitingScan => self.qr.as_ref().map(|qr| after(qr.expires_at, QR_SLACK)),
            Phase::AwaitingCode => self.pair_code.as_ref().map(|code| code.expires_at),
            Phase::Online => self.idle_at(settings),
            Phase::BackingOff | Phase::PurgeFailed => self.retry_at,
            Phase::Held => self.record.hold.as_ref().and_then(|hold| hold.until),
            Phase::Parked | Phase::Disconnected | Phase::LoggingOut | Phase::StoreCorrupt => None,
        }
    }

    /// Whatever a pairing waits for, it has an end. What cannot be read is kept for a person, and what
    /// is being removed has its own times.
    fn pairing_ends_at(&self) -> Option<Timestamp> {
        let pairing = self.pairing.as_ref()?;
        match self.phase {
            Phase::StoreCorrupt | Phase::LoggingOut | Phase::PurgeFailed => None,
            _ => Some(pairing.ends_at()),
        }
    }

    fn idle_at(&self, settings: &Settings) -> Option<Timestamp> {
        let last = self
            .record
            .last_activity
            .unwrap_or(self.since)
            .max(self.since);
        settings.idle_after.map(|idle| after(last, idle))
    }

    /// Takes an input; returns what to do about it.
    pub fn step(&mut self, input: Input, at: Moment, settings: &Settings) -> Vec<Effect> {
        match input {
            // Once the decision is made nothing but its outcome matters.
            Input::PurgeFailed(error) if self.phase == Phase::LoggingOut => {
                self.purge_failed(error, at)
            }
            Input::PurgeFailed(_) => Vec::new(),
            _ if self.phase == Phase::LoggingOut => Vec::new(),
            Input::ForceLogout { by } => self.force_logout(by, at),
            Input::Due => self.due(at, settings),
            Input::Connect(_) | Input::Disconnect { .. } if self.phase == Phase::PurgeFailed => {
                self.retry_purge(at)
            }
            Input::Targets(_) if matches!(self.phase, Phase::PurgeFailed | Phase::StoreCorrupt) => {
                Vec::new()
            }
            // A link that was closed has nothing to say any more.
            Input::Link(_) | Input::Corrupt(_) | Input::Unavailable(_) if !self.has_link() => {
                Vec::new()
            }
            Input::Connect(phone) => self.wanted(phone, at),
            Input::Disconnect { by } => self.unwanted(by, None, at),
            Input::Link(event) => self.link(event, at, settings),
            Input::Corrupt(why) => self.corrupt(why, at),
            Input::Unavailable(why) => {
                let ending = Verdict::Retry(Cause::StoreFailed, Pace::Usual);
                self.ended(ending, why, at, settings)
            }
            Input::Targets(targets) => {
                self.record.targets = targets;
                self.touch(at);
                vec![Effect::Save, Effect::Publish(EventKind::Targets)]
            }
        }
    }

    /// Whether a link is open or being opened.
    fn has_link(&self) -> bool {
        matches!(
            self.phase,
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode | Phase::Online
        )
    }

    // ---- commands -------------------------------------------------------------------------------

    fn wanted(&mut self, phone: Option<PhoneNumber>, at: Moment) -> Vec<Effect> {
        self.touch(at);
        match self.phase {
            // Whether what is on the disk was put right, the task looks before it comes here.
            Phase::StoreCorrupt => Vec::new(),
            Phase::Online | Phase::LoggingOut | Phase::PurgeFailed => Vec::new(),
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode => {
                self.by_code(phone, at)
            }
            Phase::Held if self.is_held(at) => Vec::new(),
            Phase::Disconnected if self.is_held(at) => {
                self.record.desired = Desired::Up;
                let mut effects = vec![Effect::Save];
                effects.extend(self.resume(at));
                effects
            }
            Phase::Parked | Phase::Held | Phase::Disconnected | Phase::BackingOff => {
                self.pair_anew(phone, at);
                self.record.desired = Desired::Up;
                self.record.hold = None;
                self.failures = 0;
                let mut effects = vec![Effect::Save];
                effects.extend(self.connect(at));
                effects
            }
        }
    }

    /// Somebody is there again: a pairing that waited has its time anew.
    fn pair_anew(&mut self, phone: Option<PhoneNumber>, at: Moment) {
        if let Some(pairing) = &mut self.pairing {
            *pairing = Pairing::new(at.now, phone.or(pairing.phone.take()));
        }
    }

    /// A pairing by QR code becomes one by pair code when somebody names a phone number; one by pair
    /// code becomes one for another number.
    fn by_code(&mut self, phone: Option<PhoneNumber>, at: Moment) -> Vec<Effect> {
        let Some(pairing) = self.pairing.as_mut() else {
            return Vec::new();
        };
        if phone.is_none() || pairing.phone == phone {
            return Vec::new();
        }
        pairing.phone = phone;
        match self.phase {
            Phase::AwaitingScan => self.ask_code(),
            Phase::AwaitingCode => {
                // The live code is for the other number.
                let mut effects = self.enter(Phase::Connecting, EventKind::Connecting, at);
                self.wait_for_login(at);
                effects.extend(self.ask_code());
                effects
            }
            _ => Vec::new(),
        }
    }

    fn unwanted(&mut self, by: u32, idle: Option<Cause>, at: Moment) -> Vec<Effect> {
        if self.phase == Phase::StoreCorrupt || self.phase == Phase::Disconnected {
            return Vec::new();
        }
        if !self.paired {
            // Nothing to keep, and half an identity must not stay behind.
            return self.log_out(Cause::PairingAbandoned, Some(by), Unlink::NotLinked, at);
        }
        self.record.desired = Desired::Down;
        let mut effects = vec![Effect::CloseLink, Effect::Save];
        effects.extend(self.enter(Phase::Disconnected, EventKind::Disconnected, at));
        self.reason = idle;
        effects
    }

    fn force_logout(&mut self, by: u32, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::PurgeFailed => self.retry_purge(at),
            Phase::LoggingOut => Vec::new(),
            // Whether it was paired cannot be told from here; the task looks.
            Phase::StoreCorrupt => {
                self.unlink = true;
                self.log_out(Cause::ForceLogout, Some(by), Unlink::Unreachable, at)
            }
            _ if self.paired => {
                self.unlink = true;
                self.log_out(Cause::ForceLogout, Some(by), Unlink::Unreachable, at)
            }
            _ => self.log_out(Cause::ForceLogout, Some(by), Unlink::NotLinked, at),
        }
    }

    // ---- the link -------------------------------------------------------------------------------

    fn link(&mut self, event: LinkEvent, at: Moment, settings: &Settings) -> Vec<Effect> {
        match event {
            LinkEvent::Stage(stage) => self.stage(stage, at),
            LinkEvent::Qr {
                code,
                valid_for,
                number,
                remaining,
            } => {
                let qr = Qr {
                    code: Some(code),
                    number,
                    remaining,
                    expires_at: after(at.now, valid_for),
                };
                self.qr_code(qr, at)
            }
            LinkEvent::QrExhausted if self.is_by_code() || self.paired => Vec::new(),
            LinkEvent::QrExhausted => self.expired(at),
            LinkEvent::ReadyForPairCode if self.is_by_code() => self.ask_code(),
            LinkEvent::ReadyForPairCode => Vec::new(),
            LinkEvent::PairCode { code, valid_for } => self.got_code(code, valid_for, at),
            LinkEvent::PairCodeStale => self.ask_code(),
            LinkEvent::PairCodeRefused(why) => self.code_refused(why, at),
            LinkEvent::Paired(account) => self.got_paired(account, at),
            LinkEvent::PairFailed(why) => {
                self.error = Some(why);
                vec![Effect::Publish(EventKind::Updated)]
            }
            LinkEvent::Online(account) => self.online(account, at),
            LinkEvent::Name(name) => self.renamed(&name),
            LinkEvent::Activity => {
                self.touch(at);
                Vec::new()
            }
            LinkEvent::Ended(ending) => self.link_ended(ending, at, settings),
        }
    }

    fn stage(&mut self, stage: Stage, at: Moment) -> Vec<Effect> {
        self.dialing = true;
        let connecting = Connecting {
            attempt: self.attempts.max(1),
            stage,
            stage_since: at.now,
        };
        if self.phase != Phase::Connecting {
            // The second connection of a pairing.
            let effects = self.enter(Phase::Connecting, EventKind::Connecting, at);
            self.dialing = true;
            self.connecting = Some(connecting);
            return effects;
        }
        let before = self.connecting.replace(connecting);
        if before.is_some_and(|c| c.stage == stage) {
            return Vec::new();
        }
        vec![Effect::Publish(EventKind::Connecting)]
    }

    fn qr_code(&mut self, qr: Qr, at: Moment) -> Vec<Effect> {
        if self.paired {
            return Vec::new();
        }
        if let Some(pairing) = self.pairing.as_mut().filter(|p| p.phone.is_some()) {
            // The phone was named after the link had said that it can be asked.
            let unasked = !pairing.has_asked();
            return if unasked { self.ask_code() } else { Vec::new() };
        }
        let effects = if self.phase == Phase::AwaitingScan {
            vec![Effect::Publish(EventKind::Qr)]
        } else {
            self.failures = 0;
            self.enter(Phase::AwaitingScan, EventKind::Qr, at)
        };
        self.qr = Some(qr);
        effects
    }

    fn is_by_code(&self) -> bool {
        self.pairing.as_ref().is_some_and(|p| p.phone.is_some())
    }

    fn ask_code(&mut self) -> Vec<Effect> {
        let next = self.pairing.as_mut().and_then(Pairing::next_code);
        next.map(Effect::AskPairCode).into_iter().collect()
    }

    fn got_code(&mut self, code: Redacted, valid_for: Duration, at: Moment) -> Vec<Effect> {
        let Some(phone) = self.pairing.as_ref().and_then(|p| p.phone.clone()) else {
            return Vec::new();
        };
        self.failures = 0;
        let effects = self.enter(Phase::AwaitingCode, EventKind::PairCode, at);
        self.pair_code = Some(PairCode {
            code: Some(code),
            phone: phone.to_string(),
            expires_at: after(at.now, valid_for),
        });
        effects
    }

    fn code_refused(&mut self, why: PairCodeRefused, at: Moment) -> Vec<Effect> {
        let cause = if why.rate_limited {
            Cause::RateLimited
        } else {
            Cause::Refused(None)
        };
        let mut effects = vec![Effect::PairCodeRefused {
            rate_limited: why.rate_limited,
            retry_after: why.retry_after,
            error: why.error,
        }];
        // The QR code may have been scanned before the answer came: then there is something to keep.
        if !self.paired {
            effects.extend(self.log_out(cause, None, Unlink::NotLinked, at));
        }
        effects
    }

    fn got_paired(&mut self, account: Account, at: Moment) -> Vec<Effect> {
        let before = self.record.account.as_ref();
        let other = before.is_some_and(|known| known.phone != account.phone);
        self.paired = true;
        self.pairing = None;
        self.error = None;
        self.touch(at);
        self.record.account = Some(account);
        let mut effects = vec![Effect::Save];
        if other {
            self.record.targets.clear();
            effects.push(Effect::Publish(EventKind::AccountChanged));
        }
        effects.extend(self.enter(Phase::Connecting, EventKind::Paired, at));
        self.wait_for_login(at);
        effects
    }

    /// In phase `connecting`, on a link that is up.
    fn wait_for_login(&mut self, at: Moment) {
        self.dialing = true;
        self.connecting = Some(Connecting {
            attempt: self.attempts.max(1),
            stage: Stage::Login,
            stage_since: at.now,
        });
    }

    fn online(&mut self, account: Account, at: Moment) -> Vec<Effect> {
        self.attempts = 0;
        self.paired = true;
        self.pairing = None;
        self.touch(at);
        let mut effects = Vec::new();
        if self.record.account.as_ref() != Some(&account) || self.record.hold.is_some() {
            self.record.account = Some(account);
            self.record.hold = None;
            effects.push(Effect::Save);
        }
        effects.extend(self.enter(Phase::Online, EventKind::Online, at));
        effects
    }

    fn renamed(&mut self, name: &str) -> Vec<Effect> {
        match &mut self.record.account {
            Some(account) if account.name.as_deref() != Some(name) => {
                account.name = Some(name.to_owned());
                vec![Effect::Save, Effect::Publish(EventKind::Updated)]
            }
            _ => Vec::new(),
        }
    }

    fn link_ended(&mut self, ending: Ending, at: Moment, settings: &Settings) -> Vec<Effect> {
        let Ending {
            verdict,
            error,
            text,
            appeal_token,
        } = ending;
        let effects = self.ended(verdict, text.clone().unwrap_or(error), at, settings);
        if let Some(intent) = &mut self.intent {
            intent.text = text;
            intent.appeal_token = appeal_token;
        }
        effects
    }

    fn ended(
        &mut self,
        verdict: Verdict,
        error: String,
        at: Moment,
        settings: &Settings,
    ) -> Vec<Effect> {
        if self.phase == Phase::Online && at.now >= after(self.since, STABLE_AFTER) {
            self.failures = 0;
        }
        match verdict {
            Verdict::Wipe(cause) => self.log_out(cause, None, Unlink::NotLinked, at),
            Verdict::Conflict if settings.on_conflict == OnConflict::Logout => {
                // Unlinking would end the other connection's session too.
                self.log_out(Cause::Replaced, None, Unlink::NotAsked, at)
            }
            Verdict::Conflict => self.hold_on(Cause::Replaced, None, error, at),
            Verdict::Park(cause) => self.hold_on(cause, None, error, at),
            Verdict::Hold(cause, length) => {
                self.hold_on(cause, Some(after(at.now, length)), error, at)
            }
            Verdict::Retry(cause, pace) => self.retry(cause, pace, error, at),
        }
    }

    /// Parks or holds: no try before a person or the time says so, over restarts too.
    fn hold_on(
        &mut self,
        cause: Cause,
        until: Option<Timestamp>,
        error: String,
        at: Moment,
    ) -> Vec<Effect> {
        let hold = Hold {
            cause,
            until,
            error: Some(error),
        };
        self.record.hold = Some(hold.clone());
        // Told before the link is closed: a goodbye may take seconds, and a status is never stale.
        let mut effects = vec![Effect::Save];
        effects.extend(self.wait(hold, at));
        effects.push(Effect::CloseLink);
        effects
    }

    fn retry(&mut self, cause: Cause, pace: Pace, error: String, at: Moment) -> Vec<Effect> {
        if self.pairing_is_over(at) {
            return self.expired(at);
        }
        self.failures = self.failures.saturating_add(1);
        let wait = delay(self.failures, pace, at.dice);
        let effects = if wait.is_zero() {
            let mut effects = vec![Effect::CloseLink];
            effects.extend(self.connect(at));
            effects
        } else {
            let mut effects = self.enter(Phase::BackingOff, EventKind::BackingOff, at);
            effects.push(Effect::CloseLink);
            self.retry_at = Some(after(at.now, wait));
            self.reason = Some(cause);
            effects
        };
        self.error = Some(error);
        effects
    }

    // ---- time -----------------------------------------------------------------------------------

    fn due(&mut self, at: Moment, settings: &Settings) -> Vec<Effect> {
        if self
            .deadline(settings)
            .is_none_or(|deadline| deadline > at.now)
        {
            return Vec::new();
        }
        if self.pairing_is_over(at) {
            return self.expired(at);
        }
        match self.phase {
            Phase::Connecting | Phase::AwaitingScan => self.stuck(at),
            Phase::AwaitingCode => self.expired(at),
            Phase::BackingOff => self.connect(at),
            Phase::Held => {
                self.record.hold = None;
                let mut effects = vec![Effect::Save];
                effects.extend(self.connect(at));
                effects
            }
            Phase::Online => self.unwanted(self.record.owner, Some(Cause::Idle), at),
            Phase::PurgeFailed => self.retry_purge(at),
            _ => Vec::new(),
        }
    }

    fn stuck(&mut self, at: Moment) -> Vec<Effect> {
        let error = match self.connecting {
            Some(c) => {
                let seconds = at.now.duration_since(c.stage_since).as_secs();
                format!(
                    "connecting was stuck at the stage {} for {seconds} s",
                    c.stage
                )
            }
            None => "no further QR code came".to_owned(),
        };
        self.retry(Cause::Stuck, Pace::Usual, error, at)
    }

    fn pairing_is_over(&self, at: Moment) -> bool {
        self.pairing_ends_at().is_some_and(|end| end <= at.now)
    }

    fn expired(&mut self, at: Moment) -> Vec<Effect> {
        self.log_out(Cause::PairingExpired, None, Unlink::NotLinked, at)
    }

    // ---- what the others are made of ------------------------------------------------------------

    fn connect(&mut self, at: Moment) -> Vec<Effect> {
        self.attempts = self.attempts.saturating_add(1);
        let mut effects = self.enter(Phase::Connecting, EventKind::Connecting, at);
        effects.push(Effect::OpenLink);
        self.connecting = Some(Connecting {
            attempt: self.attempts,
            stage: Stage::Transport,
            stage_since: at.now,
        });
        effects
    }

    /// Goes to where the record says it is: held, parked, or connecting.
    fn resume(&mut self, at: Moment) -> Vec<Effect> {
        match self.record.hold.clone() {
            Some(hold) if self.holds(at) => self.wait(hold, at),
            _ => {
                self.record.hold = None;
                self.connect(at)
            }
        }
    }

    fn wait(&mut self, hold: Hold, at: Moment) -> Vec<Effect> {
        let (phase, kind) = match hold.until {
            Some(_) => (Phase::Held, EventKind::Held),
            None => (Phase::Parked, EventKind::Parked),
        };
        let effects = self.enter(phase, kind, at);
        self.reason = Some(hold.cause);
        self.error = hold.error;
        effects
    }

    /// Whether the record says that it must not connect by itself now.
    fn holds(&self, at: Moment) -> bool {
        let hold = self.record.hold.as_ref();
        hold.is_some_and(|hold| hold.until.is_none_or(|until| until > at.now))
    }

    fn is_held(&self, at: Moment) -> bool {
        let until = self.record.hold.as_ref().and_then(|hold| hold.until);
        until.is_some_and(|until| until > at.now)
    }

    fn corrupt(&mut self, why: String, at: Moment) -> Vec<Effect> {
        let effects = self.enter(Phase::StoreCorrupt, EventKind::StoreCorrupt, at);
        self.error = Some(why);
        effects
    }

    fn log_out(
        &mut self,
        cause: Cause,
        by: Option<u32>,
        unlink: Unlink,
        at: Moment,
    ) -> Vec<Effect> {
        self.intent = Some(Intent {
            at: at.now,
            user: self.user.clone(),
            cause,
            account: self.record.account.clone(),
            owner: self.record.owner,
            requested_by: by,
            unlink,
            targets: u32::try_from(self.record.targets.len()).unwrap_or(u32::MAX),
            text: None,
            appeal_token: None,
        });
        let mut effects = self.enter(Phase::LoggingOut, EventKind::LoggingOut, at);
        self.reason = Some(cause);
        effects.push(Effect::Purge {
            unlink: self.unlink,
        });
        effects
    }

    fn purge_failed(&mut self, error: String, at: Moment) -> Vec<Effect> {
        let cause = self.reason;
        self.unlink = false;
        self.purge_failures = self.purge_failures.saturating_add(1);
        let doublings = (self.purge_failures - 1).min(16);
        let wait = PURGE_RETRY
            .saturating_mul(1 << doublings)
            .min(LONGEST_PURGE_RETRY);
        let effects = self.enter(Phase::PurgeFailed, EventKind::PurgeFailed, at);
        self.retry_at = Some(after(at.now, wait));
        self.reason = cause;
        self.error = Some(error);
        effects
    }

    fn retry_purge(&mut self, at: Moment) -> Vec<Effect> {
        let cause = self.reason;
        let mut effects = self.enter(Phase::LoggingOut, EventKind::LoggingOut, at);
        self.reason = cause;
        effects.push(Effect::Purge { unlink: false });
        effects
    }

    /// Enters a phase: what belonged to the one before is gone.
    fn enter(&mut self, phase: Phase, kind: EventKind, at: Moment) -> Vec<Effect> {
        self.phase = phase;
        self.since = at.now;
        self.connecting = None;
        self.dialing = false;
        self.qr = None;
        self.pair_code = None;
        self.retry_at = None;
        self.reason = None;
        // While it tries again, the last error is what a person wants to see.
        if !matches!(
            phase,
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode
        ) {
            self.error = None;
        }
        vec![Effect::Publish(kind)]
    }

    fn touch(&mut self, at: Moment) {
        self.record.last_activity = Some(at.now);
    }
}

#[cfg(test)]
mod tests;
