//! What concerns the daemon and all its sessions, and will become a failure if nobody does anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::message_id;
use crate::protocol::{Warning, WarningKind};

/// The warnings of the daemon, one of each kind. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DaemonWarnings(watch::Sender<BTreeMap<WarningKind, Warning>>);

impl Default for DaemonWarnings {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl DaemonWarnings {
    /// Raises a warning. Returns whether it says something new in words: many sessions may say the same, and
    /// be told different moments of the same day.
    pub(super) fn raise(&self, warning: Warning) -> bool {
        self.0.send_if_modified(|warnings| {
            let standing = warnings.get(&warning.kind);
            let stands = standing.is_some_and(|standing| standing.text == warning.text);
            if !stands {
                warnings.insert(warning.kind, warning);
            }
            !stands
        })
    }

    /// Takes a warning back. Returns whether there was one.
    fn clear(&self, kind: WarningKind) -> bool {
        self.0
            .send_if_modified(|warnings| warnings.remove(&kind).is_some())
    }

    /// The warnings that stand.
    #[must_use]
    pub fn standing(&self) -> Vec<Warning> {
        self.0.borrow().values().cloned().collect()
    }

    /// Tells of changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<BTreeMap<WarningKind, Warning>> {
        self.0.subscribe()
    }

    /// WhatsApp does not accept the version of WhatsApp Web that the daemon names.
    pub(super) fn client_outdated(&self, version: &str) {
        let is_new = self.raise(Warning {
            kind: WarningKind::ClientOutdated,
            since: Timestamp::now(),
            due: None,
            text: format!(
                "WhatsApp does not accept version {version} of WhatsApp Web, which this daemon names, so no \
                 session can log in. The credentials are kept, and all go on by themselves when that \
                 changes; if it lasts, update wasessiond, or set `whatsapp.version`."
            ),
        });
        if is_new {
            tracing::error!(
                message_id = message_id::CLIENT_OUTDATED,
                "WhatsApp does not accept version {version} of WhatsApp Web, which this daemon names: no session can log in. The credentials are kept"
            );
        }
    }

    /// WhatsApp does not refuse this version of the client, or the daemon names a newer one.
    pub(super) fn client_goes_on(&self) {
        if self.clear(WarningKind::ClientExpires) {
            tracing::info!(
                message_id = message_id::CLIENT_ACCEPTED,
                "the client's version does not expire any more: a newer one is in use, or WhatsApp took the date back"
            );
        }
    }

    /// WhatsApp accepts the version. Returns whether it did not before.
    pub(super) fn client_accepted(&self) -> bool {
        let is_news = self.clear(WarningKind::ClientOutdated);
        if is_news {
            tracing::info!(
                message_id = message_id::CLIENT_ACCEPTED,
                "WhatsApp accepts the daemon's version again; the sessions that waited for that try now"
            );
        }
        is_news
    }

    /// WhatsApp has told a session when it will refuse this version of the client.
    pub(super) fn client_expires(&self, at: Timestamp) {
        let day = at.strftime("%Y-%m-%d");
        let is_new = self.raise(Warning {
            kind: WarningKind::ClientExpires,
            since: Timestamp::now(),
            due: Some(at),
            text: format!(
                "From {day} on WhatsApp refuses this version of the client, for all sessions: update \
                 wasessiond before. The credentials are kept."
            ),
        });
        if is_new {
            tracing::warn!(
                message_id = message_id::CLIENT_EXPIRES,
                "from {day} on WhatsApp refuses this version of the client: update wasessiond before"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sessions_raise_one_warning() {
        let warnings = DaemonWarnings::default();
        let mut changed = warnings.changed();
        let at = |second| Timestamp::from_second(second).expect("a time");
        for _ in 0..3 {
            warnings.client_expires(at(1_800_000_000));
        }
        assert!(changed.has_changed().expect("it lives"));
        changed.borrow_and_update();
        let [warning] = &warnings.standing()[..] else {
            panic!("{warnings:?}");
        };
        assert_eq!(warning.due, Some(at(1_800_000_000)));
        assert!(warning.text.contains("2027-01-15"), "{}", warning.text);
        let since = warning.since;
        warnings.client_expires(at(1_800_000_000));
        assert_eq!(warnings.standing()[0].since, since);
        assert!(!changed.has_changed().expect("it lives"));
        warnings.client_expires(at(1_800_000_001));
        assert!(!changed.has_changed().expect("it lives"), "the same day");
        // WhatsApp may move the day.
        warnings.client_expires(at(1_900_000_000));
        assert_eq!(warnings.standing()[0].due, Some(at(1_900_000_000)));
        assert!(warnings.clear(WarningKind::ClientExpires));
        assert!(!warnings.clear(WarningKind::ClientExpires));
        assert_eq!(warnings.standing(), []);
    }
}
