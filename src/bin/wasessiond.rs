//! `wasessiond`: owns the WhatsApp sessions of many users. Everything is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives the memory of sessions that have ended back to the machine, which the system's allocator does not:
/// `--bench crowd` shows it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    wasessiond::daemon::main()
}
