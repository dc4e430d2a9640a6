//! `wactl force-logout`

use crate::client::{Client, ClientError};
use crate::protocol::{FailureCode, LogoutReport};

use super::arguments::ForceLogout;
use super::error::{Error, Problem};
use super::exit::Exit;
use super::render;
use super::terminal::Terminal;

/// What is wrong with the command line, as far as that needs no daemon.
pub(super) fn check(arguments: &ForceLogout, terminal: &Terminal) -> Result<(), Problem> {
    if arguments.yes || terminal.look().interactive {
        return Ok(());
    }
    let user = &arguments.user;
    Err(Problem::usage(format!(
        "force-logout removes everything of {user} and asks first, but nobody is there to ask: \
         give --yes"
    )))
}

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &ForceLogout,
) -> Result<(), Error> {
    let user = &arguments.user;
    if !arguments.yes {
        let account = match client.status(user.as_str()).await {
            Ok(status) => status.account.as_ref().map(render::status::account),
            // force-logout works where the state is unknown, so this is no reason to refuse.
            Err(ClientError::Failure(no)) if no.code != FailureCode::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if !confirmed(terminal, user.as_str(), account).await {
            let message = format!("nothing was done: the session of {user} stays as it is");
            return Err(Problem::new(Exit::Refused, "declined", message).into());
        }
    }
    let report = client.force_logout(user.as_str()).await?;
    show(terminal, &report)
}

/// Asks whether a session may be removed.
pub(super) async fn confirmed(
    terminal: &mut Terminal,
    user: &str,
    account: Option<String>,
) -> bool {
    let account = account.unwrap_or_else(|| "no known account".to_owned());
    terminal.say(&format!(
        "This unlinks {user} ({account}) from WhatsApp and removes its credentials and target groups."
    ));
    terminal.ask(&format!("Remove everything of {user}? [y/N]"));
    let answer = terminal.line().await.unwrap_or_default();
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Prints how it went.
pub(super) fn show(terminal: &mut Terminal, report: &LogoutReport) -> Result<(), Error> {
    if terminal.look().json {
        terminal.object(report)?;
    } else {
        terminal.print(&render::logout::report(report))?;
    }
    Ok(())
}
