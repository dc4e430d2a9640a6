//! How long the others wait for their answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use wasessiond::client::Client;
use wasessiond::protocol::TargetEdit;

use super::crowd::{ONE, USERS, join};
use crate::stage::Stage;

/// Half of the answers must come within this, trouble or not. Generous: what it must tell apart is a
/// daemon in which somebody waits for somebody else's trouble to pass.
const ALIVE: Duration = Duration::from_secs(1);

/// Somebody who asks, on a connection of their own.
pub(super) struct Pulse {
    client: Client,
}

/// Asks until it is told to stop.
pub(super) struct Beating {
    stop: watch::Sender<bool>,
    task: JoinHandle<Times>,
}

/// How long each kind of request took.
#[derive(Default)]
pub(super) struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Pulse {
    pub(super) async fn of(stage: &Stage) -> Self {
        Self {
            client: join(stage).await,
        }
    }

    /// Asks so often.
    pub(super) async fn beat(&self, rounds: u32) -> Times {
        let mut times = Times::default();
        for round in 0..rounds {
            times.beat(&self.client, round).await;
        }
        times
    }

    pub(super) fn keep_beating(self) -> Beating {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut times = Times::default();
            // At least once, however short the trouble is.
            for round in 0.. {
                times.beat(&self.client, round).await;
                if *stopped.borrow() {
                    break;
                }
            }
            times
        });
        Beating { stop, task }
    }
}

impl Beating {
    pub(super) async fn stop(self) -> Times {
        self.stop.send_replace(true);
        self.task.await.expect("everybody was answered")
    }
}

impl Times {
    /// What the daemon answers by itself, what a session's task answers, and what WhatsApp answers
    /// over a session's link: of another user each time.
    async fn beat(&mut self, client: &Client, round: u32) {
        let user = user(round);
        let began = Instant::now();
        client.ping().await.expect("ping");
        self.note("ping", began);
        let began = Instant::now();
        client.status(&user).await.expect("status");
        self.note("status", began);
        let began = Instant::now();
        let targets = client.targets(&user, TargetEdit::Show).await;
        targets.expect("targets");
        self.note("targets", began);
        let began = Instant::now();
        client.groups(&user).await.expect("groups");
        self.note("groups", began);
    }

    fn note(&mut self, what: &'static str, began: Instant) {
        self.0.entry(what).or_default().push(began.elapsed());
    }

    pub(super) fn assert_alive(&self) {
        for (what, times) in &self.0 {
            let median = median(times);
            assert!(median < ALIVE, "{what}: {median:?} for others: {self}");
        }
    }
}

/// One of the others.
fn user(round: u32) -> String {
    let user = format!("user{}", 1 + round % USERS);
    if user == ONE {
        "user8".to_owned()
    } else {
        user
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        for (what, times) in &self.0 {
            let longest = times.iter().max().copied().unwrap_or_default();
            write!(
                f,
                "{what} {:.1} ms (longest {:.1}, of {})  ",
                ms(median(times)),
                ms(longest),
                times.len()
            )?;
        }
        Ok(())
    }
}
