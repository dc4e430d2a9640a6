//! `wasessiond`: owns the WhatsApp sessions of many users. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Rehearsals name in $FAILPOINTS what is to fail.
    #[cfg(feature = "simulator")]
    let _failpoints = fail::FailScenario::setup();
    wasessiond::daemon::main()
}
