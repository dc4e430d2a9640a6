//! The state of one session, as everybody sees it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Account, Cause, GroupJid, Redacted, UserId};

/// What a session is doing now.
///
/// What belongs to a phase stands beside it in [`Status`]. A user without a session has no phase:
/// the daemon answers [`FailureCode::NotFound`](super::FailureCode::NotFound).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Opening a link to WhatsApp; [`Status::connecting`] says how far it got.
    Connecting,
    /// A QR code is live: [`Status::qr`].
    AwaitingScan,
    /// A pair code is live: [`Status::pair_code`].
    AwaitingCode,
    /// Logged in.
    Online,
    /// Lost or refused for now; tries again at [`Status::retry_at`].
    BackingOff,
    /// WhatsApp said not before [`Status::held_until`]; then it tries again.
    Held,
    /// Needs a person: [`Status::reason`] says why, [`Status::next_action`] what helps.
    Parked,
    /// Stopped on request, or for being idle; the credentials are kept.
    Disconnected,
    /// The credentials are being removed.
    LoggingOut,
    /// The removal could not finish: [`Status::error`] says what is left and why; it is tried again
    /// at [`Status::retry_at`], and by `force-logout` at once.
    PurgeFailed,
    /// What is on the disk cannot be read. Nothing is overwritten; `force-logout` is the way out.
    StoreCorrupt,
}

impl Phase {
    /// Every phase, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Connecting,
        Self::AwaitingScan,
        Self::AwaitingCode,
        Self::Online,
        Self::BackingOff,
        Self::Held,
        Self::Parked,
        Self::Disconnected,
        Self::LoggingOut,
        Self::PurgeFailed,
        Self::StoreCorrupt,
    ];

    /// The name as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::AwaitingScan => "awaiting_scan",
            Self::AwaitingCode => "awaiting_code",
            Self::Online => "online",
            Self::BackingOff => "backing_off",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Disconnected => "disconnected",
            Self::LoggingOut => "logging_out",
            Self::PurgeFailed => "purge_failed",
            Self::StoreCorrupt => "store_corrupt",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far opening a link got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reaching WhatsApp: DNS, TCP, TLS, the WebSocket upgrade.
    Transport,
    /// The encrypted handshake.
    Handshake,
    /// Waiting for WhatsApp to accept the login, or for the first QR code.
    Login,
    /// Logged in; waiting until the link is ready for use.
    Sync,
}

impl Stage {
    /// The name as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Handshake => "handshake",
            Self::Login => "login",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The state of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// Whose session it is.
    pub user: UserId,
    /// What it is doing.
    pub phase: Phase,
    /// When it entered this phase.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub since: Timestamp,
    /// One sentence that tells a person what to do now.
    pub next_action: String,
    /// The uid that created the session.
    pub owner: u32,
    /// The WhatsApp account, once paired.
    pub account: Option<Account>,
    /// Phase `connecting`: how far it got.
    pub connecting: Option<Connecting>,
    /// Phase `awaiting_scan`: the live QR code.
    pub qr: Option<Qr>,
    /// Phase `awaiting_code`: the live pair code.
    pub pair_code: Option<PairCode>,
    /// Phases `backing_off` and `purge_failed`: when the next try is.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub retry_at: Option<Timestamp>,
    /// Phase `held`: WhatsApp accepts nothing before this.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub held_until: Option<Timestamp>,
    /// Why it is not online, where there is a reason.
    pub reason: Option<Cause>,
    /// The last error, in words.
    pub error: Option<String>,
    /// The groups the user has chosen.
    pub targets: Vec<GroupJid>,
    /// When the session was last used through the daemon, or received something from WhatsApp.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub last_activity: Option<Timestamp>,
}

impl Status {
    /// The same without anything that would let a reader link a device: what `list` shows.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some(qr) = &mut self.qr {
            qr.code = None;
        }
        if let Some(pair_code) = &mut self.pair_code {
            pair_code.code = None;
        }
        self
    }
}

/// How far connecting got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Connecting {
    /// The number of this attempt, from 1, counted since the session was last online.
    pub attempt: u32,
    /// What it is waiting for.
    pub stage: Stage,
    /// Since when it has been waiting for that.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub stage_since: Timestamp,
}

/// A QR code that can be scanned now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Qr {
    /// The text to draw as a QR code. `None` in `list`.
    pub code: Option<Redacted>,
    /// Which of the codes of this pairing it is, from 1.
    pub number: u32,
    /// How many more follow when this one expires unused.
    pub remaining: u32,
    /// When it stops working and the next one comes, or the pairing ends.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub expires_at: Timestamp,
}

/// A pair code that can be entered on the phone now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairCode {
    /// The eight characters to enter. `None` in `list`.
    pub code: Option<Redacted>,
    /// The phone number it was made for, in E.164 form.
    pub phone: String,
    /// When it stops working.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub expires_at: Timestamp,
}
