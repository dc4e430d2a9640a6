//! The objects of `--json`. Their shape is an interface: a change that breaks readers is a new
//! [`SCHEMA`].
//!
//! Where the protocol's own types have that shape already they are written as they are; tests pin
//! the text.

use jiff::Timestamp;
use serde::Serialize;

use crate::client::Snapshot;
use crate::protocol::{
    Cause, Event, EventKind, Group, GroupJid, HistoryEntry, Status, Unlink, UserId,
};

/// The version of the shapes.
const SCHEMA: u32 = 1;

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

/// Of `list`.
#[derive(Debug, Serialize)]
pub(crate) struct Sessions<'a> {
    pub(crate) sessions: &'a [Status],
}

/// Of `history`.
#[derive(Debug, Serialize)]
pub(crate) struct History<'a> {
    pub(crate) entries: &'a [HistoryEntry],
}

/// Of `groups`.
#[derive(Debug, Serialize)]
pub(crate) struct Groups<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) groups: &'a [Group],
}

/// Of `targets`.
#[derive(Debug, Serialize)]
pub(crate) struct Targets<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) targets: &'a [GroupJid],
}

/// Of `daemon ping`.
#[derive(Debug, Serialize)]
pub(crate) struct Pong<'a> {
    pub(crate) server: &'a str,
    pub(crate) socket: String,
}

/// Of `qr`.
#[derive(Debug, Serialize)]
pub(crate) struct Code<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) qr: &'a crate::protocol::Qr,
    pub(crate) output: Option<String>,
}

/// An error of any command.
#[derive(Debug, Serialize)]
pub(crate) struct Failed<'a> {
    pub(crate) error: &'a super::error::Problem,
}

/// The first line of `watch`.
#[derive(Debug, Serialize)]
pub(crate) struct Beginning<'a> {
    pub(crate) watching: State<'a>,
}

/// In place of events that are lost.
#[derive(Debug, Serialize)]
pub(crate) struct Lagged<'a> {
    pub(crate) missed: u64,
    pub(crate) watching: State<'a>,
}

/// The sessions at one moment of a stream. Replayed events follow as lines of their own.
#[derive(Debug, Serialize)]
pub(crate) struct State<'a> {
    epoch: u64,
    seq: u64,
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

/// A line of `watch` and of `connect`.
#[derive(Debug, Serialize)]
pub(crate) struct Happened<'a> {
    /// `None`: it did not come as an event; it was found in the history.
    seq: Option<u64>,
    at: Timestamp,
    user: &'a UserId,
    event: &'a str,
    /// These three only when the session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlink: Option<Unlink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a HistoryEntry>,
    status: Option<&'a Status>,
}

impl<'a> From<&'a Event> for Happened<'a> {
    fn from(event: &'a Event) -> Self {
        let entry = event.kind.ended();
        Self {
            seq: Some(event.seq),
            at: event.at,
            user: &event.user,
            event: event.kind.as_str(),
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
            event: EventKind::from_end(entry.clone()).as_str(),
            cause: Some(entry.cause),
            unlink: Some(entry.unlink),
            entry: Some(entry),
            status: None,
        }
    }
}
