//! Random sequences of commands, of what happens at WhatsApp, and of stops and kills, on the real
//! thing, against a model of what a user may expect: credentials are gone, entirely and with a line in the
//! history, where something happened that wipes; and wherever nothing did, they are as they were.
//!
//! The sequences are the same every time. A run prints its seeds; `WASESSIOND_MODEL_SEED=<seed>` plays
//! that one alone, `WASESSIOND_MODEL_SEQUENCES=<count>` so many.

mod dice;
mod expectation;
mod step;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wasessiond::protocol::Phase;

use self::dice::Dice;
use self::expectation::Expectation;
use self::step::Step;
use crate::conformance::person::Person;
use crate::stage::Stage;

const SEED: &str = "WASESSIOND_MODEL_SEED";
const SEQUENCES: &str = "WASESSIOND_MODEL_SEQUENCES";

const USERS: usize = 3;
const STEPS: usize = 40;
/// Daemons at a time.
const AT_A_TIME: usize = 4;

/// What was done, for whoever has to look into a failure.
type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, line: String) {
    log.lock().expect("nobody panics here").push(line);
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "it is a report")]
async fn credentials_are_gone_where_something_wiped_and_nowhere_else() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number(SEED) {
        Some(seed) => vec![seed],
        None => (1..=number(SEQUENCES).unwrap_or(10)).collect(),
    };
    let few = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = Vec::new();
    for seed in seeds {
        let (few, log) = (Arc::clone(&few), Log::default());
        let theirs = Arc::clone(&log);
        let task = tokio::spawn(async move {
            let _turn = few.acquire().await.expect("it is open");
            Sequence::new(seed, theirs).await.play().await
        });
        running.push((seed, log, task));
    }
    let (mut steps, mut ended) = (
        BTreeMap::<&str, usize>::new(),
        BTreeMap::<String, usize>::new(),
    );
    let mut failed = Vec::new();
    for (seed, log, task) in running {
        let Ok(played) = task.await else {
            let log = log.lock().map(|log| log.join("\n  ")).unwrap_or_default();
            failed.push(format!("{SEED}={seed} repeats this:\n  {log}"));
            continue;
        };
        for step in played.steps {
            *steps.entry(step.name()).or_default() += 1;
        }
        for cause in played.causes {
            *ended.entry(cause).or_default() += 1;
        }
    }
    println!("steps: {steps:?}\nsessions that ended: {ended:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

struct Played {
    steps: Vec<Step>,
    causes: Vec<String>,
}

/// One daemon with some users, and what each of them may expect.
struct Sequence {
    stage: Stage,
    users: Vec<(Person, Expectation)>,
    dice: Dice,
    log: Log,
    /// Force-logouts that nobody waits for.
    unwatched: Vec<JoinHandle<()>>,
}

impl Sequence {
    async fn new(seed: u64, log: Log) -> Self {
        let stage = Stage::with("[logout]\nunlink_timeout = \"1s\"\n").await;
        let mut users = Vec::new();
        for number in 1..=USERS {
            let person = Person::new(&stage, number).await;
            users.push((person, Expectation::default()));
        }
        Self {
            stage,
            users,
            dice: Dice::new(seed),
            log,
            unwatched: Vec::new(),
        }
    }

    async fn play(mut self) -> Played {
        let mut steps = Vec::new();
        for number in 0..STEPS {
            let user = self.dice.below(USERS);
            let step = Step::pick(&mut self.dice);
            note(
                &self.log,
                format!("step {number}: user {} {}", user + 1, step.name()),
            );
            self.take(user, step).await;
            steps.push(step);
            // Half of them meet what is still going on.
            if self.dice.one_in(2) {
                self.quiet(user).await;
            }
            for (person, expectation) in &mut self.users {
                expectation.agrees(person, &self.log).await;
            }
        }
        self.settle().await;
        let ends = self.users.iter().flat_map(|(_, e)| e.ends.iter());
        let causes = ends.map(ToString::to_string).collect();
        Played { steps, causes }
    }

    /// Waits until nothing is under way with a user.
    async fn quiet(&mut self, user: usize) {
        let person = &mut self.users[user].0;
        while matches!(
            person.now().await,
            Some(Phase::Connecting | Phase::LoggingOut)
        ) {
            person.next().await;
        }
    }

    async fn restart(&mut self, kill: bool) {
        for (_, expectation) in &mut self.users {
            expectation.restarted();
        }
        if kill {
            self.stage.kill();
        } else {
            tokio::task::block_in_place(|| self.stage.stop());
        }
        self.stage.start().await;
        for (person, _) in &mut self.users {
            person.rejoin(&self.stage).await;
        }
    }

    /// All troubles end; everybody comes to rest, and is where the model says.
    async fn settle(&mut self) {
        note(&self.log, "settle".to_owned());
        for unwatched in self.unwatched.drain(..) {
            unwatched.await.expect("no panic");
        }
        self.stage.sim.set_listening(true).await.expect("listen");
        for (person, expectation) in &mut self.users {
            expectation.settles(person, &self.log).await;
        }
    }
}
