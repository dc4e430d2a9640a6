//! What a client may ask for.

use serde::{Deserialize, Serialize};

/// What a client asks the daemon to do. Every command is legal in every state of a session.
///
/// Users, phone numbers and JIDs travel as plain strings here and are checked by the daemon, so that
/// a wrong one gets a [`Failure`](super::Failure) that names it, and the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Are you there? Answer: [`Answer::Pong`](super::Answer::Pong).
    Ping,
    /// About the daemon. Answer: [`Answer::Info`](super::Answer::Info).
    Info,
    /// Read the configuration again. Admins only. Answer: [`Answer::Reloaded`](super::Answer::Reloaded).
    Reload,
    /// Bring a session up. Idempotent: online says so; credentials there: restores without a QR code;
    /// none: pairs, by QR code, or by pair code where a phone number is given.
    /// Answer: [`Answer::Status`](super::Answer::Status), as soon as the session's task runs; follow
    /// it with [`Command::Watch`].
    Connect {
        /// The user.
        user: String,
        /// The account's phone number in E.164 form, to pair by code.
        phone: Option<String>,
    },
    /// Close a session's link, keep its credentials, and stay closed over a restart of the daemon.
    /// A session that is still pairing has nothing to keep: it is removed.
    /// Answer: [`Answer::Status`](super::Answer::Status), or [`Answer::LoggedOut`](super::Answer::LoggedOut)
    /// for the removed pairing.
    Disconnect {
        /// The user.
        user: String,
    },
    /// Unlink the device at WhatsApp if it can be reached in time, then remove everything.
    /// Answer: [`Answer::LoggedOut`](super::Answer::LoggedOut), when the removal is durable.
    ForceLogout {
        /// The user.
        user: String,
    },
    /// One session. Answer: [`Answer::Status`](super::Answer::Status).
    Status {
        /// The user.
        user: String,
    },
    /// Every session the caller may see, by user, without secrets.
    /// Answer: [`Answer::Sessions`](super::Answer::Sessions).
    List,
    /// Present state, then every change until the connection closes.
    /// Answer: [`Answer::Watching`](super::Answer::Watching). One watch a connection: a second one
    /// replaces the first.
    Watch {
        /// These users; none named: everyone the caller may see, now and later.
        users: Vec<String>,
        /// Also what happened after this, as far as it is still remembered.
        since: Option<Since>,
    },
    /// Sessions that ended, newest first. Answer: [`Answer::History`](super::Answer::History).
    History {
        /// Only this user's.
        user: Option<String>,
        /// At most this many.
        limit: Option<u32>,
    },
    /// The account's groups, asked from WhatsApp. Answer: [`Answer::Groups`](super::Answer::Groups).
    Groups {
        /// The user.
        user: String,
    },
    /// Show or change the target groups. Answer: [`Answer::Targets`](super::Answer::Targets), when
    /// the change is durable.
    Targets {
        /// The user.
        user: String,
        /// What to do.
        edit: TargetEdit,
    },
}

/// Where a watcher left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The run of the daemon the number belongs to; `None`: the present one.
    pub epoch: Option<u64>,
    /// The number of the last event seen.
    pub seq: u64,
}

/// A change of the target groups. A group that is added must be one of the account's, so WhatsApp is
/// asked; removing and clearing works without WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEdit {
    /// Change nothing.
    Show,
    /// Exactly these.
    Set(Vec<String>),
    /// These too.
    Add(Vec<String>),
    /// Not these.
    Remove(Vec<String>),
    /// None.
    Clear,
}
