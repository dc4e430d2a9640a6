//! Clients that take their time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance, sleep};

use super::super::{FRAME_WITHIN, MAX_IN_FLIGHT, PREFACE_WITHIN, READ_WITHIN};
use crate::client::scripted::online;
use crate::daemon::allowance::Allowance;
use crate::daemon::harness::{Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::Welcome;
use crate::protocol::{Answer, Command, FailureCode};

fn is_about(took: Duration, expected: Duration) -> bool {
    took >= expected && took < expected + Duration::from_millis(100)
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_does_not_come() {
    let harness = Harness::new().await;
    // Nothing; a part of the head; the head; all but the last byte.
    for sent in [
        b"".as_slice(),
        b"\0",
        b"\0\0\0\x10",
        b"\0\0\0\x10wasession/1 jso",
    ] {
        let mut client = harness.connect(SOMEBODY, 1024);
        let begin = Instant::now();
        client.send_bytes(sent).await;
        let welcome = client.welcome().await;
        assert!(
            is_about(begin.elapsed(), PREFACE_WITHIN),
            "{:?}",
            begin.elapsed()
        );
        let Welcome::Error(why) = welcome else {
            panic!("welcomed: {welcome}");
        };
        assert_eq!(why, "no preface came within 5 s");
        client.served.await.expect("the connection ended well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_not_finished() {
    let harness = Harness::new().await;
    for sent in [b"\0".as_slice(), b"\0\0\0\x03", b"\0\0\0\x03ab"] {
        let mut client = harness.client(SOMEBODY, Encoding::Json).await;
        let begin = Instant::now();
        client.send_bytes(sent).await;
        let failure = client.closing().await;
        assert!(
            is_about(begin.elapsed(), FRAME_WITHIN),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(failure.code, FailureCode::InvalidRequest);
        assert!(
            failure.message.contains("not finished within 10 s"),
            "{failure}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_buys_no_time() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    let begin = Instant::now();
    client.send_bytes(b"\0\0\0\xff").await;
    for _ in 0..9 {
        sleep(Duration::from_secs(1)).await;
        client.send_bytes(b" ").await;
    }
    let failure = client.closing().await;
    assert!(
        is_about(begin.elapsed(), FRAME_WITHIN),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(failure.code, FailureCode::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn silence_between_frames_is_fine() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Bincode).await;
    for id in 0..3 {
        client.ask(id, Command::Ping).await;
        assert_eq!(client.reply().await.result, Ok(Answer::Pong));
        advance(Duration::from_hours(24)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads() {
    let harness = Harness::new().await;
    // Room for the welcome, and for a few replies.
    let mut client = harness.connect(SOMEBODY, 128);
    client.say_hello(Encoding::Json).await;
    let begin = Instant::now();
    // It goes on until nothing it says is taken any more.
    for id in 0.. {
        let asked = client.ask(id, Command::Ping);
        if tokio::time::timeout(Duration::from_secs(1), asked)
            .await
            .is_err()
        {
            break;
        }
        // Their replies fit into what may wait for it.
        assert!(id < 5000, "requests are taken without end");
    }
    client.served.await.expect("the connection ended well");
    let took = begin.elapsed();
    assert!(is_about(took, READ_WITHIN), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_limited_and_none_is_lost() {
    let harness = Harness::new().await;
    let mut client = harness.client(0, Encoding::Bincode).await;
    // Reloads take turns, and this is one that takes long.
    let turn = harness.daemon.shared.reloading.lock().await;
    let last = u64::try_from(MAX_IN_FLIGHT).expect("a small number");
    for id in 0..last {
        client.ask(id, Command::Reload).await;
    }
    // This one must wait: there are as many as there may be. A half-sent one must not be blamed for
    // that.
    client.ask(last, Command::Ping).await;
    client.send_bytes(b"\0\0").await;
    sleep(FRAME_WITHIN * 3).await;
    assert_eq!(client.message().now_or_never(), None, "it was answered");
    drop(turn);
    let mut answered = Vec::new();
    for _ in 0..=last {
        let reply = client.reply().await;
        assert!(reply.result.is_ok(), "{reply:?}");
        answered.push(reply.id);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..=last).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_blocks_no_other() {
    let harness = Harness::new().await;
    let mut client = harness.client(0, Encoding::Bincode).await;
    let turn = harness.daemon.shared.reloading.lock().await;
    client.ask(1, Command::Reload).await;
    client.ask(2, Command::Ping).await;
    assert_eq!(client.reply().await.id, 2);
    drop(turn);
    assert_eq!(client.reply().await.id, 1);
}

#[tokio::test(start_paused = true)]
async fn all_that_one_uid_has_under_way_waits_for_a_slot_and_force_logout_does_not_wait() {
    let harness = Harness::new().await;
    let no_slots = Arc::new(Semaphore::new(0));
    let allowance = Allowance::default().with_slots(Arc::clone(&no_slots));
    let mut client = harness.connect_with(SOMEBODY, 64 * 1024, allowance);
    client.say_hello(Encoding::Bincode).await;
    let user = || "alice".to_owned();
    client.ask(1, Command::Groups { user: user() }).await;
    client.ask(2, Command::ForceLogout { user: user() }).await;
    client.ask(3, Command::Status { user: user() }).await;
    let mut answered = [client.reply().await.id, client.reply().await.id];
    answered.sort_unstable();
    assert_eq!(answered, [2, 3]);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(client.message().now_or_never(), None, "it had a slot");
    no_slots.add_permits(1);
    assert_eq!(client.reply().await.id, 1);
}

/// What a client is told waits in a bounded space, however much it asks for.
#[tokio::test(start_paused = true)]
async fn large_answers_are_not_made_ahead_for_a_client_that_does_not_read() {
    let harness = Harness::new().await;
    for n in 0..20 {
        let mut status = online(&format!("user-{n}"));
        status.error = Some("x".repeat(2000));
        harness.daemon.supervisor().pretend(status);
    }
    // Room for thousands of requests, and as much the other way.
    let mut client = harness.connect(0, 256 * 1024);
    client.say_hello(Encoding::Json).await;
    for id in 0..5000 {
        client.ask(id, Command::List { after: None }).await;
    }
    // It got through as many as there is room for, and stopped.
    sleep(READ_WITHIN / 2).await;
    let mut replies = 0;
    let mut bytes = 0;
    while let Some(Some(Ok(frame))) = client.stream.next().now_or_never() {
        replies += 1;
        bytes += frame.len();
    }
    assert!(replies < 50 && bytes < 1024 * 1024, "{replies} {bytes}");
}
