//! A real client chats with simulated people: both ways, in every kind of chat, and with everything that goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod client;
mod contents;
mod direct;
mod group;
mod http;
mod media;
mod offline;
mod refusal;
mod retry;
mod seen;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

/// Longer than anything here takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_mins(1);

/// The phone of the account whose device is tested.
const PHONE: &str = "15550001001";

/// Somebody who writes.
const CONTACT: &str = "15559990001";

/// Somebody else who does.
const OTHER: &str = "15559990002";
