//! The program `wasessiond`: its command line, its runtime, and its exit status.
//!
//! Exit status: 0 stopped as asked; 2 wrong command line; 70 a fault of the daemon; 71 the operating
//! system refused; 73 the socket cannot be made; 74 the state directory cannot be used; 75 a live
//! daemon has the state directory or the socket; 77 not permitted; 78 the configuration is wrong;
//! 130 or 143 ended at once by a second SIGINT or SIGTERM.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use tracing::error;

use super::error::DaemonError;
use super::in_force::InForce;
use super::readable;
use super::run::{Options, Setup, run};
use super::socket::ControlSocket;
use crate::service::environment::Environment;
use crate::service::{logging, signals, status};
use crate::{blocking, failpoint, message_id};

const VERSION: &str = if cfg!(feature = "simulator") {
    concat!(env!("CARGO_PKG_VERSION"), " (simulator build)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// The most threads for the WhatsApp library's own store, of which a takeover reads.
const DATABASE_THREADS: usize = 64;

/// Owns the WhatsApp sessions of many users on this machine. Its client is wactl
#[derive(Parser)]
#[command(name = "wasessiond", version = VERSION, args_conflicts_with_subcommands = true)]
struct Cli {
    /// The configuration file, alone: no other one and no drop-ins are read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the control socket is to be
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where the sessions are kept
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration: print what would be in force, or everything that is wrong (status 78)
    Check {
        /// The file, alone; without it all those that the daemon would read
        file: Option<PathBuf>,
    },
}

/// Runs the program with the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(&std::env::args_os().collect::<Vec<_>>())
}

/// Runs the program with these words as its command line, the first of them the program's name.
#[must_use]
pub fn main_with(words: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version come this way too. stdout may be closed.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(status::SOFTWARE));
        }
    };
    failpoint::setup();
    let environment = Environment::from_process();
    let result = match cli.command {
        Some(Command::Check { file }) => check(file, &environment),
        None => absolute(cli).and_then(|options| serve(&options, &environment)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&environment);
            ExitCode::from(failure.error.exit_status())
        }
    }
}

/// The command line as clap sees it: for completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// An error, and whether the log is set up to receive it.
struct Failed {
    error: DaemonError,
    logging: bool,
}

impl Failed {
    fn tell(&self, environment: &Environment) {
        if self.logging || logging::start_for_an_error(environment) {
            error!(
                message_id = message_id::DAEMON_FAILED,
                "wasessiond ends: {}", self.error
            );
            // The journal asks the kernel which unit a datagram is from, and sometimes the process is
            // gone by then. Lines on stderr belong to the unit in any case.
            if !logging::goes_to_journal(environment) {
                return;
            }
        }
        // stderr may be closed; the exit status is an answer, too.
        let _ = writeln!(io::stderr(), "wasessiond: {}", self.error);
    }
}

impl<E: Into<DaemonError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            logging: false,
        }
    }
}

/// Paths of the command line are relative to the working directory.
fn absolute(cli: Cli) -> Result<Options, Failed> {
    let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
    let failed = || system("find out the working directory");
    Ok(Options {
        config: absolute(cli.config).map_err(failed())?,
        socket: absolute(cli.socket).map_err(failed())?,
        state: absolute(cli.state).map_err(failed())?,
    })
}

fn check(file: Option<PathBuf>, environment: &Environment) -> Result<(), Failed> {
    let options = Options {
        config: file,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let setup = runtime.block_on(Setup::load(&options, environment))?;
    let InForce {
        config, origins, ..
    } = &setup.in_force;
    ControlSocket::check(&setup.socket, &config.socket)?;
    let mut files = origins.files.clone();
    files.extend(config.whatsapp.proxy_password_file.clone());
    let unreadable = readable::notes(&files);
    for note in setup.notes.iter().chain(&unreadable) {
        let _ = writeln!(io::stderr(), "wasessiond: note: {note}");
    }
    // A closed pipe is not an error.
    let _ = writeln!(
        io::stdout(),
        "{}# Sessions are kept in {}\n# The control socket is {}\n\n{}",
        sources(&setup),
        display(&setup.state_directory),
        display(&setup.socket),
        config.to_toml(origins).trim_end(),
    );
    Ok(())
}

/// Which files were read and which were not, as comments.
fn sources(setup: &Setup) -> String {
    let origins = &setup.in_force.origins;
    let mut lines = String::new();
    let mut say = |line: String| lines.extend(["# ", &line, "\n"]);
    if origins.files.is_empty() {
        let looked_for = setup.source.places().main_files();
        let looked_for: Vec<_> = looked_for.iter().map(|file| display(file)).collect();
        say(format!(
            "There is no configuration file: these are the defaults. Looked for {}",
            looked_for.join(", ")
        ));
    }
    for file in &origins.files {
        say(format!("From {}", display(file)));
    }
    for masked in &origins.masked {
        let (file, by) = (display(&masked.file), display(&masked.by));
        say(format!("Not from {file}: {by} stands for it"));
    }
    if setup.lacks_endpoint() {
        say("This is a simulator build: without `whatsapp.endpoint` it does not start".to_owned());
    }
    lines
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn serve(options: &Options, environment: &Environment) -> Result<(), Failed> {
    // Every file that is made is for this user alone, unless code says otherwise.
    umask(Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // For the WhatsApp library's own store alone. The daemon's own blocking calls have rooms. More do not
        // make it faster: they are for the calls of sessions whose files hang.
        .max_blocking_threads(DATABASE_THREADS)
        .thread_keep_alive(blocking::KEEP)
        .build()
        .map_err(system("start the runtime"))?;
    let pool = runtime.handle().clone();
    runtime.spawn(blocking::keep_a_thread(move || Some(pool.clone())));
    let result = runtime.block_on(start(options, environment));
    // The tasks that still run had their time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn start(options: &Options, environment: &Environment) -> Result<(), Failed> {
    // First of all: a signal that asks for the stop is heard from here on, whatever hangs.
    let mut orders = signals::orders().map_err(system("take over the signals"))?;
    let setup = tokio::select! {
        loaded = Setup::load(options, environment) => loaded?,
        _ = orders.stop() => return Ok(()),
    };
    let filter = logging::start(environment, &setup.in_force.config.log.filter)?;
    std::panic::set_hook(Box::new(|panic| error!("panic: {panic}")));
    raise_open_files();
    match run(setup, filter, orders).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failed {
            error,
            logging: true,
        }),
    }
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { action, source }
}

/// Each session needs a few descriptors, and the usual soft limit is meant for programs that use
/// `select`.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!("the limit of open files stays as it is: {}", error.desc());
    }
}
