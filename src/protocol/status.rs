//! The state of one session, as everybody sees it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::open_names;
use super::{
    Account, Cause, GroupJid, Passkey, Redacted, Restriction, SessionProxy, UserId, Warning,
};

open_names! {
    /// What a session is doing now.
    ///
    /// What belongs to a phase stands beside it in [`Status`]. A user without a session has no phase:
    /// the daemon answers [`FailureCode::NotFound`](super::FailureCode::NotFound).
    pub enum Phase {
        /// Opening a link to WhatsApp; [`Status::connecting`] says how far it got.
        Connecting = "connecting",
        /// A QR code is live: [`Status::qr`]; or it was scanned, and WhatsApp wants a passkey:
        /// [`Status::passkey`].
        AwaitingScan = "awaiting_scan",
        /// A pair code is live: [`Status::pair_code`]; or it was entered, and WhatsApp wants a passkey:
        /// [`Status::passkey`].
        AwaitingCode = "awaiting_code",
        /// Logged in.
        Online = "online",
        /// Lost or refused for now, or its files cannot be opened now (reason `store_failed`). It tries again
        /// by itself at [`Status::retry_at`].
        BackingOff = "backing_off",
        /// WhatsApp said not before [`Status::held_until`]; then it tries again.
        Held = "held",
        /// Needs a person: [`Status::reason`] says why, [`Status::next_action`] what helps.
        Parked = "parked",
        /// Stopped on request, or for being idle; the credentials are kept.
        Disconnected = "disconnected",
        /// The credentials are being removed.
        LoggingOut = "logging_out",
        /// The removal could not finish: [`Status::error`] says what is left and why; it is tried again
        /// at [`Status::retry_at`], and by `force-logout` at once.
        PurgeFailed = "purge_failed",
        /// What is on the disk cannot be used: its bytes are wrong. Nothing is overwritten; `force-logout` is
        /// the way out. What cannot be opened for now is in phase `backing_off`.
        StoreCorrupt = "store_corrupt",
    }
}

open_names! {
    /// How far opening a link got.
    pub enum Stage {
        /// Reaching WhatsApp: DNS, TCP, TLS, the WebSocket upgrade.
        Transport = "transport",
        /// The encrypted handshake.
        Handshake = "handshake",
        /// Waiting for WhatsApp to accept the login, or for the first QR code.
        Login = "login",
        /// Logged in; waiting until the link is ready for use.
        Sync = "sync",
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
    /// Where WhatsApp locked the account: the token with which its owner can appeal. WhatsApp sends it once.
    /// `None` in `list`.
    pub appeal_token: Option<Redacted>,
    /// What WhatsApp forbids the account for a time. The session stays online.
    #[serde(default)]
    pub restrictions: Vec<Restriction>,
    /// What will become a failure if nobody does anything.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Phases `awaiting_scan` and `awaiting_code`, with the reason `passkey_required`: WhatsApp wants a
    /// passkey of the account.
    pub passkey: Option<Passkey>,
    /// The proxy through which it reaches WhatsApp. `None`: the session's record cannot be read, so nobody
    /// knows.
    #[serde(default)]
    pub proxy: Option<SessionProxy>,
    /// While it is not paired: the phone number of the account that is expected, in E.164 form. Another account
    /// that is linked is unlinked again.
    pub expect: Option<String>,
}

impl Status {
    /// The same without anything that would let a reader link a device or appeal for the account: what `list`
    /// shows.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some(qr) = &mut self.qr {
            qr.code = None;
        }
        if let Some(pair_code) = &mut self.pair_code {
            pair_code.code = None;
        }
        self.appeal_token = None;
        if let Some(passkey) = &mut self.passkey {
            passkey.code = None;
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
