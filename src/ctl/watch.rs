//! `wactl watch`

use crate::client::{Client, ClientError, FollowItem, Snapshot, WatchItem};
use crate::protocol::{Event, HistoryEntry};

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
    let mut follow = client.follow(users, arguments.since).await?;
    let mut past = Past::default();
    loop {
        match follow.next().await? {
            FollowItem::Replayed(event) => past.replayed.push(*event),
            FollowItem::Missed(entry) => past.missed.push(*entry),
            FollowItem::State(state) => begin(terminal, &state, std::mem::take(&mut past))?,
            FollowItem::Event(event) => show(terminal, &WatchItem::Event(event))?,
            FollowItem::Lagged { missed, state } => {
                show_past(terminal, std::mem::take(&mut past))?;
                show(terminal, &WatchItem::Lagged { missed, state })?;
            }
            FollowItem::Lost(error) => lost(terminal, &error),
        }
    }
}

/// What happened before the state that follows it.
#[derive(Debug, Default)]
struct Past {
    missed: Vec<HistoryEntry>,
    replayed: Vec<Event>,
}

/// Prints the present state, and what happened before it: what was asked for with `--since`, and while
/// the daemon was away. Objects begin with the state, lines are in the order of time.
fn begin(terminal: &mut Terminal, beginning: &Snapshot, past: Past) -> Result<(), Error> {
    if terminal.look().json {
        terminal.object(json::Beginning {
            watching: beginning.into(),
        })?;
        return show_past(terminal, past);
    }
    if beginning.gap {
        terminal
            .say("Some events since then are forgotten; ended sessions are in `wactl history`.");
    }
    show_past(terminal, past)?;
    state(terminal, beginning)
}

fn show_past(terminal: &mut Terminal, Past { missed, replayed }: Past) -> Result<(), Error> {
    let (json, now) = (terminal.look().json, terminal.now());
    for entry in &missed {
        if json {
            terminal.object(json::Happened::from(entry))?;
        } else {
            terminal.print(&render::event::missed(entry))?;
        }
    }
    for event in &replayed {
        if json {
            terminal.object(json::Happened::from(event))?;
        } else {
            terminal.print(&render::event::line(event, now))?;
        }
    }
    Ok(())
}

fn lost(terminal: &mut Terminal, error: &ClientError) {
    terminal.say(&format!(
        "wactl: {error}\nIt is asked again until it is back; Ctrl-C ends the watch."
    ));
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
