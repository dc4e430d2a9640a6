//! A daemon from its start to its end.
//!
//! The order of the start: the state directory's lock, then the socket, then the sessions, then
//! clients. Nobody is told that it is ready before it is, and two daemons never hold the same
//! credentials.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::environment::Environment;
use super::error::DaemonError;
use super::listener::Listener;
use super::logging::FilterHandle;
use super::signals::{Order, Sender};
use super::socket::ControlSocket;
use super::source::Source;
use super::state::{About, Daemon, Live};
use super::systemd::Notifier;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::whatsapp::Gateway;

/// How long the links may take to close at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long everything else may take besides: replies, goodbyes, tasks that end.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The control socket.
    pub socket: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
}

/// Everything that is known before anything is touched.
#[derive(Debug)]
pub struct Setup {
    /// The configuration, and who may do what.
    pub live: Live,
    /// What a person should know about the configuration.
    pub notes: Vec<String>,
    /// Where the configuration comes from.
    pub source: Source,
    /// Where the sessions are kept.
    pub state_directory: PathBuf,
    /// Where the control socket is, unless systemd passes one.
    pub socket: PathBuf,
}

/// Why a daemon ended that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// Somebody asked it to stop.
    Stopped(Sender),
}

impl Setup {
    /// Reads the configuration, and finds every place.
    ///
    /// # Errors
    /// [`DaemonError`] when the configuration is wrong, or a place is missing.
    pub fn load(options: &Options, environment: &Environment) -> Result<Self, DaemonError> {
        let source = Source::new(options.config.as_deref(), environment);
        let (live, notes) = source.load()?;
        let state = options
            .state
            .as_deref()
            .or(live.config.state_directory.as_deref());
        let state_directory = environment.state_directory(state)?;
        let socket = options
            .socket
            .as_deref()
            .or(live.config.socket.path.as_deref());
        let socket = environment.socket(socket)?;
        Ok(Self {
            live,
            notes,
            source,
            state_directory,
            socket,
        })
    }
}

/// Runs a daemon until an order stops it.
///
/// # Errors
/// [`DaemonError`] says why it could not start, or which part of it failed.
pub async fn run(
    setup: Setup,
    filter: FilterHandle,
    mut orders: impl Stream<Item = Order> + Unpin,
) -> Result<ExitReason, DaemonError> {
    let started_at = Timestamp::now();
    let Setup {
        live,
        notes,
        source,
        state_directory,
        socket,
    } = setup;
    info!(
        "wasessiond {}{} starts: state in {}, configuration {}",
        env!("CARGO_PKG_VERSION"),
        if cfg!(feature = "simulator") {
            " (simulator build)"
        } else {
            ""
        },
        state_directory.display(),
        live.origins,
    );
    for note in notes {
        warn!("{note}");
    }
    let store = {
        let directory = state_directory.clone();
        let opened = tokio::task::spawn_blocking(move || Store::open(&directory)).await;
        opened.map_err(|e| internal("opening the state directory", &e))??
    };
    let socket = ControlSocket::open(&socket, &live.config.socket).await?;
    let gateway = Gateway::new(&live.config.gateway())?;
    let supervisor = Supervisor::start(store, gateway, live.config.settings()).await?;
    let notifier = Arc::new(Notifier::default());
    let about = About {
        started_at,
        state_directory,
    };
    let daemon = Daemon::new(
        supervisor.clone(),
        live,
        source,
        about,
        filter,
        Arc::clone(&notifier),
    );
    let stop = CancellationToken::new();
    let (listener, heart) = Listener::new(socket, daemon.clone());
    let mut listening = tokio::spawn(listener.run(stop.clone()));
    let summary = supervisor.census().summary();
    notifier.ready(&summary);
    info!("ready: {summary}");
    let helpers = TaskTracker::new();
    {
        let (notifier, supervisor, stop) = (notifier.clone(), supervisor.clone(), stop.clone());
        helpers.spawn(async move { notifier.keep_status(&supervisor, &summary, stop).await });
    }
    if let Some(timeout) = sd_notify::watchdog_enabled() {
        let (notifier, supervisor, stop) = (notifier.clone(), supervisor.clone(), stop.clone());
        helpers.spawn(async move {
            notifier
                .feed_watchdog(timeout, heart, &supervisor, stop)
                .await;
        });
    }
    let asked = tokio::select! {
        sender = stop_order(&daemon, &mut orders) => Ok(sender),
        ended = &mut listening => Err(match ended {
            Err(error) => internal("the listener", &error),
            Ok(()) => DaemonError::Internal("the listener ended".to_owned()),
        }),
    };
    if let Ok(sender) = &asked {
        info!("stopping, on {sender}: links are closed, nothing is logged out");
    }
    Notifier::stopping(&supervisor.census().summary(), STOP_WITHIN + STOP_MARGIN);
    stop.cancel();
    helpers.close();
    wind_down(&daemon, &helpers, listening).await;
    info!("stopped");
    asked.map(ExitReason::Stopped)
}

/// Carries out orders until one of them is to stop.
async fn stop_order(daemon: &Daemon, orders: &mut (impl Stream<Item = Order> + Unpin)) -> Sender {
    let reloads = TaskTracker::new();
    while let Some(order) = orders.next().await {
        match order {
            Order::Stop(sender) => return sender,
            Order::Reload(sender) => {
                let daemon = daemon.clone();
                // A stop must not wait for it. What comes of it is in the log and in the status.
                reloads.spawn(async move { daemon.reload(&sender.to_string()).await });
            }
        }
    }
    // Nobody is left who could give one.
    std::future::pending().await
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
                // It ended before, when that is why the daemon stops.
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

fn internal(part: &str, error: &JoinError) -> DaemonError {
    DaemonError::Internal(format!("{part}: {error}"))
}
