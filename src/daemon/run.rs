//! A daemon from its start to its end.
//!
//! The order of the start: the state directory's lock, then the socket, then the sessions, then
//! clients. The daemon says that it is ready when it is, not before, and two daemons never hold the same
//! credentials.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::error::DaemonError;
use super::in_force::InForce;
use super::listener::{Listener, LivenessProbe};
use super::socket::ControlSocket;
use super::source::Source;
use super::state::{About, Daemon};
use super::{places, watchdog};
use crate::blocking::Rooms;
use crate::message_id;
use crate::service::environment::Environment;
use crate::service::logging::FilterHandle;
use crate::service::notify::Notifier;
use crate::service::signals::{Order, Orders, Sender};
use crate::store::Store;
use crate::supervisor::{Begun, Clock, Supervisor};
use crate::whatsapp::Gateway;

/// How long the links may take to close at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long all other parts may take besides: replies, goodbyes, tasks that end.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// How long the process may take to end after that.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// The options of the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The control socket.
    pub socket: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
}

/// Everything that is known before anything is changed.
#[derive(Debug)]
pub(super) struct Setup {
    /// The configuration, and who may do what.
    pub in_force: InForce,
    /// Notes about the configuration, for a person.
    pub notes: Vec<String>,
    /// Where the configuration comes from.
    pub source: Source,
    /// Where the sessions are kept.
    pub state_directory: PathBuf,
    /// Where the control socket is, unless systemd passes one.
    pub socket: PathBuf,
    /// Where systemd passes credentials: the master key may be one.
    pub credentials: Option<PathBuf>,
    /// Where blocking calls are made.
    pub rooms: Rooms,
}

/// Why a daemon ended that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExitReason {
    /// Somebody asked it to stop.
    Stopped(Sender),
}

impl Setup {
    /// Reads the configuration, and finds every place.
    ///
    /// # Errors
    /// [`DaemonError`] when the configuration is wrong, or a place is missing.
    pub(super) async fn load(
        options: &Options,
        environment: &Environment,
    ) -> Result<Self, DaemonError> {
        let rooms = Rooms::new();
        let source = Source::new(options.config.as_deref(), environment);
        let (in_force, notes) = source.load(&rooms).await?;
        let config = &in_force.config;
        let state = options.state.as_deref();
        let state = state.or(config.state.directory.as_deref());
        let state_directory = places::state_directory(environment, state)?;
        let socket = options.socket.as_deref();
        let socket = socket.or(config.socket.path.as_deref());
        let socket = places::socket(environment, socket)?;
        Ok(Self {
            in_force,
            notes,
            source,
            state_directory,
            socket,
            credentials: environment.directory("CREDENTIALS_DIRECTORY"),
            rooms,
        })
    }

    /// Whether this is a build for rehearsals that does not know where its simulator is.
    #[must_use]
    pub(super) fn lacks_endpoint(&self) -> bool {
        cfg!(feature = "simulator") && self.in_force.config.whatsapp.endpoint.is_none()
    }
}

/// Runs a daemon until an order stops it.
///
/// # Errors
/// [`DaemonError`] says why it could not start, or which part of it failed.
pub(super) async fn run(
    setup: Setup,
    filter: FilterHandle,
    mut orders: Orders<impl Stream<Item = Order> + Unpin>,
) -> Result<ExitReason, DaemonError> {
    let started_at = Timestamp::now();
    introduce(&setup);
    if setup.lacks_endpoint() {
        return Err(DaemonError::NoEndpoint);
    }
    let notifier = Arc::new(Notifier::default());
    let (socket, begun) = tokio::select! {
        opened = open(&setup) => opened?,
        // No session was begun yet.
        sender = orders.stop() => {
            tell_of_stop(&sender);
            notifier.stopping("before it was ready", LAST_MOMENTS);
            return Ok(ExitReason::Stopped(sender));
        }
    };
    let Begun {
        supervisor,
        restored,
        mut loop_end,
    } = begun;
    let about = About {
        started_at,
        state_directory: setup.state_directory,
    };
    let daemon = Daemon::new(
        supervisor.clone(),
        setup.in_force,
        setup.source,
        setup.rooms,
        about,
        filter,
        Arc::clone(&notifier),
    );
    let early = tokio::select! {
        () = restored.passed() => None,
        sender = orders.stop() => Some(Ok(sender)),
        fault = loop_end.fault() => Some(Err(supervisor_ended(&fault))),
    };
    let stop = CancellationToken::new();
    let (listener, liveness) = Listener::new(socket, daemon.clone());
    let mut listening = tokio::spawn(listener.run(stop.clone()));
    let helpers = TaskTracker::new();
    let asked = if let Some(asked) = early {
        asked
    } else {
        let summary = supervisor.status_line();
        notifier.ready(&summary);
        info!(message_id = message_id::READY, "ready: {summary}");
        help(&helpers, &daemon, liveness, &stop);
        tokio::select! {
            sender = carry_out(&daemon, &mut orders) => Ok(sender),
            ended = &mut listening => Err(match ended {
                Err(error) => internal("the listener", &error),
                Ok(()) => DaemonError::Internal("the listener ended".to_owned()),
            }),
            fault = loop_end.fault() => Err(supervisor_ended(&fault)),
        }
    };
    if let Ok(sender) = &asked {
        tell_of_stop(sender);
    }
    notifier.stopping(
        &supervisor.status_line(),
        STOP_WITHIN + STOP_MARGIN + LAST_MOMENTS,
    );
    stop.cancel();
    helpers.close();
    wind_down(&daemon, &helpers, listening).await;
    info!("stopped");
    asked.map(ExitReason::Stopped)
}

/// Logs which daemon starts.
fn introduce(setup: &Setup) {
    info!(
        "wasessiond {}{} starts: state in {}, configuration {}",
        env!("CARGO_PKG_VERSION"),
        if cfg!(feature = "simulator") {
            " (simulator build)"
        } else {
            ""
        },
        setup.state_directory.display(),
        setup.in_force.origins,
    );
    for note in &setup.notes {
        warn!("{note}");
    }
}

fn tell_of_stop(sender: &Sender) {
    info!(
        message_id = message_id::STOPPING,
        peer_pid = sender.pid(),
        peer_uid = sender.uid(),
        "stopping, on {sender}: links are closed, nothing is logged out"
    );
}

/// The state directory with its lock, then the socket, then the sessions.
async fn open(setup: &Setup) -> Result<(ControlSocket, Begun), DaemonError> {
    let config = &setup.in_force.config;
    let store = {
        let directory = setup.state_directory.clone();
        let credentials = setup.credentials.clone();
        let open = move || Store::open_with(&directory, credentials.as_deref());
        let opened = tokio::task::spawn_blocking(open).await;
        opened.map_err(|e| internal("opening the state directory", &e))??
    };
    let rooms = &setup.rooms;
    let socket = ControlSocket::open(&setup.socket, &config.socket, &rooms.accounts).await?;
    let gateway = Gateway::new(&config.gateway(), rooms)?;
    let (settings, clock) = (config.settings(), Clock::system());
    let begun = Supervisor::begin(store, gateway, settings, clock, rooms).await?;
    Ok((socket, begun))
}

/// Starts the tasks that inform the service manager and the log until the stop, and the one that finishes a
/// rotation of the master key.
fn help(helpers: &TaskTracker, daemon: &Daemon, liveness: LivenessProbe, stop: &CancellationToken) {
    let parts = || (daemon.clone(), stop.clone());
    let (told, until) = parts();
    helpers.spawn(async move {
        watchdog::keep_status(told.notifier(), told.supervisor(), until).await;
    });
    if let Some(within) = sd_notify::watchdog_enabled() {
        let (fed, until) = parts();
        helpers.spawn(async move {
            let (notifier, supervisor) = (fed.notifier(), fed.supervisor());
            watchdog::feed(notifier, within, liveness, supervisor, until).await;
        });
    }
    let (rotated, until) = parts();
    helpers.spawn(async move {
        tokio::select! {
            () = rotated.supervisor().finish_rotation() => {}
            () = until.cancelled() => {}
        }
    });
    let (logged, until) = parts();
    helpers.spawn(async move { logged.filter().tell_what_was_left_out(until).await });
}

/// Carries out orders until one of them is to stop.
async fn carry_out(
    daemon: &Daemon,
    orders: &mut Orders<impl Stream<Item = Order> + Unpin>,
) -> Sender {
    // A reload that has not begun yet reads for all who ask meanwhile. A stop waits for none: what
    // comes of one is in the log and in the status.
    let (ask, mut asked) = watch::channel(None::<Sender>);
    let reloading = daemon.clone();
    tokio::spawn(async move {
        while asked.changed().await.is_ok() {
            let who = asked.borrow_and_update().clone();
            if let Some(who) = who {
                reloading.reload(&who.to_string()).await.ok();
            }
        }
    });
    loop {
        match orders.next().await {
            Order::Stop(sender) => return sender,
            Order::Reload(sender) => ask.send_replace(Some(sender)),
        };
    }
}

/// Ends every part, each within its time.
async fn wind_down(daemon: &Daemon, helpers: &TaskTracker, listening: JoinHandle<()>) {
    let effects = daemon.effects();
    effects.close();
    let parts = async {
        tokio::join!(
            daemon.supervisor().stop(STOP_WITHIN),
            effects.wait(),
            helpers.wait(),
            async {
                // The listener ended before, if its end is why the daemon stops.
                if !listening.is_finished()
                    && let Err(error) = listening.await
                {
                    error!("the listener failed while it stopped: {error}");
                }
            },
        )
    };
    if timeout(STOP_WITHIN + STOP_MARGIN, parts).await.is_err() {
        warn!("not every part ended in time: the process ends without them");
    }
}

/// Without it no session would end or begin again, and the next daemon restores them all.
fn supervisor_ended(fault: &str) -> DaemonError {
    DaemonError::Internal(format!(
        "the supervisor's loop, without which no session goes on: {fault}. No session is logged out; the next start restores them"
    ))
}

fn internal(part: &str, error: &JoinError) -> DaemonError {
    DaemonError::Internal(format!("{part}: {error}"))
}
