//! Clients that keep the rules, and what they may expect.

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::super::STOP_GRACE;
use crate::daemon::harness::{Client, Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::Welcome;
use crate::protocol::{Answer, Command, Failure, FailureCode, Reply};
use crate::supervisor::Caller;

#[tokio::test(start_paused = true)]
async fn requests_may_be_pipelined() {
    let harness = Harness::new().await;
    for encoding in [Encoding::Bincode, Encoding::Json] {
        let mut client = harness.client(SOMEBODY, encoding).await;
        // The last is no larger number: ids are the client's business.
        let ids: Vec<u64> = (0..100).chain([u64::MAX, 5, 5]).collect();
        for id in &ids {
            client.ask(*id, Command::Ping).await;
        }
        let mut answered = Vec::new();
        for _ in &ids {
            let Reply { id, result } = client.reply().await;
            assert_eq!(result, Ok(Answer::Pong));
            answered.push(id);
        }
        let mut expected = ids;
        expected.sort_unstable();
        answered.sort_unstable();
        assert_eq!(answered, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_close_its_half_and_wait_for_the_answers() {
    let harness = Harness::new().await;
    let mut client = harness.client(0, Encoding::Json).await;
    let turn = harness.daemon.shared.reloading.lock().await;
    client.ask(1, Command::Reload).await;
    client.ask(2, Command::Ping).await;
    client
        .stream
        .get_mut()
        .shutdown()
        .await
        .expect("it is closed");
    assert_eq!(client.reply().await.id, 2);
    drop(turn);
    assert_eq!(client.reply().await.id, 1);
    assert_eq!(client.message().await, None);
    client.served.await.expect("the connection ended well");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_client_closes_its_half() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.watch(1, &[]).await;
    client
        .stream
        .get_mut()
        .shutdown()
        .await
        .expect("it is closed");
    assert_eq!(client.message().await, None);
    client.served.await.expect("the connection ended well");
}

fn watch(users: &[&str]) -> Command {
    Command::Watch {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        since: None,
    }
}

#[tokio::test(start_paused = true)]
async fn every_watch_is_answered_and_a_wrong_one_ends_none() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Bincode).await;
    for (id, users) in [
        (1, vec![]),
        (2, vec!["alice"]),
        (3, vec!["../alice"]),
        (4, vec!["bob"]),
    ] {
        client.ask(id, watch(&users)).await;
    }
    for _ in 0..4 {
        let Reply { id, result } = client.reply().await;
        match (id, result) {
            (3, Err(Failure { code, .. })) => assert_eq!(code, FailureCode::InvalidUser),
            (_, Ok(Answer::Watching(state))) => {
                let caller = Caller {
                    uid: SOMEBODY,
                    sees_all: false,
                };
                assert_eq!(state.epoch, harness.daemon.supervisor().epoch(caller));
            }
            other => panic!("{other:?}"),
        }
    }
    client.ask(5, Command::Ping).await;
    assert_eq!(client.reply().await.result, Ok(Answer::Pong));
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_everybody_gets_a_goodbye() {
    let harness = Harness::new().await;
    let idle = harness.client(SOMEBODY, Encoding::Json).await;
    let mut watcher = harness.client(SOMEBODY, Encoding::Bincode).await;
    watcher.watch(1, &[]).await;
    let begin = Instant::now();
    harness.stop.cancel();
    for client in [idle, watcher] {
        assert_eq!(client.closing().await.code, FailureCode::Stopping);
    }
    assert!(begin.elapsed() < STOP_GRACE);
}

/// A reload that is under way until the turn is given back.
async fn busy(harness: &Harness) -> Client {
    let mut client = harness.client(0, Encoding::Bincode).await;
    client.ask(1, Command::Reload).await;
    client.ask(2, Command::Ping).await;
    // The reload was read before this.
    assert_eq!(client.reply().await.id, 2);
    client
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_what_is_under_way_may_finish() {
    let harness = Harness::new().await;
    let turn = harness.daemon.shared.reloading.lock().await;
    let mut client = busy(&harness).await;
    harness.stop.cancel();
    sleep(STOP_GRACE / 2).await;
    drop(turn);
    let reply = client.reply().await;
    assert!(reply.id == 1 && reply.result.is_ok(), "{reply:?}");
    assert_eq!(client.closing().await.code, FailureCode::Stopping);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_what_takes_long() {
    let harness = Harness::new().await;
    let _turn = harness.daemon.shared.reloading.lock().await;
    let mut client = busy(&harness).await;
    let begin = Instant::now();
    harness.stop.cancel();
    // No reply at all would say that it was not begun.
    let reply = client.reply().await;
    let failure = reply.result.expect_err("it is not done");
    assert_eq!((reply.id, failure.code), (1, FailureCode::DeadlineExceeded));
    assert_eq!(client.closing().await.code, FailureCode::Stopping);
    let took = begin.elapsed();
    assert!(took >= STOP_GRACE && took < STOP_GRACE * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_answered_before_a_goodbye_of_any_kind() {
    let harness = Harness::new().await;
    let _turn = harness.daemon.shared.reloading.lock().await;
    let mut client = busy(&harness).await;
    // No message of this protocol.
    client.send_frame(&[]).await;
    let reply = client.reply().await;
    let failure = reply.result.expect_err("it is not done");
    assert_eq!((reply.id, failure.code), (1, FailureCode::DeadlineExceeded));
    assert_eq!(client.closing().await.code, FailureCode::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_during_a_stop_is_told() {
    let harness = Harness::new().await;
    harness.stop.cancel();
    let mut client = harness.connect(SOMEBODY, 1024);
    client.send_frame(b"wasession/1 json").await;
    client.encoding = Encoding::Json;
    client.ask(1, Command::Ping).await;
    assert!(matches!(client.welcome().await, Welcome::Ok(_)));
    // What it asks is not begun, and not answered.
    assert_eq!(client.closing().await.code, FailureCode::Stopping);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_client_that_says_nothing() {
    let harness = Harness::new().await;
    let mut client = harness.connect(SOMEBODY, 1024);
    harness.stop.cancel();
    let begin = Instant::now();
    let Welcome::Error(why) = client.welcome().await else {
        panic!("welcomed");
    };
    assert!(why.contains("stopping"), "{why}");
    assert_eq!(begin.elapsed(), STOP_GRACE);
}

#[tokio::test(start_paused = true)]
async fn reload_is_for_admins_and_tells_what_changed() {
    let harness = Harness::new().await;
    let mut somebody = harness.client(SOMEBODY, Encoding::Json).await;
    somebody.ask(1, Command::Reload).await;
    let refused = somebody.reply().await.result.expect_err("refused");
    assert_eq!(refused.code, FailureCode::NotAllowed);
    assert!(refused.message.contains("uid 4711"), "{refused}");

    let mut admin = harness.client(0, Encoding::Json).await;
    let write = |text: &str| std::fs::write(&harness.config, text).expect("a configuration");
    write("[access]\nadmins = [4711]\n[sessions]\nmax = 5\n[socket]\nmode = \"0600\"\n");
    for changed in [vec!["access.admins", "sessions.max"], vec![]] {
        admin.ask(1, Command::Reload).await;
        let Ok(Answer::Reloaded(reloaded)) = admin.reply().await.result else {
            panic!("not reloaded");
        };
        assert_eq!(reloaded.changed, changed);
        // Told each time, for as long as it is true.
        assert_eq!(reloaded.needs_restart, ["socket.mode"]);
    }
    // On the connection that is open already.
    somebody.ask(2, Command::Reload).await;
    assert!(somebody.reply().await.result.is_ok(), "an admin now");

    write("[sessions]\nmax = 0\nmin = 0\n");
    admin.ask(2, Command::Reload).await;
    let wrong = admin.reply().await.result.expect_err("a wrong file");
    assert_eq!(wrong.code, FailureCode::ConfigInvalid);
    assert!(
        wrong.message.contains("config.toml:2:7: `sessions.max`"),
        "{wrong}"
    );
    assert!(
        wrong
            .message
            .contains("config.toml:3:1: [sessions] has no key `min`"),
        "{wrong}"
    );
    assert_eq!(
        harness.daemon.in_force().config.sessions.max,
        5,
        "the old one stays"
    );
}

#[tokio::test(start_paused = true)]
async fn info_says_what_runs() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.ask(1, Command::Info).await;
    let Ok(Answer::Info(info)) = client.reply().await.result else {
        panic!("no information");
    };
    assert_eq!(info.pid, std::process::id());
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(info.config_file, Some(harness.config.display().to_string()));
    assert_eq!(info.simulator, cfg!(feature = "simulator"));
    assert_eq!(info.summary, "no sessions");
}

/// Only a simulator build can have a session that reaches nothing.
#[cfg(feature = "simulator")]
#[tokio::test]
async fn a_client_that_vanishes_stops_no_logout() {
    use crate::protocol::Message;

    let harness = Harness::new().await;
    let user = "alice".to_owned();
    let mut client = harness.client(0, Encoding::Bincode).await;
    client
        .ask(
            1,
            Command::Connect {
                user: user.clone(),
                phone: None,
                expect: None,
                proxy: None,
            },
        )
        .await;
    let begun = client.reply().await;
    assert!(begun.result.is_ok(), "{begun:?}");
    let mut watcher = harness.client(0, Encoding::Bincode).await;
    watcher.watch(1, &["alice"]).await;
    client
        .ask(2, Command::ForceLogout { user: user.clone() })
        .await;
    drop(client.stream);
    let seen = async {
        loop {
            match watcher.message().await {
                Some(Message::Event(event)) if event.kind.ended().is_some() => return event,
                Some(_) => {}
                None => panic!("the watch ended"),
            }
        }
    };
    let event = tokio::time::timeout(std::time::Duration::from_secs(30), seen).await;
    assert_eq!(event.expect("it ends").status, None);
    client.served.await.expect("the connection ended well");
    watcher.ask(2, Command::Status { user }).await;
    let gone = loop {
        if let Some(Message::Reply(reply)) = watcher.message().await {
            break reply.result.expect_err("it is gone");
        }
    };
    assert_eq!(gone.code, FailureCode::NotFound);
}
