//! The daemon around the sessions: its configuration, its socket and who may use it, and how it starts,
//! reloads and stops.
//!
//! `run` is the whole daemon. Everything that it depends on comes in as an argument.

pub mod access;
mod alarms;
pub mod allowance;
mod budget;
pub mod config;
pub mod connection;
mod error;
#[cfg(test)]
#[path = "../../tests/harness/daemon.rs"]
pub(crate) mod harness;
mod in_force;
mod info;
mod listener;
mod permits;
pub mod places;
mod program;
mod readable;
mod refusals;
mod reload;
mod run;
mod socket;
pub mod source;
pub mod state;
mod watchdog;

pub use program::{command, main, main_with};
