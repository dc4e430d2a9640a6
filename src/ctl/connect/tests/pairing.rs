//! From nothing to online.

use super::*;
use crate::client::scripted::{after, ended, entry};
use crate::ctl::tests::{JSON, PERSON, PIPED, play};
use crate::protocol::{Cause, PairCode, Redacted};

#[tokio::test(start_paused = true)]
async fn into_a_pipe_each_code_is_written_once_and_no_cursor_moved() {
    let played = play("connect alice", PIPED, async |daemon: &mut Daemon, _| {
        pairs(daemon).await;
    })
    .await;
    let expected = format!("{SCAN}{}\n{SCAN}{}\n{ONLINE}", drawn(1), drawn(2));
    assert_eq!((played.exit, played.out), (0, expected));
    let talk = "\
alice: connecting
QR code 1 of 6, 1m left
QR code 2 of 6, 20s left
alice: the phone accepted the device; logging in
alice: connecting
";
    assert_eq!(played.talk, talk);
}

#[tokio::test(start_paused = true)]
async fn on_a_terminal_the_next_code_takes_the_place_of_the_last() {
    let played = play("connect alice", PERSON, async |daemon: &mut Daemon, _| {
        pairs(daemon).await;
    })
    .await;
    assert_eq!(played.exit, 0);
    let lines = 3 + drawn(1).lines().count() + 1;
    let replaced = format!(
        "QR code 1 of 6, 1s left\n\u{1b}[{lines}A\r\u{1b}[J{SCAN}{}",
        drawn(2)
    );
    assert!(played.out.contains(&replaced), "{}", played.out);
    // The time runs, on its own line.
    for left in 1..60 {
        let second = format!("\u{1b}[1A\r\u{1b}[2KQR code 1 of 6, {left}s left\n");
        assert_eq!(played.out.matches(&second).count(), 1, "{left}");
    }
    // In the end no code is left to be seen.
    let end = format!("\u{1b}[1A\r\u{1b}[J{ONLINE}");
    assert!(played.out.ends_with(&end), "{}", played.out);
    assert_eq!(
        played.talk,
        "alice: the phone accepted the device; logging in\n"
    );
}

#[tokio::test(start_paused = true)]
async fn for_programs_it_is_a_stream() {
    let played = play("connect alice", JSON, async |daemon: &mut Daemon, _| {
        pairs(daemon).await;
    })
    .await;
    let objects = played.objects();
    assert_eq!(objects[0]["phase"], "connecting");
    let events: Vec<_> = objects[1..]
        .iter()
        .map(|o| o["event"].as_str().expect("an event"))
        .collect();
    assert_eq!(events, ["qr", "qr", "paired", "online"]);
    assert_eq!(objects[2]["status"]["qr"]["code"], "2@code-2,key,key,key");
    assert!(objects.iter().all(|o| o["schema"] == 1));
    assert_eq!((played.exit, played.talk.as_str()), (0, ""));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_online_is_told_so_at_once() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![online("alice")], online("alice")).await;
    };
    let played = play("connect alice", PIPED, script).await;
    assert_eq!(
        (played.exit, played.out.as_str(), played.talk.as_str()),
        (0, ONLINE, "")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_command_ends_no_wait() {
    let script = async |daemon: &mut Daemon, _| {
        begin(
            daemon,
            vec![online("alice")],
            status("alice", Phase::Connecting),
        )
        .await;
        // All of these are from before the session was connected.
        let stale = [
            event(42, EventKind::Online, online("alice")),
            ended(43, entry("alice", Cause::Unlinked)),
            event(44, EventKind::Parked, status("alice", Phase::Parked)),
            event(
                45,
                EventKind::Disconnected,
                status("alice", Phase::Disconnected),
            ),
        ];
        for event in stale {
            daemon.event(event).await;
            answer(daemon, &ask_status(), status("alice", Phase::Connecting)).await;
        }
        daemon
            .event(event(46, EventKind::Online, online("alice")))
            .await;
        answer(daemon, &ask_status(), online("alice")).await;
    };
    let played = play("connect alice", PIPED, script).await;
    assert_eq!((played.exit, played.out.as_str()), (0, ONLINE));
}

#[tokio::test(start_paused = true)]
async fn a_pair_code_for_a_phone_number() {
    let script = async |daemon: &mut Daemon, _| {
        let id = daemon.request().await.expect("a watch").id;
        daemon.begin_watch(id, picture(41, vec![])).await;
        let command = Command::Connect {
            user: "alice".to_owned(),
            phone: Some("+15550100999".to_owned()),
            expect: None,
            proxy: None,
        };
        let pairing = Status {
            pair_code: Some(PairCode {
                code: Some(Redacted::from("ABCDEFGH")),
                phone: "+15550100999".to_owned(),
                expires_at: after(160),
            }),
            ..status("alice", Phase::AwaitingCode)
        };
        answer(daemon, &command, pairing).await;
        daemon
            .event(event(42, EventKind::Online, online("alice")))
            .await;
        answer(daemon, &ask_status(), online("alice")).await;
    };
    let played = play("connect alice --phone +1(555)010-0999", PIPED, script).await;
    assert!(
        played.out.contains("│  A B C D - E F G H  │"),
        "{}",
        played.out
    );
    assert_eq!((played.exit, played.talk.as_str()), (0, "2m 40s left\n"));
}
