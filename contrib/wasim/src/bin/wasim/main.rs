//! `wasim`: a WhatsApp Web server on this machine, and its remote control.

mod account;
mod arguments;
mod chat;
mod places;
mod render;
mod serve;
mod verbs;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Verb};

/// 0 done, 1 it could not be done, 2 (from clap) not understood.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell when this fails.
            let _ = writeln!(std::io::stderr(), "wasim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let control = places::control(arguments.control)?;
    match arguments.verb {
        Verb::Serve { listen, state } => {
            serve::serve(listen, state, &control, arguments.json).await
        }
        verb => verbs::run(verb, &control, arguments.json).await,
    }
}
