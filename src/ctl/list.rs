//! `wactl list`

use crate::client::Client;

use super::error::Error;
use super::terminal::Terminal;
use super::{json, render};

pub(super) async fn run(client: &Client, terminal: &mut Terminal) -> Result<(), Error> {
    let sessions = client.list().await?;
    if terminal.look().json {
        terminal.object(json::Sessions {
            sessions: &sessions,
        })?;
    } else if sessions.is_empty() {
        terminal.say("No sessions. `wactl connect USER` begins one.");
    } else {
        terminal.print(&render::status::sessions(terminal, &sessions))?;
    }
    Ok(())
}
