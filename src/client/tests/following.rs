//! A follower against a daemon's end that goes and comes back, on a real socket.

use crate::client::scripted::{
    Daemon, Host, Picture, after, connected, ended, entry, event, online, picture, status,
};
use crate::client::{Client, ClientError, Follow, FollowItem, Options};
use crate::protocol::{
    Cause, Command, EventKind, Failure, FailureCode, HistoryEntry, Phase, Since,
};

impl Host {
    /// A follower of everybody, with the daemon's end of its connection.
    async fn follow(&self, known: Vec<HistoryEntry>, beginning: Picture) -> (Follow, Daemon) {
        let following = async {
            let client = Client::connect(&self.path(), Options::default()).await?;
            client.follow([""; 0], None).await
        };
        let script = async {
            let mut daemon = self.accept().await;
            daemon.tell_history(None, known).await;
            let id = daemon.expect(&watch(None)).await;
            daemon.begin_watch(id, beginning).await;
            daemon
        };
        let (follow, daemon) = tokio::join!(following, script);
        (follow.expect("it begins"), daemon)
    }

    /// The daemon is back, and the follower asks for what came after this number.
    async fn resume(&self, seq: u64, beginning: Picture) -> Daemon {
        let mut daemon = self.accept().await;
        let since = Since {
            epoch: Some(5),
            seq,
        };
        let id = daemon.expect(&watch(Some(since))).await;
        daemon.begin_watch(id, beginning).await;
        daemon
    }
}

fn watch(since: Option<Since>) -> Command {
    Command::Watch {
        users: Vec::new(),
        since,
    }
}

fn end(user: &str, minute: i64) -> HistoryEntry {
    HistoryEntry {
        at: after(60 * minute),
        ..entry(user, Cause::Unlinked)
    }
}

fn with_gap(picture: Picture) -> Picture {
    Picture {
        gap: true,
        ..picture
    }
}

/// What the next items are, in short.
async fn told(follow: &mut Follow, items: usize) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..items {
        told.push(match follow.next().await.expect("it goes on") {
            FollowItem::State(state) => format!("state {}", state.seq()),
            FollowItem::Event(event) => format!("{} {}", event.user, event.kind),
            FollowItem::Replayed(event) => format!("replayed {} {}", event.user, event.kind),
            FollowItem::Missed(entry) => format!("missed {}", entry.user),
            FollowItem::Lagged { missed, .. } => format!("lagged {missed}"),
            FollowItem::Lost(error) => format!("lost: {error}"),
        });
    }
    told
}

const GONE: &str =
    "lost: the daemon closed the connection without a word: it has stopped or is starting again";

#[tokio::test]
async fn a_broken_connection_is_made_again_and_goes_on_where_it_was() {
    let host = Host::new();
    let sessions = || vec![online("alice")];
    let (mut follow, mut daemon) = host.follow(vec![], picture(7, sessions())).await;
    let script = async {
        let lost = event(8, EventKind::BackingOff, status("alice", Phase::BackingOff));
        daemon.event(lost).await;
        daemon.close().await;
        let mut back = picture(9, sessions());
        back.replayed = vec![event(9, EventKind::Online, online("alice"))];
        let daemon = host.resume(8, back).await;
        (daemon, ())
    };
    let expected = [
        "state 7",
        "alice backing_off",
        GONE,
        "replayed alice online",
        "state 9",
    ];
    let ((_daemon, ()), items) = tokio::join!(script, told(&mut follow, expected.len()));
    assert_eq!(items, expected);
    assert_eq!(follow.position().seq, 9);
}

#[tokio::test]
async fn an_end_that_no_event_told_is_found_in_the_history_and_told_once() {
    let host = Host::new();
    let old = end("zoe", 0);
    let (mut follow, mut daemon) = host.follow(vec![old.clone()], picture(7, vec![])).await;
    let script = async {
        daemon.event(ended(8, end("alice", 3))).await;
        daemon.close().await;
        // Another run; alice's end stands between two that nobody reported, and carol's is reported late.
        let back = with_gap(picture(2, vec![status("carol", Phase::LoggingOut)]));
        let mut daemon = host.resume(8, back).await;
        let lines = [
            end("carol", 4),
            end("alice", 3),
            end("bob", 2),
            old,
            end("zoe", -1),
        ];
        daemon.tell_history(None, lines.to_vec()).await;
        daemon.event(ended(3, end("carol", 4))).await;
        daemon.event(ended(4, end("alice", 5))).await;
        daemon
    };
    let expected = [
        "state 7",
        "alice logged_out",
        GONE,
        "missed bob",
        "missed carol",
        "state 2",
        "alice logged_out",
    ];
    let (_daemon, items) = tokio::join!(script, told(&mut follow, expected.len()));
    assert_eq!(items, expected);
    // The picture has what was not reported twice.
    assert_eq!((follow.position().seq, follow.view().len()), (4, 0));
}

#[tokio::test]
async fn a_daemon_that_goes_while_the_history_is_read_costs_no_end() {
    let host = Host::new();
    let (mut follow, mut daemon) = host.follow(vec![], picture(7, vec![])).await;
    let script = async {
        daemon.close().await;
        let mut back = with_gap(picture(9, vec![]));
        back.replayed = vec![event(9, EventKind::Online, online("bob"))];
        let mut daemon = host.resume(7, back.clone()).await;
        daemon.request().await.expect("a question");
        daemon.close().await;
        // What it did not learn then, it asks for again.
        let mut daemon = host.resume(7, back).await;
        daemon.tell_history(None, vec![end("alice", 1)]).await;
        daemon
    };
    let expected = [
        "state 7",
        GONE,
        GONE,
        "missed alice",
        "replayed bob online",
        "state 9",
    ];
    let (_daemon, items) = tokio::join!(script, told(&mut follow, expected.len()));
    assert_eq!(items, expected);
}

#[tokio::test]
async fn a_reader_that_fell_behind_is_told_the_ends_all_the_same() {
    let host = Host::new();
    let (mut follow, mut daemon) = host.follow(vec![], picture(7, vec![])).await;
    let script = async {
        daemon.event(ended(8, end("alice", 1))).await;
        daemon.lagged(5, picture(20, vec![online("carol")])).await;
        let lines = vec![end("bob", 3), end("bob", 2), end("alice", 1)];
        daemon.tell_history(None, lines).await;
        daemon
    };
    let expected = [
        "state 7",
        "alice logged_out",
        "missed bob",
        "missed bob",
        "lagged 5",
    ];
    let (_daemon, items) = tokio::join!(script, told(&mut follow, expected.len()));
    assert_eq!(items, expected);
    assert_eq!((follow.position().seq, follow.view().len()), (20, 1));
}

#[tokio::test]
async fn many_ends_are_forgotten_when_the_history_has_them() {
    const MANY: i64 = 4097;
    const AT_ONCE: usize = 17;
    let host = Host::new();
    let (mut follow, mut daemon) = host.follow(vec![], picture(0, vec![])).await;
    assert_eq!(told(&mut follow, 1).await, ["state 0"]);
    let nth = |n: i64| end(&format!("user{n}"), n);
    let numbers: Vec<i64> = (1..=MANY).collect();
    for some in numbers.chunks(AT_ONCE) {
        for n in some {
            daemon.event(ended(n.unsigned_abs(), nth(*n))).await;
        }
        let items = told(&mut follow, some.len()).await;
        assert!(items.iter().all(|item| item.ends_with("logged_out")));
    }
    let newest_first = (MANY - 50..=MANY).rev().map(nth).collect();
    daemon.tell_history(None, newest_first).await;
    daemon.event(ended(5000, end("late", 9000))).await;
    assert_eq!(told(&mut follow, 1).await, ["late logged_out"]);
}

#[tokio::test]
async fn what_trying_again_cannot_help_is_the_end() {
    let host = Host::new();
    let (mut follow, mut daemon) = host.follow(vec![], picture(7, vec![])).await;
    let script = async {
        daemon.close().await;
        let mut busy = host.accept().await;
        let id = busy.request().await.expect("a watch").id;
        let failure = Failure::new(FailureCode::QuotaExceeded, "too many");
        busy.reply(id, Err(failure)).await;
        let mut other = host.accept().await;
        let id = other.request().await.expect("a watch").id;
        let failure = Failure::new(FailureCode::NotAllowed, "no longer");
        other.reply(id, Err(failure)).await;
        (busy, other)
    };
    let (_daemons, items) = tokio::join!(script, told(&mut follow, 2));
    assert_eq!(items, ["state 7", GONE]);
    let error = follow.next().await.expect_err("it is refused");
    let ClientError::Failure(failure) = error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.code, FailureCode::NotAllowed);
    assert!(follow.next().await.is_err(), "it goes on after the end");
}

#[tokio::test]
async fn over_a_stream_the_end_is_the_end() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        daemon.tell_history(Some("alice"), vec![]).await;
        let id = daemon.request().await.expect("a watch").id;
        daemon.begin_watch(id, picture(7, vec![])).await;
        daemon.close().await;
    };
    let (follow, ()) = tokio::join!(client.follow(["alice"], None), script);
    let mut follow = follow.expect("it begins");
    assert_eq!(told(&mut follow, 1).await, ["state 7"]);
    let error = follow.next().await.expect_err("the end");
    assert!(matches!(error, ClientError::Closed(None)), "{error:?}");
}
