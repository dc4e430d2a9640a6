//! A connection to the daemon: what `wactl` uses, and any other program in Rust may.
//!
//! It needs nothing of WhatsApp, so depend on the crate with `default-features = false`.
//!
//! ```no_run
//! use std::error::Error;
//! use wasessiond::client::{Client, Options, WatchItem, socket_path};
//!
//! # async fn example() -> Result<(), Box<dyn Error>> {
//! let client = Client::connect(&socket_path(None), Options::default()).await?;
//!
//! // First the watch, then the command: nothing that follows from it can be missed.
//! let mut watch = client.watch(["alice"], None).await?;
//! for session in watch.beginning().sessions() {
//!     println!("{} is {}", session.user, session.phase);
//! }
//! client.connect_session("alice", None).await?;
//! loop {
//!     match watch.next().await? {
//!         // `watch.view()` has it already.
//!         WatchItem::Event(event) => {
//!             if let Some(ended) = event.kind.ended() {
//!                 println!("alice: {}", ended.cause);
//!                 break;
//!             }
//!             println!("alice: {}", event.kind);
//!         }
//!         // Too slow: some events are lost, but `watch.view()` is right again.
//!         WatchItem::Lagged { missed, .. } => println!("{missed} events missed"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Requests are pipelined: every method takes `&self`, a [`Client`] is cheap to clone, and a slow
//!   request holds up no other.
//! - A request that is dropped or runs into its timeout is forgotten here. The daemon may still do
//!   it: ask again for the state.
//! - [`Client::list`] and [`Client::history`] read page after page, so there may be more sessions than
//!   fit into a frame; [`Client::watch`] returns when the whole state is here.
//! - A [`Watch`] that nobody reads holds up nothing and grows to no more than a bounded number of
//!   events; then the old ones make place for one [`WatchItem::Lagged`]. The end of a session is
//!   kept while there is room, and is in the history in any case.
//! - When the connection ends, every request and every watch learns why. A client does not connect
//!   again by itself: make a new one, and [`Watch::resume`] on it.

mod commands;
mod connection;
mod error;
mod feed;
mod options;
mod router;
mod socket;
mod watch;

pub use commands::Disconnected;
pub use connection::Client;
pub use error::ClientError;
pub use options::Options;
pub use socket::{SOCKET_VARIABLE, SYSTEM_SOCKET, socket_path};
pub use watch::{Snapshot, Watch, WatchItem};

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
