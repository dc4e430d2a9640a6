//! `wasessiond`: owns the WhatsApp sessions of many users. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasessiond::daemon::main()
}
