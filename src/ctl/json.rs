//! The objects of `--json`. Their shape is an interface: a change that breaks readers is a new
//! [`SCHEMA`]. Fields and names may be added, as on the socket.
//!
//! Where the protocol's own types have that shape already they are written as they are. The tests keep
//! `contrib/schema/wactl-1.json`, which describes the objects, and hold everything that a command writes
//! against it.

use jiff::Timestamp;
use serde::Serialize;

use crate::client::Snapshot;
use crate::protocol::{
    Cause, Event, EventKind, Group, GroupJid, HistoryEntry, PasskeyStep, SessionProxy, Status,
    Unlink, UserId,
};

/// The version of the shapes.
pub(super) const SCHEMA: u32 = 1;

/// One line of output.
#[derive(Debug, Serialize)]
pub(crate) struct Document<T> {
    schema: u32,
    #[serde(flatten)]
    body: T,
}

impl<T> Document<T> {
    pub(crate) fn new(body: T) -> Self {
        Self {
            schema: SCHEMA,
            body,
        }
    }
}

/// The object of `list`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sessions<'a> {
    pub(crate) sessions: &'a [Status],
}

/// The object of `history`: newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct History<'a> {
    pub(crate) entries: &'a [HistoryEntry],
}

/// The object of `groups`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Groups<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) groups: &'a [Group],
}

/// The object of `targets`: the target groups after the command.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Targets<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) targets: &'a [GroupJid],
}

/// The object of `proxy`: the proxy after the command, without user and password.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Proxy<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) proxy: &'a SessionProxy,
}

/// The object of `daemon ping`: what the daemon calls itself, and the socket where it listens.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Pong<'a> {
    pub(crate) server: &'a str,
    pub(crate) socket: String,
}

/// The object of `qr`: the live QR code, and the file where its picture is, if one was asked for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Code<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) qr: &'a crate::protocol::Qr,
    pub(crate) output: Option<String>,
}

/// The object of `passkey` without an option: WhatsApp's challenge, as `WebAuthn`'s
/// `PublicKeyCredentialRequestOptions`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Challenge<'a> {
    pub(crate) user: &'a UserId,
    /// The step for which the challenge is due. In another step there is an error instead, with the status.
    pub(crate) step: PasskeyStep,
    pub(crate) options: serde_json::Value,
    /// When the pairing ends if it is not finished.
    #[cfg_attr(test, schemars(with = "crate::protocol::golden::Time"))]
    pub(crate) expires_at: Timestamp,
}

/// An error of any command. In a stream it is the last object.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failed<'a> {
    pub(crate) error: &'a super::error::Problem,
}

/// An object of `watch`: the first one, and one after each reconnect. It replaces everything that was told
/// before it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Beginning<'a> {
    pub(crate) watching: State<'a>,
}

/// An object of `watch` and of `connect`, in place of events that are lost. It replaces everything that was
/// told before it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Lagged<'a> {
    /// How many events are lost.
    pub(crate) missed: u64,
    pub(crate) watching: State<'a>,
}

/// The sessions at one moment of a stream. Replayed events follow as objects of their own.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct State<'a> {
    /// The number of the daemon's run, for what the caller may see: event numbers belong to it.
    epoch: u64,
    /// The number of the last event that it includes.
    seq: u64,
    /// Whether events before it are lost. Ends of sessions are told all the same.
    gap: bool,
    sessions: Vec<&'a Status>,
}

impl<'a> From<&'a Snapshot> for State<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        Self {
            epoch: snapshot.epoch,
            seq: snapshot.seq(),
            gap: snapshot.gap,
            sessions: snapshot.sessions().collect(),
        }
    }
}

/// An object of `watch` and of `connect`: something happened to a session.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Happened<'a> {
    /// The event's number. `null`: no event told it. A session ended while nobody was connected, and that
    /// was found in the history.
    seq: Option<u64>,
    /// When it happened.
    #[cfg_attr(test, schemars(with = "crate::protocol::golden::Time"))]
    at: Timestamp,
    user: &'a UserId,
    /// The event's kind, by its name on the socket.
    event: String,
    /// Why the session ended. Only where it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    /// How unlinking the device went. Only where the session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlink: Option<Unlink>,
    /// The session that ended. Only where it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a HistoryEntry>,
    /// The session after it. `null`: there is none any more.
    status: Option<&'a Status>,
}

impl<'a> From<&'a Event> for Happened<'a> {
    fn from(event: &'a Event) -> Self {
        let entry = event.kind.ended();
        Self {
            seq: Some(event.seq),
            at: event.at,
            user: &event.user,
            event: event.kind.to_string(),
            cause: entry.map(|entry| entry.cause),
            unlink: entry.map(|entry| entry.unlink),
            entry,
            status: event.status.as_ref(),
        }
    }
}

impl<'a> From<&'a HistoryEntry> for Happened<'a> {
    fn from(entry: &'a HistoryEntry) -> Self {
        Self {
            seq: None,
            at: entry.at,
            user: &entry.user,
            event: EventKind::from_end(entry.clone()).to_string(),
            cause: Some(entry.cause),
            unlink: Some(entry.unlink),
            entry: Some(entry),
            status: None,
        }
    }
}
