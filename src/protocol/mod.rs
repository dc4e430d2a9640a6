//! What travels over the control socket: the types, their bytes, and the rules of the conversation.
//!
//! This module does no I/O and knows no clock. Its documentation is the specification of the
//! protocol, version 1; a program in any language can be written from it. The manual page
//! `contrib/man/wasession-protocol.7` says the same for those who write JSON, with a conversation byte
//! by byte; `contrib/schema/wasession-1.json` is its JSON Schema; `tests/golden` has the bytes of every
//! message in both encodings.
//!
//! # A conversation
//!
//! 1. **Frames.** Everything is framed: a big-endian `u32` length, then that many bytes, at most
//!    [`MAX_FRAME`] (1 MiB). A longer claim is refused before anything is allocated.
//! 2. **Preface.** The first frame in each direction is text, at most [`preface::MAX_LEN`] bytes, see
//!    [`preface`]. The client says `wasession/1 json` or `wasession/1 bincode/<revision>` (a space and a
//!    name for the client may follow); the daemon answers `wasession/1 ok wasessiond/<version>`, or
//!    `wasession/1 error <why>` and closes. The client waits for that before it sends more.
//! 3. **Messages.** After it, one message a frame in the chosen encoding, see [`codec`]. The client
//!    sends [`Request`]s; the daemon sends [`Message`]s: a [`Reply`] to each request, and while a watch
//!    is open what belongs to it.
//! 4. **The end.** Either side closes when it likes. A client that closes only its own half still gets
//!    the replies to what it asked; its watch ends. Where the daemon closes for a reason and something
//!    can still be said, the last message is [`Message::Closing`]. All requests that were read have
//!    their reply before it, those that are not done in time too
//!    ([`FailureCode::DeadlineExceeded`]): what has none was not begun. A daemon that stops closes with
//!    [`FailureCode::Stopping`], and a client may ask the next one the same again.
//!
//! Requests may be pipelined, and their `id` is the client's own affair: it is only repeated. Replies
//! come in the order in which they are ready, so a slow one (a logout waits for the removal to be
//! durable) blocks no other. **A reply comes after its effects**: `ok` to a force-logout means that the
//! data is gone. A client that goes away stops nothing that was begun.
//!
//! # Staying in step
//!
//! A [`Command::Watch`] is answered by [`Watching`], which is small. Then come, in this order and each
//! as a message of its own:
//!
//! 1. [`Message::Replayed`], any number, oldest first: only with `since`, for a log. The state includes
//!    them.
//! 2. [`Message::Present`], one for each session watched, by user: the state. All of them are of one
//!    moment, between the event with the number `seq` of [`Watching`] and the next one.
//! 3. [`Message::InSync`] with that `seq`: the state is complete.
//! 4. [`Message::Event`], for ever: what happens after `seq`, by number. Each carries the whole
//!    [`Status`] that follows from it; `None`: the session is gone, or is not this watcher's any more.
//!
//! To a reader that falls behind so far that events are lost to it, the daemon says [`Message::Lagged`]
//! in place of them, and then 2, 3 and 4 again. The client drops its state when it reads that. Replies
//! may stand between any two of these messages. A second watch on the same connection ends the first:
//! nothing of the first comes after the second [`Watching`].
//!
//! A client that replaces its copy with each one, as [`View::follow`] does, has the daemon's state
//! whenever it is in sync. Event numbers belong to an `epoch`: to one run of the daemon, and to what the
//! client may see. The numbers of a client that sees only its own sessions count only events of these. In
//! the answer to a watch with `since`, `gap` says that events in between were forgotten. Ends of sessions
//! are in the history then.
//!
//! Only a watch tells an order. The status in the answer to `connect`, `disconnect` or `status` is as it
//! was at some moment between the request and its reply, and has no number: an event that is read
//! before it may be newer, one that is read after it may be older. Show it, and let the watch decide.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | a frame | [`MAX_FRAME`], 1 MiB |
//! | a preface | [`preface::MAX_LEN`], 256 bytes |
//! | a status, an ended session | [`MAX_ITEM`], 240 KiB; texts in it are cut at [`MAX_TEXT`], names at [`MAX_NAME`], secrets at [`MAX_SECRET`] bytes, with an ellipsis at the end |
//! | the message of a failure | cut at [`MAX_MESSAGE`], 8 KiB |
//! | a page of `list` and `history` | [`MAX_PAGE`], 256 KiB |
//! | entries on a page of `history` | [`MAX_HISTORY`], 1000; [`DEFAULT_HISTORY`], 100, where nothing is said |
//! | the challenge of a passkey, and the answer to it | [`MAX_PASSKEY`], 64 KiB |
//! | the list of an account's groups | [`MAX_GROUPS`]; a longer one is [`FailureCode::TooLarge`] |
//! | target groups of a user | [`MAX_TARGETS`], 1000 |
//! | changes of a user's target groups that wait | 16; beyond it [`FailureCode::QuotaExceeded`] |
//! | users that the answer to `rotate_key` names | 100 |
//! | users that a watch names | [`MAX_WATCHED`], 1000 |
//! | requests of a connection under way | 32; then the daemon reads no more until one is answered |
//! | requests of a uid under way, on all its connections | 128; more wait for a slot, but not `force_logout`, nor those of admins |
//! | bytes of frames that arrive or wait | 2 MiB of a connection, 8 MiB of a uid, 32 MiB of all uids (of all admins 16 MiB); then the daemon reads no more until there is room. Frames of at most 1 KiB never wait |
//! | memory of requests that are carried out | 16 MiB of a uid, 64 MiB of all uids (of all admins 32 MiB); more requests wait |
//! | from the connection to the preface | 5 s |
//! | from the first byte of a frame to its last | 10 s; between frames a client may be silent for ever |
//! | a client that does not read what is sent to it | 30 s, then it is disconnected |
//! | events that a watch may fall behind | 4096, or fewer that fill 8 MiB; then it has lagged |
//! | events that can be replayed | the last 4096, or fewer that fill 8 MiB |
//! | sessions that a uid begins that is no admin | 8 at once, then one in 5 s; beyond it [`FailureCode::RateLimited`] with `retry_after` |
//! | connections of a uid, and sessions | the configuration's; beyond it a preface or a failure says so |
//!
//! # Failures
//!
//! A request that cannot be done is a [`Failure`] in its reply, with a [`FailureCode`] to branch on, and
//! the connection goes on. A frame that cannot be read ends the connection with
//! [`FailureCode::InvalidRequest`], with one exception: a JSON frame that is an object with a number
//! `id` and a `command` gets its reply. Then an unknown command is [`FailureCode::UnknownCommand`], and
//! a known one with wrong fields [`FailureCode::InvalidRequest`].
//!
//! # JSON
//!
//! The JSON encoding is the same types. Enums are externally tagged, in snake case; a variant without
//! data is its name as a string, one with data an object with the name as its only key:
//! `{"id":1,"command":{"connect":{"user":"alice","phone":null}}}`, `{"id":2,"command":"ping"}`. The
//! result of a reply is `{"Ok": ..}` or `{"Err": ..}`. The daemon leaves no field out: what is not known
//! is `null`. In requests a field that may be `null` may be left out. Times are RFC 3339 in UTC. No
//! number that the daemon makes up is above 2^53.
//!
//! # What may change within version 1
//!
//! **What there is stays**: names, the meaning and the type of fields, and which field may be `null`.
//! Texts for people may change at any time. Everything else may grow:
//!
//! - **A field** may be added to any object. Readers pass over a field that they do not know. It is
//!   optional or has a default, since an older daemon does not send it.
//! - **A name** may be added: a phase, a stage, a step, a cause, a result of an unlink, a kind of restriction
//!   or warning, a source of a key, a failure code, an event kind, an answer, a message. The types here keep it in a variant `Unknown`, and tell it further as it
//!   was. Show an unknown phase by its [`Status::next_action`], an unknown event by its name and the
//!   status it carries, an unknown failure by its message. Pass over an unknown message. An unknown answer
//!   ends its own request, and not the connection.
//! - **A command** may be added. An older daemon answers [`FailureCode::UnknownCommand`].
//! - **A field of a command** may be added, and an older daemon passes over it. So it may only refine what
//!   the command does. What must not be passed over is a command of its own, or a new alternative where
//!   there are some already, as in [`TargetEdit`]: an older daemon refuses both.
//!
//! Two things never depend on names that a client may not know. Only the answer [`Watching`],
//! [`Message::Lagged`], [`Message::Present`], [`Message::InSync`] and [`Message::Event`] change the state
//! that a watch tells. And the end of a session is always [`EventKind::LoggedOut`] or
//! [`EventKind::PairingExpired`].
//!
//! **bincode** has no names and no lengths of structs: a variant is its index, and a field its place. It
//! cannot grow, so it is spoken only between equal revisions
//! ([`BINCODE_REVISION`](preface::BINCODE_REVISION)), and may change with each. It is for programs in Rust
//! that use the same release as the daemon, and it is never needed.
//!
//! Whatever else changes is `wasession/2`.
//!
//! # Who meets whom
//!
//! | client | daemon | |
//! |---|---|---|
//! | JSON, older | newer | shows new names, passes over new fields and messages |
//! | JSON, newer | older | a new command is [`FailureCode::UnknownCommand`], and the connection goes on; a new field is passed over; new fields are not in the answers |
//! | bincode | of the same revision | they speak bincode |
//! | bincode | of another revision | `wasession/1 error bincode/<revision> is spoken here, ..`, and closes; [`Client::connect`](crate::client::Client::connect) connects again and speaks JSON |
//! | bincode without a revision | any | the same words |
//! | `wasession/2` | of this version | `wasession/1 error version 2 of the protocol is not spoken here, ..`, and closes |
//! | of this version | `wasession/2` | its preface begins with `wasession/2`: the client knows that the daemon is newer, whatever follows |
//! | an encoding that is not known | any | `wasession/1 error the encoding must be ..`, and closes |
//!
//! A client that wants to know beforehand asks for [`Info`], whose version is the daemon's.

mod account;
mod cause;
pub mod codec;
mod command;
mod event;
mod failure;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
pub(crate) mod golden;
mod history;
mod info;
mod limits;
mod master_key;
mod message;
mod name;
mod open;
mod passkey;
pub mod preface;
mod proxy;
mod redacted;
mod restriction;
mod status;
mod user;
mod view;
mod warning;

pub use account::{Account, Group, GroupJid, InvalidGroupJid, InvalidPhone, PhoneNumber};
pub use cause::{Cause, Unlink};
pub use command::{Command, Since, TargetEdit};
pub use event::{Event, EventKind};
pub use failure::{Failure, FailureCode};
#[cfg(feature = "daemon")]
pub(crate) use history::removed_soon;
pub use history::{HistoryEntry, LogoutReport, REMOVED_SOON, Removed};
pub use info::{Count, Info, Reloaded};
pub use limits::{
    DEFAULT_HISTORY, MAX_FRAME, MAX_GROUPS, MAX_HISTORY, MAX_ITEM, MAX_MESSAGE, MAX_NAME,
    MAX_NOTES, MAX_PAGE, MAX_PASSKEY, MAX_SECRET, MAX_TARGETS, MAX_TEXT, MAX_WATCHED,
};
pub use master_key::{KeySource, LeftKey, MasterKey, RotatedKey};
pub use message::{Answer, HistoryPage, Message, Reply, Request, SessionsPage, Watching};
pub use name::UnknownName;
pub use passkey::{Passkey, PasskeyAction, PasskeyChallenge, PasskeyStep};
pub use proxy::{ProxyEdit, ProxySource, SessionProxy};
pub use redacted::Redacted;
pub use restriction::{Restriction, RestrictionKind};
pub use status::{Connecting, PairCode, Phase, Qr, Stage, Status};
pub use user::{InvalidUserId, UserId};
pub use view::View;
pub use warning::{Warning, WarningKind};
