//! `wactl status`

use crate::client::Client;
use crate::protocol::{Status, UserId};

use super::error::Error;
use super::render;
use super::terminal::Terminal;

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    user: &UserId,
) -> Result<(), Error> {
    let status = client.status(user.as_str()).await?;
    show(terminal, &status)
}

/// Prints one session in full.
pub(super) fn show(terminal: &mut Terminal, status: &Status) -> Result<(), Error> {
    let look = terminal.look();
    if look.json {
        terminal.object(status)?;
    } else {
        let text = render::status::full(status, terminal.now(), look.colour);
        terminal.print(&text)?;
    }
    Ok(())
}
