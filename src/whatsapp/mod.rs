//! The only place that knows `whatsapp-rust`.
//!
//! A [`Link`] is one connection of one session: it is opened, reports [`LinkEvent`]s in order, ends
//! with exactly one [`Ending`], and is closed. It never reconnects by itself (but for the one
//! reconnect that is part of a pairing), so every decision to try again is the session's.
//!
//! When [`Link::close`] has returned, no task of the link runs, no blocking call of it is under way,
//! and nothing of it can write to the credentials any more.

mod auth;
mod dial;
mod ending;
mod endpoint;
mod event;
mod gateway;
mod link;
mod monitor;
mod pump;
#[cfg(all(test, not(feature = "simulator")))]
mod real_build;
mod restart;
mod scope;
mod signal;
mod version;

pub use auth::{BUSY, CredentialsError, Stored, look_into};
pub use ending::{Ending, Pace, Verdict};
pub use endpoint::check_endpoint;
pub use event::{LinkEvent, PairCodeRefused};
pub use gateway::{Gateway, GatewayError, GatewaySettings, check_proxy};
pub use link::{AskError, Expected, Link, StillRunning};
pub use scope::Scope;
