//! What travels over the control socket: the types, their bytes, and the rules of the conversation.
//!
//! This module does no I/O and knows no clock. Its documentation is the specification of the
//! protocol, version 1; a program in any language can be written from it.
//!
//! # A conversation
//!
//! 1. **Frames.** Everything is framed: a big-endian `u32` length, then that many bytes, at most
//!    [`MAX_FRAME`] (1 MiB). A longer claim is refused before anything is allocated.
//! 2. **Preface.** The first frame in each direction is text, see [`preface`]. The client says
//!    `wasession/1 bincode` or `wasession/1 json` (a name for the client may follow); the daemon
//!    answers `wasession/1 ok wasessiond/<version>`, or `wasession/1 error <why>` and closes.
//! 3. **Messages.** After it, one message a frame in the chosen encoding, see [`codec`]. The client
//!    sends [`Request`]s; the daemon sends [`Message`]s: a [`Reply`] to each request, and
//!    [`Event`]s while a watch is open.
//!
//! Requests may be pipelined. Replies carry the request's `id` and come in the order in which they
//! are ready, so a slow one (a logout waits for the removal to be durable) blocks no other.
//! **A reply comes after its effects**: `ok` to a force-logout means that the data is gone.
//!
//! # Staying in step
//!
//! [`Command::Watch`] is answered by [`Watching`]: the state of everything asked for. Each [`Event`]
//! after it carries the whole [`Status`] that follows from it (`None`: the session is gone). A client
//! that replaces its copy with each one, as [`View::apply`] does, always has the daemon's state.
//!
//! # JSON
//!
//! The JSON encoding is the same types. Enums are externally tagged, in snake case:
//! `{"id":1,"command":{"connect":{"user":"alice","phone":null}}}`, `{"id":2,"command":"list"}`.
//! Fields are never left out: what is not known is `null`. Times are RFC 3339 in UTC.

mod account;
mod cause;
pub mod codec;
mod command;
mod event;
mod failure;
mod history;
mod info;
mod limits;
mod message;
pub mod preface;
mod redacted;
mod status;
mod user;
mod view;

pub use account::{Account, Group, GroupJid, InvalidGroupJid, InvalidPhone, PhoneNumber};
pub use cause::{Cause, UnknownCause, Unlink};
pub use command::{Command, Since, TargetEdit};
pub use event::{Event, EventKind};
pub use failure::{Failure, FailureCode};
pub use history::{HistoryEntry, LogoutReport, Removed};
pub use info::{Count, Info, Reloaded};
pub use limits::{
    DEFAULT_HISTORY, MAX_FRAME, MAX_GROUPS, MAX_HISTORY, MAX_ITEM, MAX_MESSAGE, MAX_NAME, MAX_PAGE,
    MAX_SECRET, MAX_TARGETS, MAX_TEXT, MAX_WATCHED,
};
pub use message::{Answer, HistoryPage, Message, Reply, Request, SessionsPage, Watching};
pub use redacted::Redacted;
pub use status::{Connecting, PairCode, Phase, Qr, Stage, Status};
pub use user::{InvalidUserId, UserId};
pub use view::View;
