//! Whole waits, against a daemon's end that follows a script.

mod endings;
mod pairing;
mod trouble;

use std::time::Duration;

use tokio::time::sleep;

use crate::client::scripted::{Daemon, event, online, picture, status, with_qr};
use crate::ctl::render::qr::{Code, QUIET};
use crate::protocol::{Answer, Command, EventKind, Failure, FailureCode, Phase, Status};

fn connect() -> Command {
    Command::Connect {
        user: "alice".to_owned(),
        phone: None,
        expect: None,
        proxy: None,
    }
}

fn ask_status() -> Command {
    Command::Status {
        user: "alice".to_owned(),
    }
}

/// Answers the watch with what was there before, then the command with what is there now.
async fn begin(daemon: &mut Daemon, before: Vec<Status>, now: Status) {
    let watch = Command::Watch {
        users: vec!["alice".to_owned()],
        since: None,
    };
    let id = daemon.expect(&watch).await;
    daemon.begin_watch(id, picture(41, before)).await;
    answer(daemon, &connect(), now).await;
}

async fn answer(daemon: &mut Daemon, command: &Command, now: Status) {
    let id = daemon.expect(command).await;
    daemon.reply(id, Ok(Answer::Status(Box::new(now)))).await;
}

async fn refuse(daemon: &mut Daemon, command: &Command, no: Failure) {
    let id = daemon.expect(command).await;
    daemon.reply(id, Err(no)).await;
}

fn not_found() -> Failure {
    Failure::new(FailureCode::NotFound, "alice has no session")
}

/// From a new session over two QR codes to online.
async fn pairs(daemon: &mut Daemon) {
    begin(daemon, vec![], status("alice", Phase::Connecting)).await;
    daemon
        .event(event(42, EventKind::Qr, with_qr("alice", 1)))
        .await;
    sleep(Duration::from_millis(59_500)).await;
    daemon
        .event(event(43, EventKind::Qr, with_qr("alice", 2)))
        .await;
    sleep(Duration::from_secs(2)).await;
    let connecting = status("alice", Phase::Connecting);
    daemon.event(event(44, EventKind::Paired, connecting)).await;
    daemon
        .event(event(45, EventKind::Online, online("alice")))
        .await;
    answer(daemon, &ask_status(), online("alice")).await;
}

fn drawn(number: u32) -> String {
    let code = Code::new(&format!("2@code-{number},key,key,key")).expect("a code");
    code.lines(QUIET, false).join("\n")
}

const ONLINE: &str = "alice: online as +15550100999 Alice (15550100999:4@s.whatsapp.net)\n";

const SCAN: &str = "\
Scan this code with the phone of the account. In WhatsApp:
Settings → Linked devices → Link a device

";
