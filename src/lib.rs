//! `wasessiond` owns the WhatsApp linked-device sessions of many users on one machine, the way logind
//! owns logins. It keeps each session up, and when WhatsApp ends one it cleans up completely, tells
//! everyone who asked to know, and is ready for a new QR code, with no restart. `wactl` is its client.
//!
//! # The house
//!
//! A module may use what stands below it on its line, nothing above.
//!
//! ```text
//!   bin/wasessiond         bin/wactl    the two programs; each calls the main of its module
//!         |                    |
//!      daemon                 ctl       listener, connections, access, start and stop | the commands
//!      |    \                  |
//!      |   service             |        what every long-running program needs; knows no sessions
//!   supervisor                 |        all sessions: registry, routes, views
//!      |                       |
//!   session                  client     one session: task, state machine, logout | a connection to the daemon
//!      |                       |
//!   whatsapp                   |        the only place that knows whatsapp-rust
//!      |                       |
//!    store                     |        the only place that touches the disk
//!      |                       |
//!   blocking                   |        threads for calls that may hang
//!      |                       |
//!   protocol ------------------+        what travels over the socket: types and bytes, no I/O
//! ```
//!
//! `whatsapp` uses of `store` only the credentials' file, the file of WhatsApp's version, and a session's choice of a proxy. `daemon` uses [`client`] to ask whether another
//! daemon answers on its socket.
//!
//! Three modules stand beside the house, and all of the daemon may use them: `message_id` has the ids
//! that the journal's catalog explains, `deadline` says when something must be over, and `failpoint`
//! names the places where a rehearsal makes the daemon hang, fail or die.
//!
//! # Features
//!
//! `protocol` and [`client`] are always there and need only a handful of crates. `daemon` and `ctl`
//! (both default) bring the two programs. `service` is for any program that runs for a long time;
//! `daemon` switches it on. `simulator` builds a daemon that talks to `contrib/wasim` over loopback, and
//! to nothing else.

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
