//! What a client may ask for.

use serde::{Deserialize, Serialize};

use super::{PasskeyAction, ProxyEdit, Redacted};

/// What a client asks the daemon to do. Every command is legal in every state of a session.
///
/// Users, phone numbers and JIDs travel as plain strings here and are checked by the daemon, so that
/// a wrong one gets a [`Failure`](super::Failure) that names it, and the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
        /// The phone number in E.164 form of the account that is expected. Where another account is linked,
        /// it is unlinked again, and the session ends with the cause `wrong_account`.
        expect: Option<String>,
        /// The proxy of a session that begins now, from its first connection on: a URL like that of
        /// [`ProxyEdit::Set`], or `none`. A session that is there already is refused another one than it
        /// has; [`Command::Proxy`] changes it.
        proxy: Option<Redacted>,
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
    /// The sessions the caller may see, by user, without secrets: a page of them, of at most
    /// [`MAX_PAGE`](super::MAX_PAGE) bytes.
    /// Answer: [`Answer::Sessions`](super::Answer::Sessions).
    List {
        /// Only users after this one, in the order of their ids' bytes: the
        /// [`SessionsPage::next`](super::SessionsPage::next) of the page before; `None`: the first
        /// page.
        after: Option<String>,
    },
    /// The present state, then every change until the connection closes.
    /// Answer: [`Answer::Watching`](super::Answer::Watching); the state follows it, message by
    /// message. One watch a connection: a second one replaces the first.
    Watch {
        /// These users, at most [`MAX_WATCHED`](super::MAX_WATCHED); none named: everyone the caller
        /// may see, now and later.
        users: Vec<String>,
        /// Also what happened after this, as far as it is still remembered.
        since: Option<Since>,
    },
    /// Sessions that ended, newest first: a page of them, of at most
    /// [`MAX_PAGE`](super::MAX_PAGE) bytes. Answer: [`Answer::History`](super::Answer::History).
    History {
        /// Only this user's.
        user: Option<String>,
        /// At most this many: [`DEFAULT_HISTORY`](super::DEFAULT_HISTORY) where nothing is said, and
        /// never more than [`MAX_HISTORY`](super::MAX_HISTORY).
        limit: Option<u32>,
        /// Only older ones than this place: the [`HistoryPage::next`](super::HistoryPage::next) of the
        /// page before; `None`: from the newest.
        before: Option<String>,
    },
    /// The account's groups, asked from WhatsApp. Answer: [`Answer::Groups`](super::Answer::Groups);
    /// a list that fits into no frame is
    /// [`FailureCode::TooLarge`](super::FailureCode::TooLarge).
    Groups {
        /// The user.
        user: String,
    },
    /// Show or change the target groups, of which there may be [`MAX_TARGETS`](super::MAX_TARGETS).
    /// Answer: [`Answer::Targets`](super::Answer::Targets), when the change is durable.
    Targets {
        /// The user.
        user: String,
        /// What to do.
        edit: TargetEdit,
    },
    /// A step of a pairing for which WhatsApp wants a passkey: fetch the challenge, hand in the answer,
    /// confirm the code. [`Status::passkey`](super::Status::passkey) says which step is due; any other is
    /// [`FailureCode::NotAwaited`](super::FailureCode::NotAwaited).
    Passkey {
        /// The user.
        user: String,
        /// What to do.
        action: PasskeyAction,
    },
    /// Show or change the proxy through which a session reaches WhatsApp.
    /// Answer: [`Answer::Proxy`](super::Answer::Proxy), when the change is durable and in force.
    Proxy {
        /// The user.
        user: String,
        /// What to do.
        edit: ProxyEdit,
    },
    /// Make another key the master key, which wraps the keys of all sessions; finish the rotation before it
    /// first. Admins only. Answer: [`Answer::RotatedKey`](super::Answer::RotatedKey), when every key is wrapped
    /// anew that can be. [`FailureCode::NotNow`](super::FailureCode::NotNow) while a rotation is under way, and
    /// where the master key is a credential, which only the administrator of the service can change.
    RotateKey,
}

impl Command {
    /// The names of all commands as they stand in JSON.
    pub const NAMES: &'static [&'static str] = &[
        "ping",
        "info",
        "reload",
        "connect",
        "disconnect",
        "force_logout",
        "status",
        "list",
        "watch",
        "history",
        "groups",
        "targets",
        "passkey",
        "proxy",
        "rotate_key",
    ];

    /// The name as it stands in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Info => "info",
            Self::Reload => "reload",
            Self::Connect { .. } => "connect",
            Self::Disconnect { .. } => "disconnect",
            Self::ForceLogout { .. } => "force_logout",
            Self::Status { .. } => "status",
            Self::List { .. } => "list",
            Self::Watch { .. } => "watch",
            Self::History { .. } => "history",
            Self::Groups { .. } => "groups",
            Self::Targets { .. } => "targets",
            Self::Passkey { .. } => "passkey",
            Self::Proxy { .. } => "proxy",
            Self::RotateKey => "rotate_key",
        }
    }
}

/// Where a watcher left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Since {
    /// The `epoch` that the number belongs to; `None`: that of the present run.
    pub epoch: Option<u64>,
    /// The number of the last event seen.
    pub seq: u64,
}

/// A change of the target groups. A group that is added must be one of the account's, so WhatsApp is
/// asked; removing and clearing works without WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
