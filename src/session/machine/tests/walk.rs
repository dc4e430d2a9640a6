//! Random ways through the machine: any input at any time, and effects that take as long as they like
//! and come out one way or the other.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestCaseResult};

use super::super::{Effect, Input, Machine, Moment, Origin, Request};
use super::input::{
    Row, account, assertion, by_code, challenge, ended, pair_code_of, passkey_code, phone,
    refused_of, stored, targets,
};
use super::scene::{settings, start, user};
use crate::protocol::fixtures::bare_entry;
use crate::protocol::{Cause, Stage, Unlink};
use crate::session::{
    Change, Monotonic, OnConflict, OnLocked, PairOptions, PasskeyInput, Past, ProxyChange,
    Settings, Standing,
};
use crate::store::{AccountLock, Desired, Hold, ProxyChoice, Record};
use crate::whatsapp::{AskError, CodeRequest, LinkEvent, Verdict};

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
    /// The record as it is on the disk.
    pub(super) disk: &'a Record,
}

impl Taken<'_> {
    pub(super) fn opens(&self) -> bool {
        let opens = |effect: &Effect| matches!(effect, Effect::OpenLink(_));
        self.effects.iter().any(opens)
    }

    pub(super) fn is_connect(&self) -> bool {
        matches!(self.input, Input::Connect(..))
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
    /// By how many seconds the wall clock is set before it.
    set: i64,
    what: What,
    jitter: f64,
}

#[derive(Debug, Clone)]
enum What {
    Input(Input),
    /// One of the effects that are under way is done, well or badly.
    Done(Index, bool),
}

/// The effects that are under way, as the task has them.
#[derive(Debug, Clone, Default)]
struct UnderWay(Vec<Effect>);

impl UnderWay {
    fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                // An opening that is given up has no result.
                Effect::CloseLink { .. } | Effect::Unlink { .. } => {
                    self.0.retain(|e| !matches!(e, Effect::OpenLink(_)));
                    self.0.push(effect.clone());
                }
                Effect::OpenLink(_)
                | Effect::AnswerPasskey(..)
                | Effect::ConfirmPasskey(_)
                | Effect::AskGroups(_)
                | Effect::Save(_)
                | Effect::Look
                | Effect::Remove(_) => self.0.push(effect.clone()),
                _ => {}
            }
        }
    }

    /// The result of one of them.
    fn finish(&mut self, which: Index, well: bool, disk: &mut Record) -> Input {
        if self.0.is_empty() {
            return Input::Due;
        }
        let effect = self.0.remove(which.index(self.0.len()));
        match effect {
            Effect::OpenLink(_) if well => Input::Opened,
            Effect::OpenLink(_) if which.index(5) == 0 => {
                Input::Unusable("vault.db: not a database".to_owned())
            }
            Effect::OpenLink(_) if which.index(5) == 1 => Input::Copied("a copy".to_owned()),
            Effect::OpenLink(_) => Input::Unavailable("the disk is full".to_owned()),
            Effect::CloseLink { close, .. } if well => Input::Closed(close, Ok(())),
            Effect::CloseLink { close, .. } => Input::Closed(close, Err("3 tasks run".to_owned())),
            Effect::AskGroups(request) if well => Input::GroupsAnswered(request, Ok(Vec::new())),
            Effect::AskGroups(request) => Input::GroupsAnswered(request, Err(AskError::Timeout)),
            Effect::AnswerPasskey(request, _) => passkey_answered(Some(request), well),
            Effect::ConfirmPasskey(request) => passkey_answered(request, well),
            Effect::Save(record) if well => {
                *disk = *record;
                Input::Saved(Ok(()))
            }
            Effect::Save(_) => Input::Saved(Err("the disk is full".to_owned())),
            Effect::Look if well => Input::Looked(Standing::Session {
                record: Box::new(disk.clone()),
                paired: disk.account.is_some(),
            }),
            Effect::Look => Input::Looked(Standing::Unavailable {
                record: None,
                why: "the disk is full".to_owned(),
            }),
            Effect::Unlink { .. } if well => Input::Unlinked(Unlink::Confirmed.into()),
            Effect::Unlink { .. } => Input::Unlinked(Unlink::Unreachable.into()),
            Effect::Remove(intent) if well => {
                Input::Removed(Ok(Box::new(bare_entry("alice", intent.cause))))
            }
            _ => Input::Removed(Err("vault.db is left".to_owned())),
        }
    }
}

fn passkey_answered(request: Option<Request>, well: bool) -> Input {
    let taken = if well { Ok(()) } else { Err(AskError::Timeout) };
    Input::PasskeyAnswered(request, taken)
}

/// Asks under a number of its own.
fn numbered(input: Input, number: u64) -> Input {
    let request = Request(number);
    match input {
        Input::Connect(_, options) => Input::Connect(request, options),
        Input::Passkey(_, input) => Input::Passkey(request, input),
        Input::Disconnect { by, .. } => Input::Disconnect { request, by },
        Input::ForceLogout { by, within, .. } => Input::ForceLogout {
            request,
            by,
            within,
        },
        Input::Groups(_) => Input::Groups(request),
        Input::Targets(_, change) => Input::Targets(request, change),
        Input::Proxy(_, change) => Input::Proxy(request, change),
        other => other,
    }
}

impl Walk {
    pub(super) fn begin(&self) -> (Machine, Vec<Effect>) {
        let at = Moment {
            now: start(),
            monotonic: Monotonic::ZERO,
            jitter: 0.5,
        };
        let (record, origin) = (self.record.clone(), self.origin.clone());
        Machine::new(user(), record, origin, at, &self.settings)
    }

    /// Goes it, and checks every step.
    pub(super) fn go(&self, mut check: impl FnMut(&Taken<'_>) -> TestCaseResult) -> TestCaseResult {
        let (mut machine, first) = self.begin();
        let mut under_way = UnderWay::default();
        under_way.note(&first);
        let mut disk = self.record.clone();
        let (mut now, mut monotonic) = (start(), Monotonic::ZERO);
        for (number, step) in (1000..).zip(&self.steps) {
            let due = machine.deadline(&self.settings);
            let waits = [
                due.monotonic.map(|at| at.since(monotonic)),
                due.wall
                    .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default()),
            ];
            let until_due = waits.into_iter().flatten().min().unwrap_or_default();
            let wait = step.wait.unwrap_or(until_due);
            now = now + wait + SignedDuration::from_secs(step.set);
            monotonic = monotonic + wait;
            let at = Moment {
                now,
                monotonic,
                jitter: step.jitter,
            };
            let input = match &step.what {
                What::Input(input) => numbered(input.clone(), number),
                What::Done(which, well) => under_way.finish(*which, *well, &mut disk),
            };
            let before = machine.clone();
            let effects = machine.step(input.clone(), at, &self.settings);
            under_way.note(&effects);
            check(&Taken {
                before: &before,
                input: &input,
                at,
                settings: &self.settings,
                effects: &effects,
                after: &machine,
                disk: &disk,
            })?;
        }
        Ok(())
    }
}

pub(super) fn walks() -> impl Strategy<Value = Walk> {
    let steps = prop::collection::vec(step(), 1..60);
    (birth(), policy(), steps).prop_map(|((record, origin), settings, steps)| Walk {
        record,
        origin,
        settings,
        steps,
    })
}

fn policy() -> impl Strategy<Value = Settings> {
    let on_conflict = select(vec![OnConflict::Logout, OnConflict::Park]);
    let on_locked = select(vec![OnLocked::Hold, OnLocked::Logout]);
    let idle_after = select(vec![None, Some(Duration::from_mins(10))]);
    (on_conflict, on_locked, idle_after).prop_map(|(on_conflict, on_locked, idle_after)| Settings {
        idle_after,
        ..settings(on_conflict, on_locked)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => (0u64..5000).prop_map(Duration::from_millis),
        2 => (0u64..90).prop_map(Duration::from_secs),
        1 => (0u64..4000).prop_map(Duration::from_secs),
    ];
    let what = prop_oneof![
        3 => input().prop_map(What::Input),
        4 => (any::<Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, well)| What::Done(which, well)),
    ];
    let timely = (wait.prop_map(Some), what);
    let due = Just((None, What::Input(Input::Due)));
    let day = 24 * 3600;
    let set = prop_oneof![12 => Just(0), 1 => select(vec![-day, day])];
    (prop_oneof![6 => timely, 1 => due], set, 0.0f64..=1.0).prop_map(
        |((wait, what), set, jitter)| Step {
            wait,
            set,
            what,
            jitter,
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    let stages = vec![
        Stage::Transport,
        Stage::Handshake,
        Stage::Login,
        Stage::Sync,
    ];
    let dead = vec![Cause::LoggedOut, Cause::Invalidated, Cause::Unlinked];
    let hold = |seconds| {
        ended(Verdict::Hold(
            Cause::TemporaryBan,
            Duration::from_secs(seconds),
        ))
    };
    let link = Input::Link;
    // A stop only once in a while: nothing happens to a session after it. Results come of effects.
    let mut rows = Row::ALL.to_vec();
    rows.retain(|row| *row != Row::Stop && !row.is_result());
    let nobody = Request(0);
    let url = ProxyChoice::Url("http://me:secret@localhost:9".into());
    let proxies = vec![None, Some(ProxyChoice::Direct), Some(url)];
    prop_oneof![
        24 => select(rows).prop_map(Row::input),
        1 => Just(Input::Stop),
        6 => select(stages).prop_map(move |stage| link(LinkEvent::Stage(stage))),
        4 => (1u8..3).prop_map(move |n| link(LinkEvent::Paired(account(n)))),
        6 => (1u8..3).prop_map(move |n| link(LinkEvent::Online(account(n)))),
        2 => (0u8..4).prop_map(move |n| Input::Targets(nobody, Change::Set(targets(n)))),
        2 => select(proxies).prop_map(move |choice| Input::Proxy(nobody, ProxyChange::To(choice))),
        2 => (1u8..3).prop_map(move |n| by_code(nobody, n)),
        3 => (1u64..6).prop_map(move |n| link(pair_code_of(CodeRequest(n)))),
        1 => (1u64..6).prop_map(move |n| link(refused_of(CodeRequest(n), false))),
        4 => Just(link(challenge())),
        2 => any_passkey().prop_map(move |input| Input::Passkey(nobody, input)),
        2 => any::<bool>().prop_map(move |skip| link(passkey_code(skip))),
        2 => select(dead).prop_map(|cause| ended(Verdict::Wipe(cause, Unlink::NotKnown))),
        2 => (0u64..5000).prop_map(hold),
    ]
}

fn any_passkey() -> impl Strategy<Value = PasskeyInput> {
    select(vec![
        PasskeyInput::Challenge,
        PasskeyInput::Assert(Box::new(assertion())),
        PasskeyInput::Confirm,
    ])
}

/// How a session comes to be, and what stands on the disk about it.
fn birth() -> impl Strategy<Value = (Record, Origin)> {
    let by_code = any::<bool>().prop_map(|by_code| (false, new(by_code)));
    let kinds = any::<bool>().prop_flat_map(|paired| {
        let origins = vec![
            Origin::Stored { paired },
            Origin::Unusable("not a database".to_owned()),
            Origin::Unavailable("the disk is full".to_owned()),
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
        options: PairOptions {
            phone: by_code.then(|| phone(1)),
            expect: None,
            proxy: None,
        },
        past: Past::default(),
    }
}

fn failed(paired: bool) -> Origin {
    Origin::Failed {
        paired,
        error: "its task failed".to_owned(),
        wait: Duration::from_secs(2),
        past: Past::default(),
    }
}

/// Only what was paired can have been stopped, and can wait for something over a restart.
fn record(paired: bool) -> impl Strategy<Value = Record> {
    let ends = vec![None, Some(later(-60)), Some(later(60)), Some(later(3600))];
    let causes = vec![Cause::TemporaryBan, Cause::AccountLocked];
    let hold = prop::option::of(
        (select(causes), select(ends)).prop_map(|(cause, until)| Hold {
            cause,
            until,
            error: Some("banned".to_owned()),
        }),
    );
    let down = prop::bool::weighted(0.3);
    let open = prop::option::of((-600i64..600).prop_map(later));
    (down, hold, open, 0u8..3).prop_map(move |(down, hold, open, count)| {
        if !paired {
            return Record::new(1000);
        }
        let mut record = stored();
        let is_locked = |hold: &&Hold| hold.cause == Cause::AccountLocked;
        record.lock = hold.as_ref().filter(is_locked).map(|_| {
            let mut lock = AccountLock::new(later(-3600));
            lock.seen(later(-3600), None, Some("appeal-secret".into()));
            lock
        });
        record.login_open_until = open;
        record.hold = hold;
        record.targets = targets(count);
        record.desired = if down { Desired::Down } else { Desired::Up };
        record
    })
}

fn later(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}
