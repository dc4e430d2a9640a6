//! The only place that knows `whatsapp-rust`.
//!
//! A [`Link`] is one connection of one session: it is opened, reports [`LinkEvent`]s in order, ends
//! with exactly one [`Ending`], and is closed. It never reconnects by itself (but for the one
//! reconnect that is part of a pairing), so every decision to try again is the session's.
//!
//! The session's task owns its link and closes it. Requests go through the link's [`LinkHandle`], run in
//! the link's [`Scope`], and end with it. After an `Ok` of [`Link::close`], no task of the link runs, no
//! blocking call of it is under way, no file of it is open, and nothing of it can write to the credentials.
//! Otherwise `close` returns what is [`StillRunning`], and that must end before another link is opened on
//! the same credentials.

mod auth;
mod backend;
mod dial;
mod ending;
mod endpoint;
mod event;
mod former;
mod gateway;
mod handle;
mod limits;
mod link;
mod monitor;
mod pair_code;
mod passkey;
mod phone;
mod presence;
mod proxy;
mod pump;
mod race;
#[cfg(all(test, not(feature = "simulator")))]
mod real_build;
mod resolver;
mod restart;
mod scope;
mod signal;
#[cfg(all(test, feature = "simulator"))]
mod simulator_build;
mod transfer;
mod tunnel;
mod version;
mod warnings;
mod web;

pub use auth::{Stored, look_into};
pub use backend::SpaceBackend;
pub use ending::{Ending, Pace, Verdict};
pub use endpoint::check_endpoint;
pub use event::{CodeRequest, LinkEvent, PairCodeRefused};
pub use gateway::{Gateway, GatewayError, GatewaySettings};
pub use handle::{AskError, LinkHandle};
pub use limits::{Limit, LimitState};
pub use link::{Expected, Link, LinkEvents, StillRunning};
pub use passkey::{Assertion, PasskeyEvent};
pub use presence::Presence;
pub use proxy::{Proxy, ProxyError};
pub use scope::Scope;
pub use warnings::DaemonWarnings;
