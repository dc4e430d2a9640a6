//! The views: the present state of all sessions, the last events, the watchers, and counts.
//!
//! Every session writes to the [`Board`], and nothing here knows the sessions' tasks. So a session that is
//! busy or hangs delays no answer.

mod board;
mod census;
mod index;
mod page;
mod ring;
mod scope;
#[cfg(test)]
mod tests;
mod watcher;
mod watchers;
mod weight;

pub(super) use board::Board;
pub use census::Census;
pub(super) use page::{fill, json_len};
pub use watcher::Watcher;
