//! The daemon as a citizen of a real systemd: the units that are shipped, in a systemd that is booted
//! for the test, with the journal, against the simulator. Each test has a systemd of its own.
//!
//! It needs root, and a kernel that lets it make namespaces. Where it cannot, each test says so and
//! passes.

// Helpers of tests fail as tests do.
#![allow(clippy::panic)]

mod crowd;
#[path = "../debian/mod.rs"]
mod debian;
mod follower;
mod install;
mod journal;
mod lab;
mod life;
mod master_key;
mod network;
mod package;
mod reload;
mod security;
#[path = "../skipped/mod.rs"]
mod skipped;
mod stage;
mod stop;
mod user;
mod watchdog;
