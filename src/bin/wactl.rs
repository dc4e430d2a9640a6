//! `wactl`: the client of wasessiond, for people and scripts.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::ExitCode;

fn main() -> ExitCode {
    wasessiond::ctl::main()
}
