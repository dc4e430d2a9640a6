//! What a user may expect: a small model of a session, told a second time and as simply as possible.

use std::collections::BTreeSet;

use wasessiond::protocol::{Cause, Phase};

use super::{Log, note};
use crate::conformance::person::Person;

/// What a user may expect.
#[derive(Default)]
pub(super) struct Expectation {
    /// The device that was linked, until its end stands in the history.
    pub(super) device: Option<String>,
    /// How its sessions ended, the first one first.
    pub(super) ends: Vec<Cause>,
    /// What happened since the last pairing that may end the session.
    may_end: BTreeSet<Cause>,
    /// Something happened that does, sooner or later.
    must_end: bool,
    /// WhatsApp banned the account for longer than this takes.
    pub(super) may_be_held: bool,
}

impl Expectation {
    pub(super) fn may_end(&mut self, causes: &[Cause]) {
        self.may_end.extend(causes);
    }

    pub(super) fn must_end(&mut self) {
        self.must_end = self.device.is_some();
    }

    /// A new device: what happened before does not concern it.
    pub(super) fn linked(&mut self, device: String) {
        assert_eq!(
            self.device, None,
            "linked over credentials that must not be gone"
        );
        self.device = Some(device);
        self.may_end.clear();
        self.must_end = false;
        self.may_be_held = false;
    }

    /// Nobody is shown the QR code of before.
    pub(super) fn restarted(&mut self) {
        self.may_end.insert(Cause::PairingAbandoned);
    }

    /// Holds the model against the history, at any moment: every end has something that explains it, and
    /// credentials are there as long as they have no end.
    pub(super) async fn agrees(&mut self, person: &Person, log: &Log) {
        let history = person.client.history(Some(&person.user), None).await;
        let mut history = history.expect("history");
        history.reverse();
        assert!(
            history.len() >= self.ends.len(),
            "the history lost a line: {history:?}"
        );
        for entry in history.drain(..).skip(self.ends.len()) {
            let cause = entry.cause;
            note(
                log,
                format!("   {} ended: {cause}, unlink {}", person.user, entry.unlink),
            );
            assert!(
                self.may_end.contains(&cause),
                "nothing explains it: {entry:?}"
            );
            self.ends.push(cause);
            let ended = entry.account.map(|account| account.jid);
            match &self.device {
                Some(device) => {
                    assert_eq!(ended.as_ref(), Some(device), "another one ended");
                    assert_ne!(cause, Cause::PairingAbandoned, "it was paired");
                    self.device = None;
                    self.must_end = false;
                }
                None => assert_eq!(ended, None, "it ended twice"),
            }
        }
        if self.device.is_some() {
            person
                .has_credentials_unless_it_ended(self.ends.len())
                .await;
        }
    }

    /// Brings the session to rest, and looks whether it is what the model says.
    pub(super) async fn settles(&mut self, person: &mut Person, log: &Log) {
        person.connect().await;
        let now = loop {
            match person.now().await {
                None => break None,
                Some(at_rest @ (Phase::AwaitingScan | Phase::Held)) => break Some(at_rest),
                // A connection that was dropped just now is not noticed yet.
                Some(Phase::Online) if is_connected(person).await => break Some(Phase::Online),
                Some(_) => {
                    person.next().await;
                }
            }
        };
        self.agrees(person, log).await;
        note(
            log,
            format!(
                "   {} is at rest: {now:?}, device {:?}",
                person.user, self.device
            ),
        );
        let Some(device) = self.device.clone() else {
            // Ready for the next one: nothing is left, or a code is shown.
            match now {
                None => drop(person.nothing_left().await),
                Some(phase) => assert_eq!(phase, Phase::AwaitingScan),
            }
            return;
        };
        if now == Some(Phase::Held) {
            assert!(self.may_be_held, "nobody banned it");
            person.has_credentials();
            return;
        }
        assert!(!self.must_end, "it should have ended");
        assert_eq!(now, Some(Phase::Online));
        let status = person.client.status(&person.user).await.expect("status");
        assert_eq!(status.account.expect("an account").jid, device);
        person.has_credentials();
    }
}

async fn is_connected(person: &Person) -> bool {
    let linked = person.sim.devices(&person.phone).await.expect("devices");
    linked.iter().any(|device| device.online)
}
