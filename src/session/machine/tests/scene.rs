//! Sessions in a given phase, brought there by what happens in life: the columns of the table.

use std::time::Duration;

use jiff::Timestamp;

use super::super::{Effect, Input, Machine, Moment, Origin};
use super::input::{
    ASKED, Row, account, assertion, challenge, ended, pair_code, passkey_code, phone, qr, targets,
};
use crate::protocol::{Cause, Phase, Stage, UserId};
use crate::session::{
    Due, Monotonic, OnConflict, OnLocked, PairOptions, PasskeyInput, Past, Settings,
};
use crate::store::Record;
use crate::whatsapp::{LinkEvent, Pace, Verdict};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Connecting,
    ConnectingToPair,
    ConnectingForCode,
    /// The old link has not ended yet.
    Reconnecting,
    AwaitingScan,
    AwaitingCode,
    /// The QR code was scanned, and WhatsApp wants a passkey.
    AwaitingPasskey,
    /// The pair code was entered, WhatsApp wanted a passkey, and its answer is being checked.
    CheckingPasskey,
    /// A person compares the codes.
    ComparingCodes,
    Online,
    BackingOff,
    BackingOffToPair,
    /// WhatsApp does not accept the client's version.
    Outdated,
    /// Its files could not be read.
    Unread,
    Held,
    /// Its account is locked.
    Locked,
    Parked,
    ParkedToPair,
    Disconnected,
    /// A logout whose link is being closed.
    LoggingOut,
    Unlinking,
    Removing,
    RemovalFailed,
    StoreCorrupt,
}

impl Scene {
    /// The columns of a phase: a new phase does not compile without one.
    pub(super) const fn of(phase: Phase) -> &'static [Self] {
        match phase {
            Phase::Connecting => &[
                Self::Connecting,
                Self::ConnectingToPair,
                Self::ConnectingForCode,
                Self::Reconnecting,
            ],
            Phase::AwaitingScan => &[
                Self::AwaitingScan,
                Self::AwaitingPasskey,
                Self::ComparingCodes,
            ],
            Phase::AwaitingCode => &[Self::AwaitingCode, Self::CheckingPasskey],
            Phase::Online => &[Self::Online],
            Phase::BackingOff => &[
                Self::BackingOff,
                Self::BackingOffToPair,
                Self::Outdated,
                Self::Unread,
            ],
            Phase::Held => &[Self::Held, Self::Locked],
            Phase::Parked => &[Self::Parked, Self::ParkedToPair],
            Phase::Disconnected => &[Self::Disconnected],
            Phase::LoggingOut => &[Self::LoggingOut, Self::Unlinking, Self::Removing],
            Phase::PurgeFailed => &[Self::RemovalFailed],
            Phase::StoreCorrupt => &[Self::StoreCorrupt],
            Phase::Unknown(_) => &[],
        }
    }

    /// A session that got there.
    pub(super) fn stage(self) -> Staged {
        let stage = |stage| Input::Link(LinkEvent::Stage(stage));
        let online = Input::Link(LinkEvent::Online(account(1)));
        let ready = Input::Link(LinkEvent::ReadyForPairCode);
        let retry = ended(Verdict::Retry(Cause::ConnectionLost, Pace::Usual));
        let at_once = ended(Verdict::Retry(Cause::StreamEnded, Pace::AtOnce));
        let stored = Staged::stored;
        let pairing = Staged::pairing;
        match self {
            Self::Connecting => stored().then([stage(Stage::Login)]),
            Self::ConnectingToPair => pairing(false).then([stage(Stage::Login)]),
            Self::ConnectingForCode => pairing(true).then([stage(Stage::Login)]),
            Self::Reconnecting => {
                let mut staged = stored().then([stage(Stage::Sync), online]);
                staged.step(at_once);
                staged
            }
            Self::AwaitingScan => pairing(false).then([stage(Stage::Login), Input::Link(qr(1))]),
            Self::AwaitingCode => {
                pairing(true).then([stage(Stage::Login), ready, Input::Link(pair_code())])
            }
            Self::AwaitingPasskey => Self::AwaitingScan.stage().then([Input::Link(challenge())]),
            Self::CheckingPasskey => Self::AwaitingCode.stage().then([
                Input::Link(challenge()),
                Input::Passkey(ASKED, PasskeyInput::Assert(Box::new(assertion()))),
            ]),
            Self::ComparingCodes => Self::AwaitingPasskey
                .stage()
                .then([Input::Link(passkey_code(false))]),
            Self::Online => stored().then([stage(Stage::Sync), online]),
            Self::BackingOff => stored().then([stage(Stage::Login), retry]),
            Self::BackingOffToPair => pairing(false).then([stage(Stage::Login), retry]),
            Self::Unread => {
                Staged::new(
                    Record::new(1000),
                    Origin::Unavailable("the disk is full".to_owned()),
                )
                .0
            }
            Self::Held => stored().then([Row::Hold.input()]),
            Self::Locked => stored().then([Row::LockedHold.input()]),
            Self::Outdated => stored().then([stage(Stage::Login), Row::Outdated.input()]),
            Self::Parked => stored().then([Row::Park.input()]),
            Self::ParkedToPair => pairing(false).then([Row::Park.input()]),
            Self::Disconnected => stored().then([online, Row::Disconnect.input()]),
            Self::LoggingOut => stored().then([online, Row::Wipe.input()]),
            Self::Unlinking => stored().then([online, Row::ForceLogout.input()]),
            Self::Removing => stored().then([online, Row::Wipe.input(), Row::Closed.input()]),
            Self::RemovalFailed => stored().then([
                online,
                Row::Wipe.input(),
                Row::Closed.input(),
                Row::RemovalFailed.input(),
            ]),
            Self::StoreCorrupt => Self::backing_off_and_opening().then([Row::Unusable.input()]),
        }
    }

    /// A session whose link is being opened.
    fn backing_off_and_opening() -> Staged {
        let mut staged = Self::BackingOff.stage();
        staged.step(Row::Connect.input());
        staged
    }
}

/// A session and the time.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
    pub(super) monotonic: Monotonic,
}

impl Staged {
    pub(super) fn new(record: Record, origin: Origin) -> (Self, Vec<Effect>) {
        let settings = settings(OnConflict::Logout, OnLocked::Hold);
        let (machine, effects) = Machine::new(user(), record, origin, at(start()), &settings);
        let staged = Self {
            machine,
            settings,
            now: start(),
            monotonic: Monotonic::ZERO,
        };
        (staged, effects)
    }

    pub(super) fn stored() -> Self {
        let mut record = Record::new(1000);
        record.account = Some(account(1));
        record.targets = targets(1);
        let (mut staged, effects) = Self::new(record, Origin::Stored { paired: true });
        staged.see_through(effects);
        staged
    }

    fn pairing(by_code: bool) -> Self {
        let phone = by_code.then(|| phone(1));
        let options = PairOptions {
            phone,
            expect: None,
            proxy: None,
        };
        let past = Past::default();
        let (mut staged, effects) = Self::new(Record::new(1000), Origin::New { options, past });
        staged.see_through(effects);
        staged
    }

    fn then<const N: usize>(mut self, inputs: [Input; N]) -> Self {
        for input in inputs {
            self.live(input);
        }
        self
    }

    /// A second later, this.
    pub(super) fn step(&mut self, input: Input) -> Vec<Effect> {
        self.pass(1);
        self.step_now(input)
    }

    pub(super) fn step_now(&mut self, input: Input) -> Vec<Effect> {
        let moment = self.moment();
        self.machine.step(input, moment, &self.settings)
    }

    /// The same, and what it asks for is done at once: a link is opened, one that is not wanted any more
    /// is closed, the record is written. A logout's effects are left to the test.
    pub(super) fn live(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.step(input);
        self.see_through(effects.clone());
        effects
    }

    fn see_through(&mut self, effects: Vec<Effect>) {
        let logout = self.machine.intent().is_some();
        for effect in effects {
            let result = match effect {
                Effect::OpenLink(_) => Input::Opened,
                Effect::CloseLink { close, .. } if !logout => Input::Closed(close, Ok(())),
                Effect::Save(_) => Input::Saved(Ok(())),
                _ => continue,
            };
            let effects = self.step_now(result);
            self.see_through(effects);
        }
    }

    /// That the last close has ended well.
    pub(super) fn closed(&self) -> Input {
        Input::Closed(self.machine.last_close, Ok(()))
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.now += time;
        self.monotonic = self.monotonic + time;
    }

    /// Lets the time pass until something is due.
    pub(super) fn pass_until_due(&mut self) {
        let Due { monotonic, wall } = self.deadline();
        let by_monotonic = monotonic.map(|at| at.since(self.monotonic));
        let by_wall = wall.map(|at| Duration::try_from(at.duration_since(self.now)));
        let by_wall = by_wall.map(Result::unwrap_or_default);
        if let Some(time) = by_monotonic.into_iter().chain(by_wall).min() {
            self.now += time;
            self.monotonic = self.monotonic + time;
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            monotonic: self.monotonic,
            jitter: 0.5,
        }
    }

    pub(super) fn deadline(&self) -> Due {
        self.machine.deadline(&self.settings)
    }

    /// How long until what is due on the monotonic clock.
    pub(super) fn wait(&self) -> Option<Duration> {
        let due = self.deadline().monotonic;
        due.map(|at| at.since(self.monotonic))
    }
}

#[test]
fn every_scene_shows_its_phase() {
    for &phase in Phase::ALL {
        assert!(!Scene::of(phase).is_empty(), "{phase}");
        for scene in Scene::of(phase) {
            assert_eq!(scene.stage().machine.phase(), phase, "{scene:?}");
        }
    }
}

pub(super) fn user() -> UserId {
    "alice".parse().expect("a user")
}

pub(super) fn start() -> Timestamp {
    "2026-11-24T09:00:00Z".parse().expect("a time")
}

/// A moment at the beginning of the monotonic clock.
pub(super) fn at(now: Timestamp) -> Moment {
    Moment {
        now,
        monotonic: Monotonic::ZERO,
        jitter: 0.5,
    }
}

pub(super) fn settings(on_conflict: OnConflict, on_locked: OnLocked) -> Settings {
    Settings {
        on_conflict,
        on_locked,
        idle_after: Some(Duration::from_hours(24)),
        ..Settings::default()
    }
}
