//! Watches: in step, bounded, replaced, resumed, ended.

use std::time::Duration;

use crate::client::feed::{CAPACITY, STATES};
use crate::client::scripted::{
    Daemon, connected, ended, entry, event, online, picture, status, with_qr,
};
use crate::client::{Client, ClientError, Options, Snapshot, Watch, WatchItem};
use crate::protocol::{
    Answer, Cause, Command, EventKind, Failure, FailureCode, Message, Phase, Since, View, Watching,
};

async fn watch_of(client: &Client, daemon: &mut Daemon, seq: u64) -> Watch {
    let script = async {
        let request = daemon.request().await.expect("a watch");
        let state = picture(seq, vec![status("alice", Phase::Connecting)]);
        daemon.begin_watch(request.id, state).await;
    };
    let (watch, ()) = tokio::join!(client.watch(["alice"], None), script);
    watch.expect("watching")
}

#[tokio::test]
async fn a_watch_keeps_in_step() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 41).await;
    let alice = "alice".parse().expect("a user id");
    assert_eq!(watch.beginning().seq(), 41);
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

    daemon.lagged(7, picture(90, vec![online("alice")])).await;
    let lagged = WatchItem::Lagged {
        missed: 7,
        state: Box::new(Snapshot {
            epoch: 5,
            gap: true,
            view: View::new(90, [online("alice")]),
        }),
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
        let mut state = picture(44, vec![online("alice")]);
        state.gap = true;
        state.replayed = vec![ended(43, entry("alice", Cause::Unlinked))];
        daemon.begin_watch(id, state).await;
    };
    let (resumed, ()) = tokio::join!(watch.resume(&client), script);
    let resumed = resumed.expect("resumed");
    assert!(resumed.beginning().gap);
    assert_eq!(
        resumed.replayed(),
        [ended(43, entry("alice", Cause::Unlinked))]
    );
    assert_eq!(resumed.view(), &View::new(44, [online("alice")]));
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

#[tokio::test(start_paused = true)]
async fn a_state_that_does_not_arrive_runs_into_the_timeout() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        let id = daemon.request().await.expect("a watch").id;
        let watching = Watching {
            epoch: 5,
            seq: 1,
            gap: false,
        };
        daemon.reply(id, Ok(Answer::Watching(watching))).await;
        let first = Message::Present(Box::new(online("alice")));
        daemon.send(&first).await;
    };
    let (watch, ()) = tokio::join!(client.watch(["alice"], None), script);
    assert!(matches!(watch, Err(ClientError::Timeout(_))), "{watch:?}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_state_is_complete_ends_the_watch() {
    let (client, mut daemon) = connected(Options::default()).await;
    let script = async {
        let id = daemon.request().await.expect("a watch").id;
        let watching = Watching {
            epoch: 5,
            seq: 1,
            gap: false,
        };
        daemon.reply(id, Ok(Answer::Watching(watching))).await;
        drop(daemon);
    };
    let (watch, ()) = tokio::join!(client.watch(["alice"], None), script);
    assert!(matches!(watch, Err(ClientError::Closed(None))), "{watch:?}");
}

#[tokio::test]
async fn a_daemon_that_begins_anew_over_and_over_fills_no_memory() {
    let (client, mut daemon) = connected(Options::default()).await;
    let mut watch = watch_of(&client, &mut daemon, 0).await;
    let times = 10 * STATES as u64;
    daemon.event(ended(1, entry("bob", Cause::Unlinked))).await;
    for seq in 2..=times {
        daemon.lagged(1, picture(seq, vec![online("alice")])).await;
    }
    let script = async {
        let id = daemon.expect(&Command::Ping).await;
        daemon.reply(id, Ok(Answer::Pong)).await;
    };
    let (pong, ()) = tokio::join!(client.ping(), script);
    pong.expect("pong");

    assert!(matches!(watch.next().await, Ok(WatchItem::Event(e)) if e.seq == 1));
    let (mut states, mut missed) = (0, 0);
    while watch.position().seq < times {
        match watch.next().await.expect("an item") {
            WatchItem::Lagged { missed: more, .. } => {
                states += 1;
                missed += more;
            }
            WatchItem::Event(event) => panic!("{event:?}"),
        }
    }
    assert!(states <= STATES, "{states} states");
    assert_eq!(missed, times - 1);
    assert_eq!(watch.view(), &View::new(times, [online("alice")]));
}
