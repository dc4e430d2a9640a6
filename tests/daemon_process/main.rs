//! The real `wasessiond`, as a process: how it starts, refuses to start, reloads, stops, and talks
//! to systemd. Each test has its own directory and its own daemon.
#![cfg(feature = "daemon")]
// Helpers of tests fail as tests do, and say what could not be tested.
#![allow(clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod abuse;
#[cfg(feature = "simulator")]
mod access;
mod attacks;
mod configuration;
mod limits;
mod neighbour;
mod process;
mod refusals;
mod reload;
#[path = "../skipped/mod.rs"]
mod skipped;
mod start;
mod state_directory;
mod stop;
mod systemd;
