//! The program `wactl`: the command line, one module a command, and the text they print.
//!
//! Data goes to the standard output, talk to the standard error. A command returns an error; only
//! [`main`] makes an exit status of it.

mod arguments;
mod completions;
mod connect;
mod daemon;
mod disconnect;
mod error;
mod exit;
mod force_logout;
mod groups;
mod history;
mod json;
mod list;
mod passkey;
mod proxy;
mod qr;
mod render;
mod status;
mod targets;
mod terminal;
mod watch;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::client::{Client, ClientError, Options, socket_path};
use crate::protocol::FailureCode;

use arguments::{Cli, Command};
use error::{Error, Problem};
use exit::Exit;
use terminal::Terminal;

/// How long the daemon may take to answer the first time: as long as it takes it to stop and to start
/// again, while systemd keeps its socket.
const A_RESTART: Duration = Duration::from_secs(20);

/// How often a command goes to the next daemon, because one stops.
const RESTARTS: u32 = 3;

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    main_with(&std::env::args_os().collect::<Vec<_>>())
}

/// Runs the program with these words as its command line, the first of them the program's name.
#[must_use]
pub fn main_with(words: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return misused(words, &error).into(),
    };
    let mut terminal = Terminal::from_process(cli.json);
    let socket = socket_path(cli.socket.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command, &socket, &mut terminal)),
        Err(error) => {
            let message = format!("no runtime: {error}");
            Err(Problem::new(Exit::Refused, "internal", message).into())
        }
    };
    finish(result, &socket, &mut terminal).into()
}

/// The command line as clap sees it: for completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

async fn run(mut command: Command, socket: &Path, terminal: &mut Terminal) -> Result<(), Error> {
    if let Command::Completions { shell } = command {
        return completions::run(shell, terminal);
    }
    // What is wrong without asking the daemon is said without asking it.
    if let Command::ForceLogout(arguments) = &command {
        force_logout::check(arguments, terminal)?;
    }
    if let Command::Connect(arguments) = &command {
        connect::check(arguments)?;
    }
    if let Command::Qr(arguments) = &command {
        qr::check(arguments, terminal)?;
    }
    if let Command::Proxy(arguments) = &mut command {
        proxy::complete(&mut arguments.edit.set, &mut arguments.password_file)?;
    }
    if let Command::Connect(arguments) = &mut command {
        proxy::complete(&mut arguments.proxy, &mut arguments.password_file)?;
    }
    let options = Options {
        name: concat!("wactl/", env!("CARGO_PKG_VERSION")).to_owned(),
        connect_timeout: A_RESTART,
        ..Options::default()
    };
    let mut restarts = 0;
    loop {
        let client = Client::connect(socket, options.clone()).await?;
        let result = perform(command.clone(), &client, socket, terminal).await;
        if !is_stopping(&result) || client.was_answered() || restarts == RESTARTS {
            return result;
        }
        // Nothing of it was begun, and nothing was printed: the next daemon is asked, if there is one.
        restarts += 1;
    }
}

fn is_stopping(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Client(ClientError::Closed(Some(why)))) if why.code == FailureCode::Stopping)
}

async fn perform(
    command: Command,
    client: &Client,
    socket: &Path,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    match command {
        Command::Connect(arguments) => connect::run(client, terminal, &arguments).await,
        Command::Disconnect(whose) => disconnect::run(client, terminal, &whose.user).await,
        Command::ForceLogout(arguments) => force_logout::run(client, terminal, &arguments).await,
        Command::Status(whose) => status::run(client, terminal, &whose.user).await,
        Command::List => list::run(client, terminal).await,
        Command::Watch(arguments) => watch::run(client, terminal, &arguments).await,
        Command::History(arguments) => history::run(client, terminal, &arguments).await,
        Command::Qr(arguments) => qr::run(client, terminal, &arguments).await,
        Command::Passkey(arguments) => passkey::run(client, terminal, &arguments).await,
        Command::Groups(whose) => groups::run(client, terminal, &whose.user).await,
        Command::Targets(arguments) => targets::run(client, terminal, arguments).await,
        Command::Proxy(arguments) => proxy::run(client, terminal, arguments).await,
        Command::Daemon(verb) => daemon::run(client, terminal, verb, socket).await,
        Command::Completions { shell } => completions::run(shell, terminal),
    }
}

/// Tells what went wrong, and makes an exit status of it.
fn finish(result: Result<(), Error>, socket: &Path, terminal: &mut Terminal) -> Exit {
    let problem = match result {
        Ok(()) => return Exit::Done,
        // Whoever read has enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Exit::Done;
        }
        Err(Error::Output(error)) => {
            let message = format!("the output cannot be written: {error}");
            Problem::new(Exit::Refused, "output", message)
        }
        Err(Error::Problem(problem)) => *problem,
        Err(Error::Client(error)) => Problem::from_client(error, socket),
    };
    report(&problem, terminal);
    problem.exit
}

fn report(problem: &Problem, terminal: &mut Terminal) {
    let told = terminal.look().json && terminal.object(json::Failed { error: problem }).is_ok();
    if !told {
        terminal.say(&format!("wactl: {}", problem.message));
    }
}

/// For a command line that is wrong, or asks for help.
fn misused(words: &[OsString], error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // Help and version; a closed pipe is no error here either.
        let _ = error.print();
        return Exit::Done;
    }
    if words.iter().any(|word| word == "--json") {
        let problem = Problem::usage(error.to_string().trim_end());
        report(&problem, &mut Terminal::from_process(true));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

#[cfg(test)]
mod tests;
