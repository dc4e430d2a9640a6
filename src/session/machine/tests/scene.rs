//! Sessions in a given phase, brought there by what happens in life: the columns of the table.

use std::time::Duration;

use jiff::Timestamp;

use super::super::{Effect, Input, Machine, Moment, Origin};
use super::input::{Row, account, ended, pair_code, phone, qr, targets};
use crate::protocol::{Cause, Phase, Stage, UserId};
use crate::session::{OnConflict, Settings};
use crate::store::Record;
use crate::whatsapp::{LinkEvent, Pace, Verdict};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Connecting,
    ConnectingToPair,
    ConnectingForCode,
    AwaitingScan,
    AwaitingCode,
    Online,
    BackingOff,
    BackingOffToPair,
    Held,
    Parked,
    ParkedToPair,
    Disconnected,
    LoggingOut,
    PurgeFailed,
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
            ],
            Phase::AwaitingScan => &[Self::AwaitingScan],
            Phase::AwaitingCode => &[Self::AwaitingCode],
            Phase::Online => &[Self::Online],
            Phase::BackingOff => &[Self::BackingOff, Self::BackingOffToPair],
            Phase::Held => &[Self::Held],
            Phase::Parked => &[Self::Parked, Self::ParkedToPair],
            Phase::Disconnected => &[Self::Disconnected],
            Phase::LoggingOut => &[Self::LoggingOut],
            Phase::PurgeFailed => &[Self::PurgeFailed],
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
        let stored = Staged::stored;
        let pairing = Staged::pairing;
        match self {
            Self::Connecting => stored().then([stage(Stage::Login)]),
            Self::ConnectingToPair => pairing(false).then([stage(Stage::Login)]),
            Self::ConnectingForCode => pairing(true).then([stage(Stage::Login)]),
            Self::AwaitingScan => pairing(false).then([stage(Stage::Login), Input::Link(qr(1))]),
            Self::AwaitingCode => {
                pairing(true).then([stage(Stage::Login), ready, Input::Link(pair_code())])
            }
            Self::Online => stored().then([stage(Stage::Sync), online]),
            Self::BackingOff => stored().then([stage(Stage::Login), retry]),
            Self::BackingOffToPair => pairing(false).then([stage(Stage::Login), retry]),
            Self::Held => stored().then([Row::Hold.input()]),
            Self::Parked => stored().then([Row::Park.input()]),
            Self::ParkedToPair => pairing(false).then([Row::Park.input()]),
            Self::Disconnected => stored().then([online, Row::Disconnect.input()]),
            Self::LoggingOut => stored().then([online, Row::Wipe.input()]),
            Self::PurgeFailed => {
                stored().then([online, Row::Wipe.input(), Row::PurgeFailed.input()])
            }
            Self::StoreCorrupt => stored().then([Row::Corrupt.input()]),
        }
    }
}

/// A session and the time of day.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
}

impl Staged {
    pub(super) fn new(record: Record, origin: Origin) -> (Self, Vec<Effect>) {
        let (machine, effects) = Machine::new(user(), record, origin, at(start()));
        let staged = Self {
            machine,
            settings: settings(OnConflict::Logout),
            now: start(),
        };
        (staged, effects)
    }

    fn stored() -> Self {
        let mut record = Record::new(1000);
        record.account = Some(account(1));
        record.targets = targets(1);
        Self::new(record, Origin::Stored { paired: true }).0
    }

    fn pairing(by_code: bool) -> Self {
        let phone = by_code.then(|| phone(1));
        Self::new(Record::new(1000), Origin::New { phone }).0
    }

    fn then<const N: usize>(mut self, inputs: [Input; N]) -> Self {
        for input in inputs {
            self.step(input);
        }
        self
    }

    /// A second later, this.
    pub(super) fn step(&mut self, input: Input) -> Vec<Effect> {
        self.pass(1);
        self.machine.step(input, at(self.now), &self.settings)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.machine.deadline(&self.settings)
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

pub(super) fn at(now: Timestamp) -> Moment {
    Moment { now, dice: 0.5 }
}

pub(super) fn settings(on_conflict: OnConflict) -> Settings {
    Settings {
        on_conflict,
        idle_after: Some(Duration::from_hours(24)),
        ..Settings::default()
    }
}
