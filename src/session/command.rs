//! The commands to a session's task, and their replies.

use tokio::sync::oneshot;

use super::pairing::PairOptions;
use crate::deadline::Deadline;
use crate::protocol::{
    Failure, Group, GroupJid, LogoutReport, PasskeyAction, PasskeyChallenge, ProxyEdit,
    SessionProxy, Status, TargetEdit,
};

/// The reply to a logout: what became of it.
pub type LogoutReply = oneshot::Sender<Result<LogoutReport, Failure>>;

/// A command to a session's task. It carries the channel for its reply, and, where WhatsApp or the disk
/// is asked, the deadline of the reply. The reply comes after the effects. When nobody waits for the reply
/// any more, it is dropped; the effects stand.
#[derive(Debug)]
pub enum SessionCommand {
    /// Bring it up.
    Connect {
        /// How to pair it, where it must be.
        options: PairOptions,
        /// The session as it is then; with a phone number, when there is a code.
        reply: oneshot::Sender<Result<Status, Failure>>,
    },
    /// Close it and keep the credentials.
    Disconnect {
        /// Who asked.
        by: u32,
        /// The session as it is then; or, for a pairing, that it is gone.
        reply: oneshot::Sender<Result<Disconnected, Failure>>,
    },
    /// Unlink and remove everything.
    ForceLogout {
        /// Who asked.
        by: u32,
        /// By when it is done, or answered with what is left and why.
        deadline: Deadline,
        /// That it is gone.
        reply: LogoutReply,
    },
    /// Ask WhatsApp for the groups.
    Groups {
        /// By when.
        deadline: Deadline,
        /// The groups.
        reply: oneshot::Sender<Result<Vec<Group>, Failure>>,
    },
    /// Do a step of a pairing for which WhatsApp wants a passkey.
    Passkey {
        /// Which.
        action: PasskeyAction,
        /// By when WhatsApp must have taken it.
        deadline: Deadline,
        /// The challenge, or the session as it is then.
        reply: oneshot::Sender<Result<PasskeyReply, Failure>>,
    },
    /// Show or change the target groups.
    Targets {
        /// The change.
        edit: TargetEdit,
        /// By when WhatsApp must have answered whose groups the new ones are.
        deadline: Deadline,
        /// The target groups after it.
        reply: oneshot::Sender<Result<Vec<GroupJid>, Failure>>,
    },
    /// Show or change the proxy.
    Proxy {
        /// Who asked.
        by: u32,
        /// The change.
        edit: ProxyEdit,
        /// The proxy after it.
        reply: oneshot::Sender<Result<SessionProxy, Failure>>,
    },
}

/// The reply to a step of a pairing that needs a passkey.
#[derive(Debug, Clone)]
pub enum PasskeyReply {
    /// The challenge.
    Challenge(Box<PasskeyChallenge>),
    /// WhatsApp has taken what was handed in.
    Taken(Box<Status>),
}

/// What `disconnect` did.
#[derive(Debug, Clone)]
pub enum Disconnected {
    /// Closed; the credentials are kept.
    Kept(Box<Status>),
    /// It was never paired, so there was nothing to keep: it is gone.
    Gone(Box<LogoutReport>),
}

impl SessionCommand {
    /// Answers it with a failure.
    pub fn refuse(self, failure: Failure) {
        match self {
            Self::Connect { reply, .. } => drop(reply.send(Err(failure))),
            Self::Disconnect { reply, .. } => drop(reply.send(Err(failure))),
            Self::ForceLogout { reply, .. } => drop(reply.send(Err(failure))),
            Self::Groups { reply, .. } => drop(reply.send(Err(failure))),
            Self::Passkey { reply, .. } => drop(reply.send(Err(failure))),
            Self::Targets { reply, .. } => drop(reply.send(Err(failure))),
            Self::Proxy { reply, .. } => drop(reply.send(Err(failure))),
        }
    }
}
