//! A daemon that stops while it is asked, and the next one on the same socket.

use clap::Parser;

use super::super::arguments::Cli;
use super::super::terminal::scripted::{Scripted, terminal};
use super::super::{RESTARTS, finish, run};
use super::PIPED;
use crate::client::scripted::{Daemon, Host, event, online, picture, status};
use crate::protocol::{
    Answer, Command, EventKind, Failure, FailureCode, Message, PairCode, Phase, Redacted,
    SessionsPage, Status,
};

/// Says goodbye, whether something was asked or not.
async fn stop(mut daemon: Daemon) {
    let stopping = Failure::new(FailureCode::Stopping, "the daemon is stopping");
    daemon.send(&Message::Closing(stopping)).await;
    daemon.close().await;
}

/// Runs a command line beside the daemons of the script; its exit status, output and talk.
async fn play(line: &str, host: &Host, script: impl Future<Output = ()>) -> (u8, String, String) {
    let Scripted {
        mut terminal,
        out,
        talk,
        ..
    } = terminal(PIPED);
    let words = std::iter::once("wactl").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).expect("a good command line");
    let path = host.path();
    let command = async {
        let result = run(cli.command, &path, &mut terminal).await;
        finish(result, &path, &mut terminal)
    };
    let (exit, ()) = tokio::join!(command, script);
    (exit as u8, out.text(), talk.text())
}

#[tokio::test]
async fn a_command_goes_to_the_next_daemon_when_one_stops() {
    let host = Host::new();
    let script = async {
        // The first stops before it reads, the second when it has read.
        stop(host.accept().await).await;
        let mut second = host.accept().await;
        second.expect(&Command::Ping).await;
        stop(second).await;
        let mut third = host.accept().await;
        let id = third.expect(&Command::Ping).await;
        third.reply(id, Ok(Answer::Pong)).await;
    };
    let (exit, out, talk) = play("daemon ping", &host, script).await;
    assert_eq!((exit, talk.as_str()), (0, ""));
    assert!(out.starts_with("wasessiond/9.9 answers"), "{out}");
}

#[tokio::test]
async fn a_command_that_was_answered_is_not_begun_again() {
    let host = Host::new();
    let script = async {
        let mut daemon = host.accept().await;
        let request = daemon.request().await.expect("a question");
        let page = SessionsPage {
            sessions: vec![online("alice")],
            next: Some("alice".parse().expect("a user")),
        };
        daemon.reply(request.id, Ok(Answer::Sessions(page))).await;
        // It asks for the next page.
        daemon.request().await.expect("a question");
        stop(daemon).await;
    };
    let (exit, _, talk) = play("list", &host, script).await;
    assert_eq!(exit, 69, "{talk}");
    assert!(talk.contains("the daemon is stopping"), "{talk}");
}

#[tokio::test]
async fn a_daemon_that_does_nothing_but_stop_is_not_asked_for_ever() {
    let host = Host::new();
    let script = async {
        for _ in 0..=RESTARTS {
            stop(host.accept().await).await;
        }
    };
    let (exit, _, talk) = play("list", &host, script).await;
    assert_eq!(exit, 69, "{talk}");
    assert!(talk.contains("the daemon is stopping"), "{talk}");
}

/// The daemon dies in the middle of a pairing, and the next one stops at once. The one after it is asked the same.
#[tokio::test]
async fn a_connect_waits_for_the_next_daemon_and_asks_it_for_the_same() {
    let host = Host::new();
    let number = "+15550100999".to_owned();
    let command = Command::Connect {
        user: "alice".to_owned(),
        phone: Some(number.clone()),
        expect: Some(number.clone()),
        proxy: None,
    };
    let code = |code: &str| Status {
        pair_code: Some(PairCode {
            code: Some(Redacted::from(code)),
            phone: number.clone(),
            expires_at: crate::client::scripted::after(160),
        }),
        ..status("alice", Phase::AwaitingCode)
    };
    let script = async {
        for (text, dies) in [("ABCDEFGH", true), ("JKLMNPQR", false)] {
            let mut daemon = host.accept().await;
            let watch = daemon.request().await.expect("a watch");
            daemon.begin_watch(watch.id, picture(41, vec![])).await;
            let id = daemon.expect(&command).await;
            daemon
                .reply(id, Ok(Answer::Status(Box::new(code(text)))))
                .await;
            if dies {
                daemon.close().await;
                stop(host.accept().await).await;
                continue;
            }
            daemon
                .event(event(42, EventKind::Online, online("alice")))
                .await;
            let ask = Command::Status {
                user: "alice".to_owned(),
            };
            let id = daemon.expect(&ask).await;
            let up = Box::new(online("alice"));
            daemon.reply(id, Ok(Answer::Status(up))).await;
        }
    };
    let line = format!("connect alice --phone {number} --expect {number}");
    let (exit, out, talk) = play(&line, &host, script).await;
    assert_eq!(exit, 0, "{talk}");
    for shown in ["A B C D - E F G H", "J K L M - N P Q R", "alice: online as"] {
        assert!(out.contains(shown), "{out}");
    }
    let waits = talk.matches("Waiting for the next daemon").count();
    assert_eq!(waits, 2, "{talk}");
}

#[tokio::test]
async fn a_connect_that_contradicts_itself_asks_no_daemon() {
    let host = Host::new();
    let line = "connect alice --phone +15550100999 --expect +15550100998";
    let (exit, _, talk) = play(line, &host, async {}).await;
    assert_eq!(exit, 2, "{talk}");
    assert!(
        talk.contains("--phone") && talk.contains("--expect"),
        "{talk}"
    );
    let same = "connect alice --phone +15550100999 --expect 15550100999 --detach";
    let script = async {
        let mut daemon = host.accept().await;
        let id = daemon.request().await.expect("a question").id;
        let connecting = Box::new(status("alice", Phase::Connecting));
        daemon.reply(id, Ok(Answer::Status(connecting))).await;
    };
    assert_eq!(play(same, &host, script).await.0, 0);
}
