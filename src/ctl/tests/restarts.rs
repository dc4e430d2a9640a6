//! A daemon that stops while it is asked, and the next one on the same socket.

use clap::Parser;

use super::super::arguments::Cli;
use super::super::terminal::scripted::{Scripted, terminal};
use super::super::{RESTARTS, finish, run};
use super::PIPED;
use crate::client::scripted::{Daemon, Host, online};
use crate::protocol::{Answer, Command, Failure, FailureCode, Message, SessionsPage};

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
