//! `wasessiond` owns the WhatsApp linked-device sessions of many users on one machine, the way logind
//! owns logins. It keeps each session up, and when WhatsApp ends one it cleans up completely, tells
//! everyone who asked to know, and is ready for a new QR code, with no restart. `wactl` is its client.
//!
//! # The house
//!
//! A module may use what stands below it, nothing above.
//!
//! ```text
//!   daemon               ctl        the two programs, without their few lines of main
//!      service             |        what every long-running program needs; knows no sessions
//!   supervisor           client     all sessions | a connection to the daemon
//!   session                |        one session: the task, the pure state machine, the logout
//!   whatsapp   store       |        the only place that knows WhatsApp | that touches the disk
//!       blocking           |        where calls that may hang run
//!       protocol  ---------+        what travels over the socket; types and bytes, no I/O
//! ```
//!
//! Beside it stand `message_id`, the names under which the journal knows what happens, `deadline`, the
//! time that something may take, and `failpoint`, the places where a rehearsal makes the daemon fail.
//!
//! # Features
//!
//! `protocol` and [`client`] are always there and need only a handful of crates. `daemon` and `ctl`
//! (both default) bring the two programs; `simulator` builds a daemon that talks to `contrib/wasim`
//! over loopback, and to nothing else. `service` is what a program needs that runs for long; `daemon`
//! brings it along, and it knows neither WhatsApp nor the disk of the sessions.

// In the simulator an `expect` names its invariant; in the daemon there is none to name.
#![cfg_attr(not(test), warn(clippy::expect_used))]

#[cfg(feature = "daemon")]
pub mod blocking;
pub mod client;
#[cfg(feature = "ctl")]
pub mod ctl;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod deadline;
#[cfg(feature = "daemon")]
mod failpoint;
#[cfg(feature = "service")]
pub mod message_id;
pub mod protocol;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "daemon")]
pub mod session;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod supervisor;
#[cfg(feature = "daemon")]
pub mod whatsapp;
