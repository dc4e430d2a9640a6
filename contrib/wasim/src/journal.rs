//! The log of observations, in which a test looks for what it waits for.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::Error;
use crate::observation::{Observation, Seen};
use crate::shared::now_milliseconds;

/// A bounded log of observations, and a way to wait for the next.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    latest: watch::Sender<u64>,
    live: broadcast::Sender<Observation>,
}

#[derive(Debug)]
struct Entries {
    kept: VecDeque<Entry>,
    capacity: usize,
    next: u64,
}

impl Entries {
    /// Forgets what was observed of an earlier device with the same number, so that nobody takes it for an
    /// observation of this one.
    fn forget(&mut self, jid: &str) {
        for entry in &mut self.kept {
            entry.taken |= entry.observation.jid() == Some(jid);
        }
    }
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// Milliseconds since 1970.
    at: u64,
    taken: bool,
    observation: Observation,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::new(Entries {
                kept: VecDeque::new(),
                capacity: capacity.max(1),
                next: 0,
            }),
            latest: watch::Sender::new(0),
            live: broadcast::Sender::new(4096),
        }
    }

    pub(crate) fn record(&self, observation: Observation) {
        let next = {
            let mut entries = lock(&self.entries);
            if entries.kept.len() == entries.capacity {
                entries.kept.pop_front();
            }
            if let Observation::Paired { jid, .. } = &observation {
                entries.forget(jid);
            }
            let number = entries.next;
            entries.next += 1;
            entries.kept.push_back(Entry {
                number,
                at: now_milliseconds(),
                taken: false,
                observation: observation.clone(),
            });
            entries.next
        };
        // Nobody listening is no error.
        let _ = self.live.send(observation);
        self.latest.send_replace(next);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Observation> {
        self.live.subscribe()
    }

    /// The number the next observation will get.
    pub(crate) fn position(&self) -> u64 {
        lock(&self.entries).next
    }

    /// What was observed from `position` on, oldest first, and the position to go on from.
    pub(crate) fn since(
        &self,
        position: u64,
        fits: impl Fn(&Observation) -> bool,
    ) -> (u64, Vec<Seen>) {
        let entries = lock(&self.entries);
        let kept = entries.kept.iter();
        let seen = kept
            .filter(|entry| entry.number >= position && fits(&entry.observation))
            .map(|entry| Seen {
                position: entry.number,
                at: entry.at,
                observation: entry.observation.clone(),
            });
        (entries.next, seen.collect())
    }

    /// The earliest fitting observation that no earlier call returned.
    pub(crate) async fn take(
        &self,
        fits: impl Fn(&Observation) -> bool,
        deadline: Duration,
    ) -> Result<Observation, Error> {
        self.wait(deadline, |entries| {
            let entry = entries
                .kept
                .iter_mut()
                .find(|entry| !entry.taken && fits(&entry.observation))?;
            entry.taken = true;
            Some(entry.observation.clone())
        })
        .await
    }

    /// The earliest fitting observation numbered `position` or later.
    pub(crate) async fn after(
        &self,
        position: u64,
        fits: impl Fn(&Observation) -> bool,
        deadline: Duration,
    ) -> Result<Observation, Error> {
        self.wait(deadline, |entries| {
            entries
                .kept
                .iter()
                .find(|entry| entry.number >= position && fits(&entry.observation))
                .map(|entry| entry.observation.clone())
        })
        .await
    }

    async fn wait(
        &self,
        deadline: Duration,
        find: impl Fn(&mut Entries) -> Option<Observation>,
    ) -> Result<Observation, Error> {
        let mut latest = self.latest.subscribe();
        let search = async {
            loop {
                latest.mark_unchanged();
                if let Some(found) = find(&mut lock(&self.entries)) {
                    return Ok(found);
                }
                if latest.changed().await.is_err() {
                    return Err(Error::Stopped);
                }
            }
        };
        tokio::time::timeout(deadline, search)
            .await
            .unwrap_or(Err(Error::Deadline(deadline)))
    }
}

/// A lock whose holder cannot have panicked half-way: the critical sections only move data.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn seen(connection: u64) -> Observation {
        Observation::ClientConnected { connection }
    }

    #[tokio::test]
    async fn each_observation_is_taken_once_and_found_again_by_position() {
        let journal = Journal::new(10);
        journal.record(seen(1));
        let position = journal.position();
        journal.record(seen(2));
        assert_eq!(journal.take(|_| true, SOON).await.unwrap(), seen(1));
        assert_eq!(journal.take(|_| true, SOON).await.unwrap(), seen(2));
        assert!(matches!(
            journal.take(|_| true, SOON).await,
            Err(Error::Deadline(_))
        ));
        for _ in 0..2 {
            assert_eq!(
                journal.after(position, |_| true, SOON).await.unwrap(),
                seen(2)
            );
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let journal = Journal::new(10);
        let later = async {
            tokio::task::yield_now().await;
            journal.record(seen(1));
            journal.record(seen(2));
        };
        let long = Duration::from_mins(1);
        let wait = journal.take(|observation| *observation == seen(2), long);
        let (found, ()) = tokio::join!(wait, later);
        assert_eq!(found.unwrap(), seen(2));
    }

    #[tokio::test]
    async fn a_new_device_has_no_past() {
        let journal = Journal::new(10);
        let jid = || "15550001001:1@s.whatsapp.net".to_owned();
        let online = |connection| Observation::Online {
            connection,
            jid: jid(),
        };
        journal.record(online(1));
        journal.record(Observation::Paired {
            connection: 2,
            jid: jid(),
        });
        journal.record(online(3));
        let up = |seen: &Observation| matches!(seen, Observation::Online { .. });
        assert_eq!(journal.take(up, SOON).await.unwrap(), online(3));
    }

    #[test]
    fn what_was_observed_since_comes_in_order_with_its_time() {
        let journal = Journal::new(10);
        let before = now_milliseconds();
        (1..=3).for_each(|connection| journal.record(seen(connection)));
        let (next, all) = journal.since(1, |observation| *observation != seen(3));
        assert_eq!(next, 3);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].position, &all[0].observation), (1, &seen(2)));
        assert!(all[0].at >= before && all[0].at <= now_milliseconds());
        assert_eq!(journal.since(next, |_| true), (3, Vec::new()));
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten_first() {
        let journal = Journal::new(2);
        (1..=3).for_each(|connection| journal.record(seen(connection)));
        assert_eq!(journal.take(|_| true, SOON).await.unwrap(), seen(2));
    }
}
