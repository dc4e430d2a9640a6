//! Observations of clients. The server keeps them, so that a test can wait for one.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

use crate::Error;

/// One thing a client did. `connection` numbers the connections of one run of the server, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "observation", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields repeat what the variant says: a connection, a JID, a count"
)]
pub enum Observation {
    /// A WebSocket was opened.
    ClientConnected { connection: u64 },
    /// A connection was turned away before it was a WebSocket: an HTTP status, or 0 for silence or
    /// a close.
    UpgradeRefused { status: u16 },
    /// A Noise XX handshake was completed.
    HandshakeXx { connection: u64 },
    /// A Noise IK handshake was completed.
    HandshakeIk { connection: u64 },
    /// IK was refused and the client completed XX instead.
    HandshakeFallback { connection: u64 },
    /// The handshake failed.
    HandshakeFailed { connection: u64, error: String },
    /// A client registered and was given references to show as QR codes.
    Pairing { connection: u64, refs: Vec<String> },
    /// The client acknowledged the references.
    PairingAcknowledged { connection: u64 },
    /// A client asked for a pair code for a phone number; `refused` with a code, if a fault says
    /// so.
    PairCodeRequested {
        connection: u64,
        phone: String,
        refused: Option<u16>,
    },
    /// A client proved its keys: the device is linked.
    Paired { connection: u64, jid: String },
    /// A pairing failed.
    PairingFailed {
        connection: u64,
        phone: String,
        error: String,
    },
    /// A device logged in and got `<success>`.
    Login {
        connection: u64,
        jid: String,
        passive: bool,
    },
    /// A login was refused with `<failure>`.
    LoginRefused {
        connection: u64,
        jid: String,
        reason: Option<u16>,
    },
    /// A login was left without an answer, as a fault says.
    LoginIgnored { connection: u64, jid: String },
    /// A device uploaded prekeys.
    PreKeysUploaded {
        connection: u64,
        jid: String,
        count: usize,
    },
    /// A device was sent the app-state keys.
    KeysShared { connection: u64, jid: String },
    /// A device asked for active delivery and was told that nothing is waiting: it is up.
    Online { connection: u64, jid: String },
    /// A device asked for its groups.
    GroupsRequested { connection: u64, jid: String },
    /// A device pinged.
    Ping { connection: u64, jid: String },
    /// A device's request of this namespace was left without an answer, as a fault says.
    RequestIgnored {
        connection: u64,
        jid: String,
        namespace: String,
    },
    /// A device asked to be unlinked.
    UnlinkRequested { connection: u64, jid: String },
    /// A device is not linked any more.
    Unlinked { jid: String },
    /// A connection is gone; `jid` when it had logged in.
    Disconnected {
        connection: u64,
        jid: Option<String>,
    },
}

impl Observation {
    /// The connection it happened on, if on one.
    #[must_use]
    pub fn connection(&self) -> Option<u64> {
        match self {
            Self::UpgradeRefused { .. } | Self::Unlinked { .. } => None,
            Self::ClientConnected { connection }
            | Self::HandshakeXx { connection }
            | Self::HandshakeIk { connection }
            | Self::HandshakeFallback { connection }
            | Self::HandshakeFailed { connection, .. }
            | Self::Pairing { connection, .. }
            | Self::PairingAcknowledged { connection }
            | Self::PairCodeRequested { connection, .. }
            | Self::Paired { connection, .. }
            | Self::PairingFailed { connection, .. }
            | Self::Login { connection, .. }
            | Self::LoginRefused { connection, .. }
            | Self::LoginIgnored { connection, .. }
            | Self::PreKeysUploaded { connection, .. }
            | Self::KeysShared { connection, .. }
            | Self::Online { connection, .. }
            | Self::GroupsRequested { connection, .. }
            | Self::Ping { connection, .. }
            | Self::RequestIgnored { connection, .. }
            | Self::UnlinkRequested { connection, .. }
            | Self::Disconnected { connection, .. } => Some(*connection),
        }
    }

    /// The device it is about, if the server knew.
    #[must_use]
    pub fn jid(&self) -> Option<&str> {
        match self {
            Self::Paired { jid, .. }
            | Self::Login { jid, .. }
            | Self::LoginRefused { jid, .. }
            | Self::LoginIgnored { jid, .. }
            | Self::PreKeysUploaded { jid, .. }
            | Self::KeysShared { jid, .. }
            | Self::Online { jid, .. }
            | Self::GroupsRequested { jid, .. }
            | Self::Ping { jid, .. }
            | Self::RequestIgnored { jid, .. }
            | Self::UnlinkRequested { jid, .. }
            | Self::Unlinked { jid } => Some(jid),
            Self::Disconnected { jid, .. } => jid.as_deref(),
            _ => None,
        }
    }
}

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

    #[tokio::test]
    async fn the_oldest_is_forgotten_first() {
        let journal = Journal::new(2);
        (1..=3).for_each(|connection| journal.record(seen(connection)));
        assert_eq!(journal.take(|_| true, SOON).await.unwrap(), seen(2));
    }
}
