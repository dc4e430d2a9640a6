//! The daemon around the sessions: its configuration, its socket and who may use it, its log, and
//! how it starts, reloads and stops.
//!
//! [`run()`] is the whole daemon. What it depends on comes in as arguments, so that a test can run one
//! inside its own process.

pub mod access;
#[cfg(test)]
pub(crate) mod bench;
pub mod config;
pub mod connection;
pub mod environment;
pub mod error;
mod info;
mod inherited;
pub mod listener;
pub mod logging;
pub mod permits;
mod program;
pub mod refusals;
mod reload;
mod run;
pub mod signals;
pub mod socket;
pub mod source;
pub mod state;
pub mod systemd;

pub use error::DaemonError;
pub use program::{command, main, main_with};
pub use run::{ExitReason, Options, Setup, run};
