//! `wactl targets`

use crate::client::Client;
use crate::protocol::TargetEdit;

use super::arguments::Targets;
use super::error::Error;
use super::json;
use super::terminal::Terminal;

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: Targets,
) -> Result<(), Error> {
    let user = arguments.user;
    let edit = TargetEdit::from(arguments.edit);
    let targets = client.targets(user.as_str(), edit).await?;
    if terminal.look().json {
        terminal.object(json::Targets {
            user: &user,
            targets: &targets,
        })?;
    } else if targets.is_empty() {
        terminal.say(&format!("{user} has no target groups."));
    } else {
        let jids: Vec<_> = targets.iter().map(ToString::to_string).collect();
        terminal.print(&jids.join("\n"))?;
    }
    Ok(())
}
