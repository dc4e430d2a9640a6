//! What is outside the daemon hangs, fills up or jumps: a name server, the user database, a disk, the
//! clock, WhatsApp. It delays what waits for it, and nothing else.
//!
//! The real daemon against the simulator. What an outside is made of needs a C compiler, and root for
//! some of it; where that cannot be had, each test says so and passes.

#![allow(
    clippy::panic,
    clippy::match_wild_err_arm,
    reason = "a test that fails, fails"
)]

mod accounts;
mod clock;
#[path = "../rehearsal/daemon.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod daemon;
mod disk;
#[path = "../rehearsal/secrets/hunt.rs"]
mod hunt;
mod kernel;
mod load;
mod mounts;
mod preloaded;
mod raw;
mod resolver;
mod room;
#[path = "../skipped/mod.rs"]
mod skipped;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;
mod supervisor;
mod usage;
#[path = "../rehearsal/vault.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod vault;
mod watchdog;
mod whatsapp;
