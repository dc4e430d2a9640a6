//! What is shipped besides the programs: the default configuration, the manual pages, the completions,
//! the packages.
//!
//! The manual pages and the completions are made from the programs' own definitions and checked in. A
//! test fails when they differ; `BLESS=1 cargo test --test shipped checked_in` writes them anew.
#![cfg(all(feature = "daemon", feature = "ctl"))]
// Helpers of tests fail as tests do.
#![allow(clippy::panic)]

mod completions;
mod configuration;
#[path = "../debian/mod.rs"]
mod debian;
mod manual;
mod package;
#[path = "../skipped/mod.rs"]
mod skipped;
mod tree;
