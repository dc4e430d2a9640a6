//! `wactl history`

use crate::client::Client;

use super::arguments::History;
use super::error::Error;
use super::terminal::Terminal;
use super::{json, render};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &History,
) -> Result<(), Error> {
    let user = arguments.user.as_ref().map(AsRef::as_ref);
    let entries = client.history(user, arguments.limit).await?;
    if terminal.look().json {
        terminal.object(json::History { entries: &entries })?;
    } else if entries.is_empty() {
        terminal.say(&match user {
            Some(user) => format!("No session of {user} has ended so far."),
            None => "No session has ended so far.".to_owned(),
        });
    } else {
        terminal.print(&render::history::history(terminal, &entries))?;
    }
    Ok(())
}
