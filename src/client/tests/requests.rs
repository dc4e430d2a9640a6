//! Requests, replies, and what is neither.

use tokio::io::AsyncWriteExt;

use crate::client::scripted::{connected, entry, online, status, with_qr};
use crate::client::{ClientError, Disconnected, Options};
use crate::protocol::codec::Encoding;
use crate::protocol::{
    Answer, Cause, Command, Failure, FailureCode, HistoryPage, LogoutReport, Phase, SessionsPage,
    TargetEdit,
};

fn json() -> Options {
    Options {
        encoding: Encoding::Json,
        ..Options::default()
    }
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
async fn a_list_is_followed_from_page_to_page() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        for (after, user, next) in [
            (None, "alice", Some("alice")),
            (Some("alice"), "bob", Some("bob")),
            (Some("bob"), "carol", None),
        ] {
            let after = after.map(str::to_owned);
            let id = daemon.expect(&Command::List { after }).await;
            let page = SessionsPage {
                sessions: vec![online(user)],
                next: next.map(|user| user.parse().expect("a user id")),
            };
            daemon.reply(id, Ok(Answer::Sessions(page))).await;
        }
    };
    let (listed, ()) = tokio::join!(client.list(), script);
    let all = ["alice", "bob", "carol"].map(online);
    assert_eq!(listed.expect("a list"), all);
}

#[tokio::test]
async fn a_list_that_goes_round_is_a_protocol_error() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        for _ in 0..2 {
            let id = daemon.request().await.expect("a request").id;
            let page = SessionsPage {
                sessions: vec![online("alice")],
                next: Some("alice".parse().expect("a user id")),
            };
            daemon.reply(id, Ok(Answer::Sessions(page))).await;
        }
    };
    let (listed, ()) = tokio::join!(client.list(), script);
    assert!(
        matches!(listed, Err(ClientError::Protocol(_))),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_history_is_followed_until_it_is_enough() {
    let (client, mut daemon) = connected(Options::default()).await;
    let of = |user: &str| entry(user, Cause::Unlinked);
    let script = async {
        for (limit, before, users, next) in [
            (3, None, vec!["a", "b"], Some("2")),
            (1, Some("2"), vec!["c"], Some("3")),
            (100, None, vec!["a"], Some("1")),
            (99, Some("1"), vec!["b"], None),
        ] {
            let command = Command::History {
                user: None,
                limit: Some(limit),
                before: before.map(str::to_owned),
            };
            let id = daemon.expect(&command).await;
            let page = HistoryPage {
                entries: users.into_iter().map(of).collect(),
                next: next.map(str::to_owned),
            };
            daemon.reply(id, Ok(Answer::History(page))).await;
        }
    };
    let calls = async {
        let three = client.history(None, Some(3)).await.expect("a history");
        assert_eq!(three, ["a", "b", "c"].map(of));
        let all = client.history(None, None).await.expect("a history");
        assert_eq!(all, ["a", "b"].map(of));
    };
    tokio::join!(script, calls);
}
