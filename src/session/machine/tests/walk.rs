//! Random ways through the machine: any input at any time, with any luck.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestCaseResult};

use super::super::{Effect, Input, Machine, Moment, Origin};
use super::input::{Row, account, ended, phone, targets};
use super::scene::{settings, start, user};
use crate::protocol::{Cause, Stage};
use crate::session::{OnConflict, Settings};
use crate::store::{Desired, Hold, Record};
use crate::whatsapp::{LinkEvent, Verdict};

/// As many ways for every property, and the same ones every time. More with `PROPTEST_CASES`.
pub(super) fn many() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(1500),
        rng_seed: RngSeed::Fixed(2026),
        failure_persistence: None,
        ..default
    }
}

/// A step that was taken.
pub(super) struct Taken<'a> {
    pub(super) before: &'a Machine,
    pub(super) input: &'a Input,
    pub(super) at: Moment,
    pub(super) settings: &'a Settings,
    pub(super) effects: &'a [Effect],
    pub(super) after: &'a Machine,
}

impl Taken<'_> {
    pub(super) fn has(&self, effect: &Effect) -> bool {
        self.effects.contains(effect)
    }

    pub(super) fn is_connect(&self) -> bool {
        matches!(self.input, Input::Connect(_))
    }

    pub(super) fn is_due(&self) -> bool {
        *self.input == Input::Due
    }
}

/// A way through the machine.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) record: Record,
    pub(super) origin: Origin,
    pub(super) settings: Settings,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    /// So long after the step before, or when something is due.
    wait: Option<Duration>,
    input: Input,
    dice: f64,
}

impl Walk {
    pub(super) fn begin(&self) -> (Machine, Vec<Effect>) {
        let at = Moment {
            now: start(),
            dice: 0.5,
        };
        Machine::new(user(), self.record.clone(), self.origin.clone(), at)
    }

    /// Goes it, and checks every step.
    pub(super) fn go(&self, mut check: impl FnMut(&Taken<'_>) -> TestCaseResult) -> TestCaseResult {
        let (mut machine, _) = self.begin();
        let mut now = start();
        for Step { wait, input, dice } in &self.steps {
            let due = machine.deadline(&self.settings);
            now = match wait {
                Some(wait) => now + *wait,
                None => due.map_or(now, |due| due.max(now)),
            };
            let at = Moment { now, dice: *dice };
            let before = machine.clone();
            let effects = machine.step(input.clone(), at, &self.settings);
            check(&Taken {
                before: &before,
                input,
                at,
                settings: &self.settings,
                effects: &effects,
                after: &machine,
            })?;
        }
        Ok(())
    }
}

pub(super) fn walks() -> impl Strategy<Value = Walk> {
    let steps = prop::collection::vec(step(), 1..40);
    (birth(), policy(), steps).prop_map(|((record, origin), settings, steps)| Walk {
        record,
        origin,
        settings,
        steps,
    })
}

fn policy() -> impl Strategy<Value = Settings> {
    let on_conflict = select(vec![OnConflict::Logout, OnConflict::Park]);
    let idle_after = select(vec![None, Some(Duration::from_mins(10))]);
    (on_conflict, idle_after).prop_map(|(on_conflict, idle_after)| Settings {
        idle_after,
        ..settings(on_conflict)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => (0u64..5000).prop_map(Duration::from_millis),
        2 => (0u64..90).prop_map(Duration::from_secs),
        1 => (0u64..4000).prop_map(Duration::from_secs),
    ];
    let timely = (wait.prop_map(Some), input());
    let due = Just((None, Input::Due));
    (prop_oneof![5 => timely, 1 => due], 0.0f64..=1.0).prop_map(|((wait, input), dice)| Step {
        wait,
        input,
        dice,
    })
}

fn input() -> impl Strategy<Value = Input> {
    let stages = vec![
        Stage::Transport,
        Stage::Handshake,
        Stage::Login,
        Stage::Sync,
    ];
    let dead = vec![
        Cause::LoggedOut,
        Cause::AccountLocked,
        Cause::Invalidated,
        Cause::Unlinked,
    ];
    let hold = |seconds| {
        ended(Verdict::Hold(
            Cause::TemporaryBan,
            Duration::from_secs(seconds),
        ))
    };
    let link = Input::Link;
    prop_oneof![
        12 => select(Row::ALL).prop_map(Row::input),
        3 => select(stages).prop_map(move |stage| link(LinkEvent::Stage(stage))),
        2 => (1u8..3).prop_map(move |n| link(LinkEvent::Paired(account(n)))),
        3 => (1u8..3).prop_map(move |n| link(LinkEvent::Online(account(n)))),
        1 => (0u8..4).prop_map(|n| Input::Targets(targets(n))),
        1 => (1u8..3).prop_map(|n| Input::Connect(Some(phone(n)))),
        1 => select(dead).prop_map(|cause| ended(Verdict::Wipe(cause))),
        1 => (0u64..5000).prop_map(hold),
    ]
}

/// How a session comes to be, and what stands on the disk about it.
fn birth() -> impl Strategy<Value = (Record, Origin)> {
    let by_code = any::<bool>().prop_map(|by_code| (false, new(by_code)));
    let kinds = any::<bool>().prop_flat_map(|paired| {
        let origins = vec![
            Origin::Stored { paired },
            Origin::Unusable("not a database".to_owned()),
            failed(paired),
        ];
        (Just(paired), select(origins))
    });
    prop_oneof![1 => by_code, 3 => kinds].prop_flat_map(|(paired, origin)| {
        record(paired).prop_map(move |record| (record, origin.clone()))
    })
}

fn new(by_code: bool) -> Origin {
    Origin::New {
        phone: by_code.then(|| phone(1)),
    }
}

fn failed(paired: bool) -> Origin {
    Origin::Failed {
        paired,
        error: "its task failed".to_owned(),
        retry_at: start() + Duration::from_secs(2),
    }
}

/// Only what was paired can have been stopped, and can wait for something over a restart.
fn record(paired: bool) -> impl Strategy<Value = Record> {
    let ends = vec![None, Some(later(-60)), Some(later(60)), Some(later(3600))];
    let hold = prop::option::of(select(ends).prop_map(|until| Hold {
        cause: Cause::TemporaryBan,
        until,
        error: Some("banned".to_owned()),
    }));
    let down = prop::bool::weighted(0.3);
    (down, hold, 0u8..3).prop_map(move |(down, hold, count)| {
        let mut record = Record::new(1000);
        if paired {
            record.account = Some(account(1));
            record.hold = hold;
            record.targets = targets(count);
            record.desired = if down { Desired::Down } else { Desired::Up };
        }
        record
    })
}

fn later(seconds: i64) -> Timestamp {
    start() + jiff::SignedDuration::from_secs(seconds)
}
