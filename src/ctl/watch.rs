//! `wactl watch`

use crate::client::{self, Client, Snapshot, WatchItem};

use super::arguments::Watch;
use super::error::Error;
use super::terminal::Terminal;
use super::{json, render};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &Watch,
) -> Result<(), Error> {
    let users = arguments.users.iter().map(ToString::to_string);
    let mut watch = client.watch(users, arguments.since).await?;
    begin(terminal, &watch)?;
    loop {
        let item = watch.next().await?;
        show(terminal, &item)?;
    }
}

/// Prints the present state, and what was asked for with `--since`.
fn begin(terminal: &mut Terminal, watch: &client::Watch) -> Result<(), Error> {
    let beginning = watch.beginning();
    if terminal.look().json {
        terminal.object(json::Beginning {
            watching: beginning.into(),
        })?;
        for event in watch.replayed() {
            terminal.object(json::Happened::from(event))?;
        }
        return Ok(());
    }
    if beginning.gap {
        terminal
            .say("Some events since then are forgotten; ended sessions are in `wactl history`.");
    }
    let now = terminal.now();
    for event in watch.replayed() {
        terminal.print(&render::event::line(event, now))?;
    }
    state(terminal, beginning)
}

/// Prints one thing that happened.
pub(super) fn show(terminal: &mut Terminal, item: &WatchItem) -> Result<(), Error> {
    let json = terminal.look().json;
    match item {
        WatchItem::Event(event) if json => terminal.object(json::Happened::from(&**event))?,
        WatchItem::Event(event) => {
            terminal.print(&render::event::line(event, terminal.now()))?;
        }
        WatchItem::Lagged { missed, state } if json => terminal.object(json::Lagged {
            missed: *missed,
            watching: (&**state).into(),
        })?,
        WatchItem::Lagged { missed, state: now } => {
            terminal.say(&format!(
                "{missed} events were missed; ended sessions are in `wactl history`. The state now:"
            ));
            state(terminal, now)?;
        }
    }
    Ok(())
}

/// Prints a line for each session as it is.
fn state(terminal: &mut Terminal, snapshot: &Snapshot) -> Result<(), Error> {
    let now = terminal.now();
    for status in snapshot.sessions() {
        let what = format!("is {}", status.phase);
        let gist = render::status::gist(status, now);
        terminal.print(&render::event::row(now, status.user.as_str(), &what, &gist))?;
    }
    let (epoch, seq) = (snapshot.epoch, snapshot.seq());
    terminal.say(&format!("Watching from event {epoch}:{seq} on."));
    Ok(())
}
