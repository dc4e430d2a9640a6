//! What every long-running program needs, and nothing about sessions: its environment, layered
//! configuration, logging, signals, the service manager's notifications, descriptors that systemd
//! passes, and exit statuses.
//!
//! Nothing in here ends the process, reads a global but the environment once, or knows a key of a
//! configuration.

// Without the daemon nothing in this crate uses all of it; another program's feature will.
#![cfg_attr(
    not(feature = "daemon"),
    allow(dead_code, unused_imports, unused_macros)
)]

pub mod config;
pub mod environment;
pub(crate) mod inherited;
pub mod logging;
pub mod notify;
pub mod signals;
pub mod status;
