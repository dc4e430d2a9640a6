//! The envelopes: requests one way, replies and events the other.

use serde::{Deserialize, Serialize};

use super::open::open_variants;
use super::{
    Command, Event, Failure, Group, GroupJid, HistoryEntry, Info, LogoutReport, PasskeyChallenge,
    Reloaded, RotatedKey, SessionProxy, Status, UnknownName, UserId,
};

/// A command with a number of the client's choice, which its reply repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Request {
    /// The number.
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// What the daemon sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(!remote, transform = super::golden::open_variants))]
#[serde(rename_all = "snake_case", remote = "Self")]
#[non_exhaustive]
pub enum Message {
    /// The reply to a request.
    Reply(Reply),
    /// Of a watch that begins with `since`: something that happened before the state that follows it,
    /// and that the state already includes. For a log.
    Replayed(Box<Event>),
    /// Of a watch that begins, or begins anew: a session as it is at the number that
    /// [`Message::InSync`] tells.
    Present(Box<Status>),
    /// The state is complete: what was told by [`Message::Present`] since the watch began, or began
    /// anew, are all the sessions there are for this watcher.
    InSync {
        /// The number of the last event the state includes: only later ones follow.
        seq: u64,
    },
    /// Something that happened to a watched session just now.
    Event(Box<Event>),
    /// The reader fell behind, and events are lost to it. It drops its state: the watch begins anew,
    /// and [`Message::Present`] and [`Message::InSync`] follow. An end of a session among what is lost
    /// is in the history.
    Lagged {
        /// How many events were lost, of all that the client may see: those about sessions that it does not
        /// watch are counted, too.
        missed: u64,
    },
    /// The connection will be closed, and why. Sent where something can still be sent.
    Closing(Failure),
    /// A newer daemon said something that this version does not know. It is passed over: what changes the
    /// state that a watch tells is never among it.
    #[serde(skip)]
    Unknown(UnknownName),
}

open_variants!(Message:
    "reply", "replayed", "present", "in_sync", "event", "lagged", "closing",
);

/// The reply to the request with this number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reply {
    /// The request's number.
    pub id: u64,
    /// How it went. In JSON: `{"Ok": ..}` or `{"Err": ..}`.
    pub result: Result<Answer, Failure>,
}

/// What a successful request brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(!remote, transform = super::golden::open_variants))]
#[serde(rename_all = "snake_case", remote = "Self")]
#[non_exhaustive]
pub enum Answer {
    /// To `ping`.
    Pong,
    /// To `info`.
    Info(Box<Info>),
    /// To `reload`.
    Reloaded(Reloaded),
    /// To `connect`, `disconnect`, `status`, and to `passkey` for what is handed in.
    Status(Box<Status>),
    /// To `list`.
    Sessions(SessionsPage),
    /// To `force_logout`, and to `disconnect` of a session that was never paired.
    LoggedOut(Box<LogoutReport>),
    /// To `history`.
    History(HistoryPage),
    /// To `watch`: it has begun, and its state follows.
    Watching(Watching),
    /// To `groups`.
    Groups(Vec<Group>),
    /// To `targets`: the target groups now.
    Targets(Vec<GroupJid>),
    /// To `passkey`: the challenge.
    Passkey(PasskeyChallenge),
    /// To `proxy`: the proxy now.
    Proxy(SessionProxy),
    /// To `rotate_key`.
    RotatedKey(RotatedKey),
    /// A newer daemon gave an answer that this version does not know.
    #[serde(skip)]
    Unknown(UnknownName),
}

open_variants!(Answer:
    "pong", "info", "reloaded", "status", "sessions", "logged_out", "history", "watching", "groups",
    "targets", "passkey", "proxy", "rotated_key",
);

/// Some of the sessions, by user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SessionsPage {
    /// The sessions, without secrets.
    pub sessions: Vec<Status>,
    /// What to give as `after` for the next page; `None`: this is the last one. Each page is of its
    /// own moment: a client that needs the state of all sessions at one moment watches them.
    pub next: Option<UserId>,
}

/// Some of the sessions that ended, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistoryPage {
    /// The sessions that ended.
    pub entries: Vec<HistoryEntry>,
    /// What to give as `before` for the next page; `None`: there is nothing older. It means something
    /// to the daemon only. A place that the history has forgotten since has nothing older either.
    pub next: Option<String>,
}

/// How a watch begins. [`Message::Replayed`], [`Message::Present`] and [`Message::InSync`] follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Watching {
    /// The number of the daemon's run, for what the client may see.
    pub epoch: u64,
    /// The number of the last event the state includes; [`Message::InSync`] says the same one.
    pub seq: u64,
    /// Whether events between `since` and the first that is replayed are forgotten (the daemon
    /// remembers a bounded number), or `since` belongs to another run: then look into the history.
    pub gap: bool,
}
