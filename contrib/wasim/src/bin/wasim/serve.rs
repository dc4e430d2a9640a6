//! `wasim serve`.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use wasim::{Answer, Command, Control, Options, Server};

/// Runs the server until it is interrupted or told to end.
pub(crate) async fn serve(
    listen: SocketAddr,
    state: Option<PathBuf>,
    control: &Path,
    json: bool,
) -> Result<(), String> {
    log();
    raise_descriptor_limit();
    let options = Options {
        listen,
        state,
        ..Options::default()
    };
    let server = Server::start(options)
        .await
        .map_err(|error| error.to_string())?;
    let control = Control::bind(&server, control)
        .await
        .map_err(|error| error.to_string())?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    introduce(&server, &control, json).await?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    control.close().await;
    server.shutdown().await;
    Ok(())
}

/// Prints the addresses of the server and of its control socket.
async fn introduce(server: &Server, control: &Control, json: bool) -> Result<(), String> {
    let info = server
        .execute(Command::Info)
        .await
        .map_err(|error| error.to_string())?;
    let Answer::Info { url, root_key } = info else {
        return Err("the server does not say where it is".to_owned());
    };
    let path = control.path().display();
    let text = if json {
        serde_json::json!({ "url": url, "root_key": root_key, "control": path.to_string() })
            .to_string()
    } else {
        format!("url      {url}\nroot key {root_key}\ncontrol  {path}")
    };
    // The reader of the output may be gone already.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("wasim=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// A connection is a descriptor; the usual limit of 1024 is less than there may be clients.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}
