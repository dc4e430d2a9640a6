//! Orders to the registry's loop.

use tokio::sync::oneshot;

use super::super::caller::Caller;
use super::Handed;
use crate::protocol::UserId;
use crate::session::SessionCommand;

/// An order to the registry's loop.
pub(in super::super) enum Order {
    /// Begin a session.
    Begin(Box<Begin>),
    /// Is the loop alive?
    Probe(oneshot::Sender<()>),
    /// End every task that has not ended by itself.
    EndAll,
}

/// A session that is to begin, if there is none, with a `connect` as its first command.
pub(in super::super) struct Begin {
    pub(in super::super) caller: Caller,
    pub(in super::super) user: UserId,
    pub(in super::super) command: SessionCommand,
    /// What happened to the command.
    pub(in super::super) reply: oneshot::Sender<Handed>,
}
