//! What can go wrong, and QR codes in files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{JSON, PERSON, PIPED, asked, play_on};
use crate::client::scripted::{Daemon, status, with_qr};
use crate::client::{ClientError, Options};
use crate::ctl::error::{Error, Problem};
use crate::ctl::render::qr::{Code, QUIET};
use crate::ctl::terminal::Look;
use crate::ctl::terminal::scripted::terminal;
use crate::ctl::{finish, force_logout, qr};
use crate::protocol::{Answer, Command, Failure, FailureCode, Phase};

const SOCKET: &str = "/run/test.sock";

fn asking_for_alice() -> Command {
    Command::Status {
        user: "alice".to_owned(),
    }
}

#[test]
fn every_error_names_the_socket_and_says_what_to_do() {
    for (error, exit, says) in [
        (
            ClientError::Closed(None),
            69,
            "wactl: /run/test.sock: the daemon closed the connection without a word: it has stopped \
             or is starting again\nThe daemon's log says more; ask again when it runs\n",
        ),
        (
            ClientError::Timeout(Options::default().request_timeout),
            69,
            "wactl: /run/test.sock: the daemon did not answer within 60s. It may still do what was \
             asked: look with `wactl list`\n",
        ),
        (
            ClientError::VersionMismatch(2),
            76,
            "wactl: /run/test.sock: the daemon speaks version 2 of the protocol, this client version \
             1: use a client and a daemon of the same release\n",
        ),
        (
            ClientError::Refused("too many connections".to_owned()),
            1,
            "wactl: /run/test.sock: the daemon refused the connection: too many connections\n",
        ),
        (
            ClientError::NoDaemon {
                path: SOCKET.into(),
                source: std::io::ErrorKind::NotFound.into(),
            },
            69,
            "wactl: no daemon: there is no socket /run/test.sock. Start wasessiond, or name its socket \
             in $WASESSIOND_SOCKET (or with --socket)\n",
        ),
        (
            ClientError::NoDaemon {
                path: SOCKET.into(),
                source: std::io::ErrorKind::ConnectionRefused.into(),
            },
            69,
            "wactl: no daemon: nobody listens on /run/test.sock. If a wasessiond made this socket, it is \
             gone: start it again\n",
        ),
        (
            ClientError::NoDaemon {
                path: SOCKET.into(),
                source: std::io::ErrorKind::PermissionDenied.into(),
            },
            77,
            "wactl: /run/test.sock: permission denied. The socket is for root and the members of its \
             group (wasession, where nothing else is configured)\n",
        ),
    ] {
        let mut t = terminal(PIPED);
        let ended = finish(
            Err(Error::Client(error)),
            Path::new(SOCKET),
            &mut t.terminal,
        );
        assert_eq!((ended as u8, t.talk.text().as_str()), (exit, says));
        assert_eq!(t.out.text(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipe_is_not_an_error() {
    for look in [PIPED, JSON] {
        let script = async |daemon: &mut Daemon, _| {
            let id = daemon.expect(&asking_for_alice()).await;
            daemon
                .reply(id, Ok(Answer::Status(Box::new(with_qr("alice", 1)))))
                .await;
        };
        let played = play_on("status alice", terminal(look).closed(), script).await;
        assert_eq!((played.exit, played.talk.as_str()), (0, ""));
    }
}

#[test]
fn an_output_that_fails_otherwise_is_one() {
    let mut t = terminal(PIPED);
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let ended = finish(Err(Error::Output(full)), Path::new(SOCKET), &mut t.terminal);
    assert_eq!(ended as u8, 1);
    assert!(
        t.talk.text().contains("cannot be written"),
        "{}",
        t.talk.text()
    );
}

#[tokio::test(start_paused = true)]
async fn words_of_others_do_not_reach_the_terminal_raw() {
    let no = Failure::new(FailureCode::Internal, "oh\u{1b}]0;no\u{7}");
    let played = asked("status alice", PERSON, asking_for_alice(), Err(no)).await;
    assert_eq!(played.talk, "wactl: oh\u{fffd}]0;no\u{fffd}\n");
}

fn parse(line: &str) -> crate::ctl::arguments::Command {
    use clap::Parser;
    let words = std::iter::once("wactl").chain(line.split_whitespace());
    let cli = crate::ctl::arguments::Cli::try_parse_from(words);
    cli.expect("a good command line").command
}

#[test]
fn force_logout_without_anyone_to_ask_is_a_usage_error() {
    use crate::ctl::arguments::Command::ForceLogout;
    for (line, look, good) in [
        ("force-logout alice", PIPED, false),
        ("force-logout alice", JSON, false),
        ("force-logout alice --yes", PIPED, true),
        ("force-logout alice -y", JSON, true),
        ("force-logout alice", PERSON, true),
    ] {
        let ForceLogout(arguments) = parse(line) else {
            panic!("not a force-logout");
        };
        let checked = force_logout::check(&arguments, &terminal(look).terminal);
        assert_eq!(checked.is_ok(), good, "{line}");
        if let Err(problem) = checked {
            assert_eq!(problem.exit as u8, 2);
            assert!(problem.message.contains("alice") && problem.message.contains("--yes"));
        }
    }
}

#[test]
fn an_image_does_not_go_to_a_terminal() {
    use crate::ctl::arguments::Command::Qr;
    for (line, look, good) in [
        ("qr alice --format png", PERSON, false),
        ("qr alice --format png", PIPED, true),
        ("qr alice --format png --output x", PERSON, true),
        ("qr alice --output x.png", PERSON, true),
        ("qr alice --format svg", PERSON, true),
        ("qr alice", PERSON, true),
    ] {
        let Qr(arguments) = parse(line) else {
            panic!("not a qr");
        };
        let checked: Result<(), Problem> = qr::check(&arguments, &terminal(look).terminal);
        assert_eq!(checked.is_ok(), good, "{line}");
    }
}

async fn qr(line: &str, look: Look) -> super::Played {
    let answer = Ok(Answer::Status(Box::new(with_qr("alice", 2))));
    asked(line, look, asking_for_alice(), answer).await
}

#[tokio::test(start_paused = true)]
async fn a_qr_code_is_written_in_every_format() {
    let text = "2@code-2,key,key,key";
    let code = Code::new(text).expect("a code");
    let drawn = format!("{}\n", code.lines(QUIET, false).join("\n"));
    assert_eq!(qr("qr alice", PIPED).await.out, drawn);
    assert_eq!(qr("qr alice --format terminal", PERSON).await.out, drawn);
    assert_eq!(qr("qr alice --format svg", PIPED).await.out, code.svg());
    let played = qr("qr alice --format text", PIPED).await;
    assert_eq!(played.out, format!("{text}\n"));
    assert_eq!(played.talk, "QR code 2 of 6, 1m 20s left\n");
}

#[tokio::test(start_paused = true)]
async fn a_qr_code_in_a_file_is_for_its_owner_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let code = Code::new("2@code-2,key,key,key").expect("a code");
    for (name, expected) in [
        ("a.png", code.png().expect("an image")),
        ("a.svg", code.svg().into_bytes()),
        (
            "a.txt",
            format!("{}\n", code.lines(QUIET, false).join("\n")).into_bytes(),
        ),
    ] {
        let path = directory.path().join(name);
        // One that was there before, longer, and for all to read.
        std::fs::write(&path, vec![b'x'; 100_000]).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
        let played = qr(&format!("qr alice --output {}", path.display()), PIPED).await;
        assert_eq!((played.exit, played.out.as_str()), (0, ""));
        assert_eq!(std::fs::read(&path).expect("a file"), expected, "{name}");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let nowhere = directory.path().join("none/a.png");
    let played = qr(&format!("qr alice --output {}", nowhere.display()), PIPED).await;
    assert_eq!(played.exit, 1);
    assert!(
        played.talk.contains("none/a.png cannot be written"),
        "{}",
        played.talk
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_qr_code_it_says_why() {
    for (phase, says) in [
        (Phase::Online, "linked already"),
        (Phase::Connecting, "ask again in a moment"),
        (Phase::AwaitingCode, "by a code to type"),
        (Phase::Parked, "it is parked"),
    ] {
        let answer = Ok(Answer::Status(Box::new(status("alice", phase))));
        let played = asked("qr alice", PIPED, asking_for_alice(), answer).await;
        assert_eq!((played.exit, played.out.as_str()), (1, ""));
        assert!(
            played.talk.contains(says) && played.talk.contains("alice"),
            "{}",
            played.talk
        );
    }
}
