//! Whole command lines against a daemon's end that follows a script.

mod actions;
mod daemon;
mod errors;
mod newer;
mod objects;
mod restarts;
mod schema;
mod sessions;

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tokio::sync::mpsc;

use super::arguments::Cli;
use super::terminal::Look;
use super::terminal::scripted::{Scripted, terminal};
use super::{finish, perform};
use crate::client::Options;
use crate::client::scripted::{Daemon, connected};
use crate::protocol::codec::Encoding;
use crate::protocol::{Answer, Command, Failure, GroupJid, SessionsPage, Status};

/// Output into a file or a pipe.
pub(super) const PIPED: Look = Look {
    json: false,
    terminal: false,
    live: false,
    colour: false,
    interactive: false,
};

/// A person at a terminal without colours.
pub(super) const PERSON: Look = Look {
    terminal: true,
    live: true,
    interactive: true,
    ..PIPED
};

/// A program that reads objects.
pub(super) const JSON: Look = Look {
    json: true,
    ..PIPED
};

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) exit: u8,
    pub(super) out: String,
    pub(super) talk: String,
}

impl Played {
    /// The objects that were written, one a line. All of them are as the schema says.
    pub(super) fn objects(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).expect("an object");
        let objects: Vec<Value> = self.out.lines().map(parse).collect();
        for object in &objects {
            schema::fits(object);
        }
        objects
    }
}

/// Runs a command line while the daemon's end does what the script says.
pub(super) async fn play(
    line: &str,
    look: Look,
    script: impl AsyncFnOnce(&mut Daemon, mpsc::Sender<String>),
) -> Played {
    play_on(line, terminal(look), script).await
}

/// The same in JSON: for a daemon that says what this version does not know.
pub(super) async fn play_in_json(
    line: &str,
    look: Look,
    script: impl AsyncFnOnce(&mut Daemon, mpsc::Sender<String>),
) -> Played {
    let options = Options {
        encoding: Encoding::Json,
        ..Options::default()
    };
    play_with(options, line, terminal(look), script).await
}

pub(super) async fn play_on(
    line: &str,
    scripted: Scripted,
    script: impl AsyncFnOnce(&mut Daemon, mpsc::Sender<String>),
) -> Played {
    play_with(Options::default(), line, scripted, script).await
}

async fn play_with(
    options: Options,
    line: &str,
    scripted: Scripted,
    script: impl AsyncFnOnce(&mut Daemon, mpsc::Sender<String>),
) -> Played {
    let Scripted {
        mut terminal,
        out,
        talk,
        typed,
    } = scripted;
    let words = std::iter::once("wactl").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).expect("a good command line");
    let socket = Path::new("/run/test.sock");
    let (client, mut daemon) = connected(options).await;
    let command = async {
        let result = perform(cli.command, &client, socket, &mut terminal).await;
        finish(result, socket, &mut terminal)
    };
    let script = async {
        script(&mut daemon, typed).await;
        // The daemon stays until the command is done with it.
        tokio::time::sleep(Duration::from_hours(1)).await;
    };
    let exit = tokio::select! {
        exit = command => exit,
        () = script => panic!("the command did not end: {}{}", out.text(), talk.text()),
    };
    Played {
        exit: exit as u8,
        out: out.text(),
        talk: talk.text(),
    }
}

/// Runs a command line that asks one thing.
pub(super) async fn asked(
    line: &str,
    look: Look,
    command: Command,
    result: Result<Answer, Failure>,
) -> Played {
    let script = async move |daemon: &mut Daemon, _| {
        let id = daemon.expect(&command).await;
        daemon.reply(id, result).await;
    };
    play(line, look, script).await
}

fn alice() -> String {
    "alice".to_owned()
}

fn jid(text: &str) -> GroupJid {
    text.parse().expect("a group's JID")
}

/// All of a list on one page.
pub(super) fn listed(sessions: Vec<Status>) -> Answer {
    Answer::Sessions(SessionsPage {
        sessions,
        next: None,
    })
}
