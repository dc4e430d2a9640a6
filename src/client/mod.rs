//! A connection to the daemon: what `wactl` uses, and any other program in Rust may.
//!
//! It needs nothing of WhatsApp, so depend on the crate with `default-features = false`.
//!
//! # A session, kept up
//!
//! [`Client::follow`] reports the state and then everything that happens, for as long as the program runs:
//! it survives restarts of the daemon, and no end of a session is lost by one.
//!
//! ```no_run
//! use std::error::Error;
//! use wasessiond::client::{Client, FollowItem, Options, socket_path};
//! use wasessiond::protocol::{EventKind, Status, UserId};
//!
//! # fn draw(_: &str) {}
//! # async fn example() -> Result<(), Box<dyn Error>> {
//! let client = Client::connect(&socket_path(None), Options::default()).await?;
//! let alice: UserId = "alice".parse()?;
//! let show = |status: Option<&Status>| {
//!     let qr = status.and_then(|status| status.qr.as_ref());
//!     if let Some(code) = qr.and_then(|qr| qr.code.as_ref()) {
//!         draw(code.reveal()); // with any QR library; `wactl qr alice` draws it, too
//!     }
//! };
//!
//! // First the watch, then the command: nothing that follows from it can be missed.
//! let mut follow = client.follow(["alice"], None).await?;
//! loop {
//!     let item = follow.next().await?;
//!     if let Some(ended) = item.ended() {
//!         println!("alice is logged out: {}", ended.cause);
//!     }
//!     match &item {
//!         // As it is, at the start and whenever the daemon was away.
//!         FollowItem::State(_) => {
//!             show(follow.view().get(&alice));
//!             follow.client().connect_session("alice", None).await?;
//!         }
//!         FollowItem::Event(event) => match &event.kind {
//!             EventKind::Qr => show(event.status.as_ref()),
//!             // A fresh QR code, at once.
//!             EventKind::LoggedOut(_) => {
//!                 follow.client().connect_session("alice", None).await?;
//!             }
//!             other => println!("alice: {other}"),
//!         },
//!         FollowItem::Lost(error) => println!("waiting for the daemon: {error}"),
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! Where one connection is enough, [`Client::watch`] is the same without the reconnect.
//!
//! # What it promises
//!
//! - Requests are pipelined: every method takes `&self`, a [`Client`] is cheap to clone, and a slow
//!   request holds up no other.
//! - A request that is dropped or runs into its timeout is forgotten here. The daemon may still do
//!   it: ask again for the state.
//! - [`Client::list`] and [`Client::history`] read page after page, so there may be more sessions than
//!   fit into a frame; [`Client::watch`] returns when the whole state is here.
//! - A [`Watch`] that nobody reads holds up nothing, and keeps a bounded number of events. When they are
//!   more, one [`WatchItem::Lagged`] takes the place of the old ones. The end of a session is kept while
//!   there is room, and is in the history in any case.
//! - When the connection ends, every request and every watch learns why. A client does not connect
//!   again by itself: make a new one, and [`Watch::resume`] on it. A [`Follow`] does, and reports each
//!   end of a session exactly once, from an event or from the history.
//! - A daemon of another release is no problem. Where it speaks another revision of bincode,
//!   [`Client::connect`] speaks JSON. What only a newer daemon knows is kept by its name, in a variant
//!   `Unknown`: have a branch for it, and show the status's `next_action` and the event's name.

mod commands;
mod connection;
mod ends;
mod error;
mod feed;
mod follow;
mod options;
mod router;
mod socket;
mod watch;

pub use commands::{ConnectOptions, Disconnected};
pub use connection::Client;
pub use error::ClientError;
pub use follow::{Follow, FollowItem};
pub use options::Options;
pub use socket::{SOCKET_VARIABLE, SYSTEM_SOCKET, socket_path};
pub use watch::{Snapshot, Watch, WatchItem};

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
