//! The client against a daemon's end that follows a script.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::UnixListener;

use super::feed::CAPACITY;
use super::scripted::{Daemon, connected, ended, entry, event, online, status, watching, with_qr};
use super::{Client, ClientError, Disconnected, Options, WatchItem};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::Hello;
use crate::protocol::{
    Answer, Cause, Command, EventKind, Failure, FailureCode, LogoutReport, Message, Phase, Since,
    TargetEdit,
};

fn json() -> Options {
    Options {
        encoding: Encoding::Json,
        ..Options::default()
    }
}

async fn watch_of(client: &Client, daemon: &mut Daemon, seq: u64) -> super::Watch {
    let script = async {
        let request = daemon.request().await.expect("a watch");
        let state = watching(seq, vec![status("alice", Phase::Connecting)]);
        daemon.reply(request.id, Ok(Answer::Watching(state))).await;
    };
    let (watch, ()) = tokio::join!(client.watch(["alice"], None), script);
    watch.expect("watching")
}

#[tokio::test]
async fn both_encodings_speak() {
    for options in [Options::default(), json()] {
        let (client, mut daemon) = connected(options).await;
        assert_eq!(client.server(), "wasessiond/9.9");
        let script = async {
            let id = daemon.expect(&Command::Ping).await;
            daemon.reply(id, Ok(Answer::Pong)).await;
            let user = "alice".to_owned();
            let id = daemon.expect(&Command::Status { user }).await;
            let answer = Answer::Status(Box::new(with_qr("alice", 1)));
            daemon.reply(id, Ok(answer)).await;
        };
        let calls = async {
            client.ping().await.expect("pong");
            assert_eq!(
                client.status("alice").await.expect("a status"),
                with_qr("alice", 1)
            );
        };
        tokio::join!(script, calls);
    }
}

#[tokio::test]
async fn a_slow_request_holds_up_no_other() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        let slow = daemon.request().await.expect("the first");
        let quick = daemon.request().await.expect("the second");
        assert_ne!(slow.id, quick.id);
        daemon.reply(quick.id, Ok(Answer::Pong)).await;
        let report = LogoutReport {
            entry: entry("alice", Cause::ForceLogout),
            next_action: "Connect again.".to_owned(),
        };
        daemon
            .reply(slow.id, Ok(Answer::LoggedOut(Box::new(report))))
            .await;
    };
    let slow = async {
        let report = client.force_logout("alice").await.expect("gone");
        assert_eq!(report.entry.cause, Cause::ForceLogout);
        std::time::Instant::now()
    };
    let quick = async {
        client.ping().await.expect("pong");
        std::time::Instant::now()
    };
    let ((), slow, quick) = tokio::join!(script, slow, quick);
    assert!(quick < slow);
}

#[tokio::test]
async fn the_daemons_no_arrives_whole() {
    let (client, mut daemon) = connected(json()).await;
    let no = Failure {
        last_logout: Some(Box::new(entry("alice", Cause::Unlinked))),
        ..Failure::new(FailureCode::NotFound, "alice has no session")
    };
    let script = async {
        let request = daemon.request().await.expect("a request");
        daemon.reply(request.id, Err(no.clone())).await;
    };
    let (result, ()) = tokio::join!(client.disconnect("alice"), script);
    match result {
        Err(ClientError::Failure(failure)) => assert_eq!(failure, no),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn disconnect_tells_kept_from_removed() {
    let (client, mut daemon) = connected(Options::default()).await;
    let kept = status("alice", Phase::Disconnected);
    let removed = LogoutReport {
        entry: entry("alice", Cause::PairingAbandoned),
        next_action: String::new(),
    };
    let script = async {
        let id = daemon.request().await.expect("a request").id;
        daemon
            .reply(id, Ok(Answer::Status(Box::new(kept.clone()))))
            .await;
        let id = daemon.request().await.expect("a request").id;
        daemon
            .reply(id, Ok(Answer::LoggedOut(Box::new(removed.clone()))))
            .await;
    };
    let calls = async {
        let first = client.disconnect("alice").await.expect("closed");
        assert_eq!(first, Disconnected::Kept(Box::new(kept.clone())));
        let second = client.disconnect("alice").await.expect("removed");
        assert_eq!(second, Disconnected::Removed(Box::new(removed.clone())));
    };
    tokio::join!(script, calls);
}

#[tokio::test]
async fn an_answer_to_something_else_is_a_protocol_error() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        let id = daemon.request().await.expect("a request").id;
        daemon.reply(id, Ok(Answer::Pong)).await;
    };
    let (result, ()) = tokio::join!(client.targets("alice", TargetEdit::Show), script);
    assert!(
        matches!(result, Err(ClientError::Protocol(_))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_watch_keeps_in_step() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 41).await;
    let alice = "alice".parse().expect("a user id");
    assert_eq!(watch.beginning().seq, 41);
    assert_eq!(
        watch.view().get(&alice).map(|s| s.phase),
        Some(Phase::Connecting)
    );

    daemon
        .event(event(42, EventKind::Qr, with_qr("alice", 1)))
        .await;
    daemon
        .event(ended(44, entry("alice", Cause::PairingExpired)))
        .await;
    let first = watch.next().await.expect("an event");
    assert_eq!(
        first,
        WatchItem::Event(Box::new(event(42, EventKind::Qr, with_qr("alice", 1))))
    );
    assert_eq!(watch.view().get(&alice), Some(&with_qr("alice", 1)));
    assert_eq!(
        watch.position(),
        Since {
            epoch: Some(5),
            seq: 42
        }
    );
    watch.next().await.expect("an event");
    assert!(watch.view().is_empty());
    assert_eq!(watch.position().seq, 44);

    let state = watching(90, vec![online("alice")]);
    daemon
        .send(&Message::Lagged {
            missed: 7,
            state: state.clone(),
        })
        .await;
    let lagged = WatchItem::Lagged {
        missed: 7,
        state: Box::new(state),
    };
    assert_eq!(watch.next().await.expect("lagged"), lagged);
    assert_eq!(watch.view().get(&alice), Some(&online("alice")));
    assert_eq!(watch.position().seq, 90);
}

#[tokio::test]
async fn a_watch_nobody_reads_stays_bounded_and_holds_up_nothing() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 0).await;
    let last = 3 * CAPACITY as u64;
    for seq in 1..=last {
        let next = if seq == 10 {
            ended(seq, entry("bob", Cause::Unlinked))
        } else {
            event(
                seq,
                EventKind::Connecting,
                status("alice", Phase::Connecting),
            )
        };
        daemon.event(next).await;
    }
    daemon
        .event(event(last + 1, EventKind::Online, online("alice")))
        .await;

    // Behind all of these the reply to a request comes through.
    let script = async {
        let id = daemon.expect(&Command::Ping).await;
        daemon.reply(id, Ok(Answer::Pong)).await;
    };
    let (pong, ()) = tokio::join!(client.ping(), script);
    pong.expect("pong");

    let (mut seen, mut missed, mut ends) = (0, 0, 0);
    while watch.position().seq <= last {
        match watch.next().await.expect("an item") {
            WatchItem::Event(event) => {
                seen += 1;
                ends += u64::from(event.kind.ended().is_some());
            }
            WatchItem::Lagged {
                missed: more,
                state,
            } => {
                missed += more;
                assert!(state.gap);
            }
        }
    }
    assert_eq!(seen + missed, last + 1, "{seen} seen, {missed} missed");
    assert_eq!(ends, 1, "the end of bob's session was lost");
    assert!(seen <= CAPACITY as u64 + 1);
    let sessions: Vec<_> = watch.view().sessions().cloned().collect();
    assert_eq!(sessions, [online("alice")]);
}

#[tokio::test]
async fn a_second_watch_replaces_the_first() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut first = watch_of(&client, &mut daemon, 1).await;
    daemon
        .event(event(2, EventKind::Online, online("alice")))
        .await;
    let mut second = watch_of(&client, &mut daemon, 2).await;
    daemon
        .event(event(3, EventKind::Online, online("alice")))
        .await;

    assert!(matches!(first.next().await, Ok(WatchItem::Event(e)) if e.seq == 2));
    assert!(matches!(first.next().await, Err(ClientError::Replaced)));
    assert!(matches!(second.next().await, Ok(WatchItem::Event(e)) if e.seq == 3));
}

#[tokio::test]
async fn a_watch_is_resumed_on_a_new_connection() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 41).await;
    daemon
        .event(event(42, EventKind::Online, online("alice")))
        .await;
    watch.next().await.expect("an event");
    drop(daemon);
    assert!(matches!(watch.next().await, Err(ClientError::Closed(None))));

    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        let since = Some(Since {
            epoch: Some(5),
            seq: 42,
        });
        let users = vec!["alice".to_owned()];
        let id = daemon.expect(&Command::Watch { users, since }).await;
        let mut state = watching(44, vec![online("alice")]);
        state.gap = true;
        daemon.reply(id, Ok(Answer::Watching(state))).await;
    };
    let (resumed, ()) = tokio::join!(watch.resume(&client), script);
    assert!(resumed.expect("resumed").beginning().gap);
}

#[tokio::test]
async fn last_words_reach_everyone_who_waits() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 1).await;
    let stopping = Failure::new(FailureCode::Stopping, "the daemon is stopping");
    let script = async {
        daemon.request().await.expect("a request");
        daemon
            .event(event(2, EventKind::Online, online("alice")))
            .await;
        daemon.send(&Message::Closing(stopping.clone())).await;
        drop(daemon);
    };
    let (pending, ()) = tokio::join!(client.groups("alice"), script);
    let closed = |result: &Result<_, ClientError>| matches!(result, Err(ClientError::Closed(Some(why))) if *why == stopping);
    assert!(closed(&pending.map(drop)));
    assert!(
        watch.next().await.is_ok(),
        "what came before the end is still read"
    );
    assert!(closed(&watch.next().await.map(drop)));
    assert!(closed(&client.ping().await), "and whoever asks later");
}

#[tokio::test(start_paused = true)]
async fn a_silent_daemon_runs_into_the_timeout_and_a_late_reply_harms_nobody() {
    let (client, mut daemon) = connected(Options::default()).await;
    let began = tokio::time::Instant::now();
    let result = client.ping().await;
    assert!(matches!(result, Err(ClientError::Timeout(_))), "{result:?}");
    assert_eq!(began.elapsed(), Options::default().request_timeout);

    let script = async {
        let late = daemon.request().await.expect("the old one").id;
        let fresh = daemon.request().await.expect("the new one").id;
        daemon
            .reply(late, Err(Failure::new(FailureCode::Internal, "late")))
            .await;
        daemon.reply(fresh, Ok(Answer::Pong)).await;
    };
    let (pong, ()) = tokio::join!(client.ping(), script);
    pong.expect("the reply to the second request");
}

#[tokio::test]
async fn a_reply_to_nothing_ends_the_connection() {
    for id in [0, 1, u64::MAX] {
        let (client, mut daemon) = connected(Options::default()).await;
        daemon.reply(id, Ok(Answer::Pong)).await;
        tokio::task::yield_now().await;
        let result = client.ping().await;
        assert!(
            matches!(result, Err(ClientError::Protocol(_))),
            "{id}: {result:?}"
        );
    }
}

#[tokio::test]
async fn garbage_is_a_protocol_error_and_is_believed_nothing() {
    for (encoding, frame) in [
        (Encoding::Json, b"{}".to_vec()),
        (Encoding::Json, b"{\"event\":null}".to_vec()),
        (Encoding::Bincode, vec![]),
        (Encoding::Bincode, vec![0xff; 26]),
        // A string that claims 2^40 bytes.
        (Encoding::Bincode, vec![1, 1, 253, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let options = Options {
            encoding,
            ..Options::default()
        };
        let (client, mut daemon) = connected(options).await;
        daemon.raw(frame.clone()).await;
        let result = client.ping().await;
        assert!(
            matches!(result, Err(ClientError::Protocol(_))),
            "{frame:?}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_frame_over_the_limit_is_not_read() {
    let (client, daemon) = connected(Options::default()).await;
    let mut stream = daemon.into_stream();
    stream
        .write_all(&(1024 * 1024 + 1_u32).to_be_bytes())
        .await
        .expect("sent");
    let result = client.ping().await;
    assert!(
        matches!(result, Err(ClientError::Protocol(_))),
        "{result:?}"
    );
}

#[tokio::test]
async fn the_connection_closes_with_the_last_of_its_users() {
    let (client, mut daemon) = connected(Options::default()).await;
    let watch = watch_of(&client, &mut daemon, 1).await;
    drop(client);
    tokio::task::yield_now().await;
    let still = tokio::time::timeout(Duration::from_millis(20), daemon.request()).await;
    assert!(still.is_err(), "closed although a watch is open");
    drop(watch);
    assert_eq!(daemon.request().await, None);
}

/// What the client makes of a daemon that says this first.
async fn welcomed_with(answer: &[u8]) -> ClientError {
    let (ours, mut theirs) = duplex(4096);
    theirs.write_all(answer).await.expect("sent");
    theirs.shutdown().await.expect("closed");
    Client::over(ours, Options::default())
        .await
        .expect_err("a bad welcome was taken")
}

fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

#[tokio::test]
async fn a_bad_welcome_is_told_apart() {
    let refused = welcomed_with(&framed("wasession/1 error too many connections")).await;
    assert!(matches!(&refused, ClientError::Refused(why) if why == "too many connections"));
    let newer = welcomed_with(&framed("wasession/2 ok wasessiond/2.0")).await;
    assert!(matches!(newer, ClientError::VersionMismatch(2)));
    for other in [framed("+OK"), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()] {
        let error = welcomed_with(&other).await;
        assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
    }
    assert!(matches!(
        welcomed_with(b"").await,
        ClientError::Closed(None)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_welcome_runs_into_the_timeout() {
    let (ours, _theirs) = duplex(4096);
    let error = Client::over(ours, Options::default())
        .await
        .expect_err("no welcome");
    assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_long_name_still_makes_a_good_preface() {
    let name = format!("näme\n{}", "ü".repeat(1000));
    let (ours, mut theirs) = duplex(4096);
    let hello = async {
        use tokio::io::AsyncReadExt;
        let length = theirs.read_u32().await.expect("a length") as usize;
        let mut frame = vec![0; length];
        theirs.read_exact(&mut frame).await.expect("a preface");
        theirs
            .write_all(&framed("wasession/1 ok x"))
            .await
            .expect("sent");
        Hello::parse(&frame).expect("a good preface")
    };
    let options = Options {
        name,
        ..Options::default()
    };
    let (client, hello) = tokio::join!(Client::over(ours, options), hello);
    client.expect("welcome");
    assert!(hello.client.starts_with("nämeüü"), "{}", hello.client);
}

#[tokio::test]
async fn who_is_not_there_is_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control.sock");
    let connect = || Client::connect(&path, Options::default());

    let missing = connect().await.expect_err("nothing there").to_string();
    assert!(
        missing.contains("there is no socket") && missing.contains("control.sock"),
        "{missing}"
    );
    drop(UnixListener::bind(&path).expect("bound"));
    let stale = connect().await.expect_err("nobody listens").to_string();
    assert!(stale.contains("nobody listens on"), "{stale}");

    let refused = ClientError::NoDaemon {
        path: path.clone(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert!(refused.to_string().contains("group"), "{refused}");
}
