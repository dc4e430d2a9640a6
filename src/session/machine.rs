//! The pure state machine of a session: what each input does in each phase.

mod link;
mod wishes;

use std::time::Duration;

use jiff::Timestamp;

use super::clock::after;
use super::pairing::Pairing;
use super::settings::Settings;
use crate::protocol::{
    Cause, Connecting, EventKind, GroupJid, PairCode, Phase, PhoneNumber, Qr, Stage, Unlink, UserId,
};
use crate::store::{Desired, Hold, Intent, Record};
use crate::whatsapp::{LinkEvent, Pace, Verdict};

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
    /// Handshakes that failed in a row.
    pub(super) failed_handshakes: u32,
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
    Unusable(String),
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
    Unusable(String),
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
        Stage::Transport | Stage::Handshake | Stage::Login | Stage::Unknown(_) => 25,
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
            failed_handshakes: 0,
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
            Origin::Unusable(why) => {
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
            Phase::Parked
            | Phase::Disconnected
            | Phase::LoggingOut
            | Phase::StoreCorrupt
            | Phase::Unknown(_) => None,
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
            Input::Link(_) | Input::Unusable(_) | Input::Unavailable(_) if !self.has_link() => {
                Vec::new()
            }
            Input::Connect(phone) => self.connect_asked(phone, at),
            Input::Disconnect { by } => self.disconnect(by, None, at),
            Input::Link(event) => self.link(event, at, settings),
            Input::Unusable(why) => self.corrupt(why, at),
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
            Phase::Online => self.disconnect(self.record.owner, Some(Cause::Idle), at),
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
