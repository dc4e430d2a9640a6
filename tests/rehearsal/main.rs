//! The whole, as it is run: the real daemon, driving the real client library over a real WebSocket to
//! the simulator, with the real client at its socket and a directory of its own.
//!
//! Needs the feature `simulator`.

mod conflict;
mod daemon;
mod forced;
mod lifecycle;
mod obstacles;
mod pairing;
mod stage;
mod targets;
