//! The daemon around the sessions: its configuration, its socket and who may use it, and how it starts,
//! reloads and stops.
//!
//! [`run()`] is the whole daemon. What it depends on comes in as arguments, so that a test can run one
//! inside its own process.

pub mod access;
pub mod allowance;
pub mod budget;
pub mod config;
pub mod connection;
pub mod error;
#[cfg(test)]
#[path = "../../tests/harness/daemon.rs"]
pub(crate) mod harness;
pub mod in_force;
mod info;
pub mod listener;
pub mod permits;
pub mod places;
mod program;
mod readable;
pub mod refusals;
mod reload;
mod run;
pub mod socket;
pub mod source;
pub mod state;
mod watchdog;

pub use error::DaemonError;
pub use program::{command, main, main_with};
pub use run::{ExitReason, Options, Setup, run};
