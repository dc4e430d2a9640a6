//! The whole, as it is run: the real daemon, driving the real client library over a real WebSocket to
//! the simulator, with the real client at its socket and a directory of its own.
//!
//! Needs the feature `simulator`.

#![allow(
    clippy::panic,
    clippy::match_wild_err_arm,
    clippy::match_wildcard_for_single_variants,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that fails, fails: what is lint-worthy in a daemon is the point here"
)]

mod account;
mod births;
mod blast;
mod conflict;
mod conformance;
mod conversation;
mod crash;
mod daemon;
mod faults;
mod follow;
mod forced;
#[cfg(feature = "ctl")]
mod history;
mod lifecycle;
mod linking;
mod master_key;
mod model;
mod obstacles;
mod pairing;
mod panic;
mod proxies;
#[path = "../harness/proxy.rs"]
mod proxy;
mod races;
#[path = "../harness/relay.rs"]
mod relay;
mod revisions;
mod samples;
#[cfg(feature = "ctl")]
mod secrets;
mod signals;
#[path = "../skipped/mod.rs"]
mod skipped;
mod stage;
mod storm;
mod stuck;
mod targets;
mod vault;
mod verbs;
