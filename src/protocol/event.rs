//! What happened to a session.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::open::open_variants;
use super::{HistoryEntry, Status, UnknownName, UserId};

/// Something that happened to one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// The event's number in the series of its `epoch`. The series of an admin counts all events, that of
    /// anyone else only the events of their own sessions. A watch of some users sees gaps.
    pub seq: u64,
    /// When it happened.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub at: Timestamp,
    /// To whose session.
    pub user: UserId,
    /// What happened.
    pub kind: EventKind,
    /// The session after it; `None`: there is none any more, or none that this watcher may see.
    pub status: Option<Status>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(!remote, transform = super::golden::open_variants))]
#[serde(rename_all = "snake_case", remote = "Self")]
#[non_exhaustive]
pub enum EventKind {
    /// It opens a link, or got a stage further.
    Connecting,
    /// A QR code is live.
    Qr,
    /// A pair code is live.
    PairCode,
    /// WhatsApp wants a passkey for the pairing, or its step changed: [`Status::passkey`].
    Passkey,
    /// The phone accepted the device, and the credentials are on the disk.
    Paired,
    /// It is logged in.
    Online,
    /// It was lost or refused for now.
    BackingOff,
    /// WhatsApp holds it until a time.
    Held,
    /// It needs a person.
    Parked,
    /// It was closed on request, or for being idle.
    Disconnected,
    /// Its credentials are being removed.
    LoggingOut,
    /// It ended, and nothing of it is left. Never lost: it is in the history too.
    LoggedOut(Box<HistoryEntry>),
    /// Nobody finished its pairing; nothing of it is left.
    PairingExpired(Box<HistoryEntry>),
    /// Its removal could not finish.
    PurgeFailed,
    /// What is on the disk cannot be used: its bytes are wrong.
    StoreCorrupt,
    /// Its target groups changed.
    Targets,
    /// Another account was paired on it: the target groups were cleared.
    AccountChanged,
    /// What WhatsApp forbids the account changed: [`Status::restrictions`].
    Restrictions,
    /// Its warnings changed: [`Status::warnings`].
    Warnings,
    /// Something else in its status changed: an error in words, the account's name.
    Updated,
    /// A newer daemon said a kind that this version does not know: [`Event::status`] says the rest. It is
    /// never the end of a session.
    #[serde(skip)]
    Unknown(UnknownName),
}

open_variants!(EventKind:
    "connecting", "qr", "pair_code", "passkey", "paired", "online", "backing_off", "held", "parked",
    "disconnected", "logging_out", "logged_out", "pairing_expired", "purge_failed", "store_corrupt",
    "targets", "account_changed", "restrictions", "warnings", "updated",
);

impl EventKind {
    /// The name as it stands in JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Connecting => "connecting",
            Self::Qr => "qr",
            Self::PairCode => "pair_code",
            Self::Passkey => "passkey",
            Self::Paired => "paired",
            Self::Online => "online",
            Self::BackingOff => "backing_off",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Disconnected => "disconnected",
            Self::LoggingOut => "logging_out",
            Self::LoggedOut(_) => "logged_out",
            Self::PairingExpired(_) => "pairing_expired",
            Self::PurgeFailed => "purge_failed",
            Self::StoreCorrupt => "store_corrupt",
            Self::Targets => "targets",
            Self::AccountChanged => "account_changed",
            Self::Restrictions => "restrictions",
            Self::Warnings => "warnings",
            Self::Updated => "updated",
            Self::Unknown(name) => name.as_str(),
        }
    }

    /// The kind with which an ended session is announced: for a reader of the history.
    #[must_use]
    pub fn from_end(entry: HistoryEntry) -> Self {
        let entry = Box::new(entry);
        if entry.cause.ends_pairings_only() {
            Self::PairingExpired(entry)
        } else {
            Self::LoggedOut(entry)
        }
    }

    /// The ended session, for the two kinds of end.
    #[must_use]
    pub fn ended(&self) -> Option<&HistoryEntry> {
        match self {
            Self::LoggedOut(entry) | Self::PairingExpired(entry) => Some(entry),
            _ => None,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
