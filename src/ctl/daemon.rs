//! `wactl daemon`

use std::path::Path;

use crate::client::Client;
use crate::protocol::RotatedKey;

use super::arguments::Daemon;
use super::error::{Error, Problem};
use super::terminal::Terminal;
use super::{json, render};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    verb: Daemon,
    socket: &Path,
) -> Result<(), Error> {
    match verb {
        Daemon::Info => info(client, terminal, socket).await,
        Daemon::Ping => ping(client, terminal, socket).await,
        Daemon::Reload => reload(client, terminal).await,
        Daemon::RotateKey => rotate_key(client, terminal).await,
    }
}

async fn info(client: &Client, terminal: &mut Terminal, socket: &Path) -> Result<(), Error> {
    let info = client.info().await?;
    if terminal.look().json {
        terminal.object(&info)?;
    } else {
        let text = render::info::info(&info, socket, terminal.now());
        terminal.print(&text)?;
    }
    Ok(())
}

async fn ping(client: &Client, terminal: &mut Terminal, socket: &Path) -> Result<(), Error> {
    client.ping().await?;
    let server = &render::plain(client.server());
    let socket = socket.display().to_string();
    if terminal.look().json {
        terminal.object(json::Pong { server, socket })?;
    } else {
        terminal.print(&format!("{server} answers at {socket}"))?;
    }
    Ok(())
}

async fn reload(client: &Client, terminal: &mut Terminal) -> Result<(), Error> {
    let reloaded = client.reload().await?;
    if terminal.look().json {
        terminal.object(&reloaded)?;
    } else {
        terminal.print(&render::info::reloaded(&reloaded))?;
    }
    Ok(())
}

async fn rotate_key(client: &Client, terminal: &mut Terminal) -> Result<(), Error> {
    let rotated: RotatedKey = client.rotate_key().await?;
    if !rotated.finished {
        // A script that goes on to destroy the old key must notice.
        return Err(Problem::not_finished(rotated).into());
    }
    if terminal.look().json {
        terminal.object(&rotated)?;
    } else {
        terminal.print(&render::info::rotated(&rotated))?;
    }
    Ok(())
}
