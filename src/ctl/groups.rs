//! `wactl groups`

use crate::client::Client;
use crate::protocol::UserId;

use super::error::Error;
use super::terminal::Terminal;
use super::{json, render};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    user: &UserId,
) -> Result<(), Error> {
    let groups = client.groups(user.as_str()).await?;
    if terminal.look().json {
        terminal.object(json::Groups {
            user,
            groups: &groups,
        })?;
    } else if groups.is_empty() {
        terminal.say(&format!("The account of {user} is in no group."));
    } else {
        terminal.print(&render::groups::groups(terminal, &groups))?;
    }
    Ok(())
}
