//! The envelopes: requests one way, replies and events the other.

use serde::{Deserialize, Serialize};

use super::{
    Command, Event, Failure, Group, GroupJid, HistoryEntry, Info, LogoutReport, Reloaded, Status,
};

/// A command with a number of the client's choice, which its reply repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The number.
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// What the daemon sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The reply to a request.
    Reply(Reply),
    /// Something that happened to a watched session.
    Event(Box<Event>),
    /// The reader fell behind: `missed` events are lost to it. The present state follows, as if the
    /// watch had just begun. An end of a session among them is in the history.
    Lagged {
        /// How many events were lost.
        missed: u64,
        /// The present state.
        state: Watching,
    },
    /// The connection will be closed, and why. Sent where something can still be sent.
    Closing(Failure),
}

/// The reply to the request with this number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's number.
    pub id: u64,
    /// How it went. In JSON: `{"Ok": ..}` or `{"Err": ..}`.
    pub result: Result<Answer, Failure>,
}

/// What a successful request brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// To `ping`.
    Pong,
    /// To `info`.
    Info(Info),
    /// To `reload`.
    Reloaded(Reloaded),
    /// To `connect`, `disconnect`, `status`.
    Status(Box<Status>),
    /// To `list`.
    Sessions(Vec<Status>),
    /// To `force_logout`, and to `disconnect` of a session that was never paired.
    LoggedOut(Box<LogoutReport>),
    /// To `history`.
    History(Vec<HistoryEntry>),
    /// To `watch`.
    Watching(Watching),
    /// To `groups`.
    Groups(Vec<Group>),
    /// To `targets`: the target groups now.
    Targets(Vec<GroupJid>),
}

/// The state at the beginning of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// The number of the daemon's run.
    pub epoch: u64,
    /// The number of the last event the state includes: later events follow it.
    pub seq: u64,
    /// The sessions watched, as they are at `seq`.
    pub sessions: Vec<Status>,
    /// What happened after `since` and up to `seq`, as far as it is still remembered: for a log, the
    /// state already includes it.
    pub replayed: Vec<Event>,
    /// Whether events between `since` and the first of `replayed` are forgotten (the ring is
    /// bounded), or `since` belongs to another run: then look into the history.
    pub gap: bool,
}
