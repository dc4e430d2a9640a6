//! Clients that speak something else, or lie.

use proptest::prelude::*;
use tokio::time::{Duration, timeout};

use crate::daemon::harness::{Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::Welcome;
use crate::protocol::{Answer, Command, FailureCode, MAX_FRAME, MAX_WATCHED, Reply};

#[tokio::test(start_paused = true)]
async fn prefaces_of_something_else() {
    let harness = Harness::new().await;
    let framed = |text: &str| {
        let length = u32::try_from(text.len()).expect("a short text");
        [&length.to_be_bytes(), text.as_bytes()].concat()
    };
    for (sent, told) in [
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "control socket of wasessiond",
        ),
        (vec![0; 4], "control socket of wasessiond"),
        (vec![0, 0, 1, 1], "control socket of wasessiond"),
        (vec![0xff; 64], "control socket of wasessiond"),
        (framed("hello"), "control socket of wasessiond"),
        (framed("wasession/2 json"), "version 2"),
        (framed("wasession/1 xml"), "\"json\" or \"bincode/"),
        (framed("wasession/1"), "\"json\" or \"bincode/"),
        (framed("wasession/1 bincode"), "bincode without a revision"),
    ] {
        let mut client = harness.connect(SOMEBODY, 1024);
        client.send_bytes(&sent).await;
        let Welcome::Error(why) = client.welcome().await else {
            panic!("welcomed: {}", sent.escape_ascii());
        };
        assert!(why.contains(told), "{}: {why}", sent.escape_ascii());
        assert_eq!(client.message().await, None);
        client.served.await.expect("the connection ended well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_gets_no_answer_and_costs_nothing() {
    let harness = Harness::new().await;
    let client = harness.connect(SOMEBODY, 1024);
    drop(client.stream);
    client.served.await.expect("the connection ended well");
}

#[tokio::test(start_paused = true)]
async fn frames_that_lie() {
    let harness = Harness::new().await;
    let too_long = u32::try_from(MAX_FRAME + 1).expect("it fits");
    // Request 1, `connect`, a user's name of 2^40 bytes.
    let terabyte = [
        &[0, 0, 0, 11, 1, 3, 253],
        (1_u64 << 40).to_le_bytes().as_slice(),
    ]
    .concat();
    for (encoding, sent) in [
        (Encoding::Json, too_long.to_be_bytes().to_vec()),
        (Encoding::Bincode, vec![0xff; 4]),
        (Encoding::Bincode, terabyte),
        (Encoding::Bincode, vec![0, 0, 0, 0]),
        (Encoding::Bincode, vec![0, 0, 0, 2, 1, 250]),
        // A ping, and one byte more.
        (Encoding::Bincode, vec![0, 0, 0, 3, 1, 0, 0]),
        (Encoding::Json, b"\0\0\0\x02{}".to_vec()),
        (Encoding::Json, b"\0\0\0\x04ping".to_vec()),
        (Encoding::Json, vec![0, 0, 0, 1, 0xff]),
    ] {
        let mut client = harness.client(SOMEBODY, encoding).await;
        client.send_bytes(&sent).await;
        let failure = client.closing().await;
        assert_eq!(
            failure.code,
            FailureCode::InvalidRequest,
            "{}",
            sent.escape_ascii()
        );
    }
    // Nobody else noticed.
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.ask(7, Command::Ping).await;
    assert_eq!(client.reply().await.result, Ok(Answer::Pong));
}

#[tokio::test(start_paused = true)]
async fn a_json_request_that_cannot_be_read_fails_alone() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    for (sent, code, told) in [
        (
            r#"{"id":1,"command":"dance"}"#,
            FailureCode::UnknownCommand,
            "knows no command \"dance\"; it knows ping, info,",
        ),
        (
            r#"{"id":2,"command":{"dance":{"user":"alice"}}}"#,
            FailureCode::UnknownCommand,
            "\"dance\"",
        ),
        (
            r#"{"id":3,"command":{}}"#,
            FailureCode::UnknownCommand,
            "\"\"",
        ),
        (
            r#"{"id":4,"command":{"connect":{"phone":null}}}"#,
            FailureCode::InvalidRequest,
            "missing field `user`",
        ),
        (
            r#"{"id":5,"command":"connect"}"#,
            FailureCode::InvalidRequest,
            "\"connect\"",
        ),
        (
            r#"{"id":6,"command":{"targets":{"user":"alice","edit":{"swap":[]}}}}"#,
            FailureCode::InvalidRequest,
            "unknown variant `swap`",
        ),
    ] {
        client.send_frame(sent.as_bytes()).await;
        let Reply { id, result } = client.reply().await;
        assert!(sent.starts_with(&format!("{{\"id\":{id},")), "{sent}: {id}");
        let failure = result.expect_err("it cannot be read");
        assert_eq!(failure.code, code, "{sent}");
        assert!(failure.message.contains(told), "{sent}: {failure}");
    }
    client.ask(7, Command::Ping).await;
    assert_eq!(client.reply().await.result, Ok(Answer::Pong));
}

#[tokio::test(start_paused = true)]
async fn a_command_of_the_future_in_bincode_is_a_goodbye_that_says_so() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Bincode).await;
    // Request 1, command 200.
    client.send_bytes(&[0, 0, 0, 2, 1, 200]).await;
    let failure = client.closing().await;
    assert_eq!(failure.code, FailureCode::InvalidRequest);
    assert!(failure.message.contains("200"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_names_only_so_many_users() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Bincode).await;
    for (id, many) in [(1, MAX_WATCHED), (2, MAX_WATCHED + 1)] {
        let users = (0..many).map(|n| format!("user-{n}")).collect();
        client.ask(id, Command::Watch { users, since: None }).await;
        match client.reply().await.result {
            Ok(Answer::Watching(_)) => assert_eq!(many, MAX_WATCHED),
            Err(failure) => {
                assert_eq!(many, MAX_WATCHED + 1);
                assert_eq!(failure.code, FailureCode::InvalidArgument);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_garbage_is_answered() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    client.ask(1, Command::Ping).await;
    client.send_frame(b"garbage").await;
    assert_eq!(client.reply().await.result, Ok(Answer::Pong));
    assert_eq!(client.closing().await.code, FailureCode::InvalidRequest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent, the connection ends, nothing panics, and the next client is served.
    #[test]
    fn any_bytes_at_all(
        hello in prop_oneof![Just(Some(Encoding::Json)), Just(Some(Encoding::Bincode)), Just(None)],
        bytes in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let harness = Harness::new().await;
            let mut client = harness.connect(SOMEBODY, 64 * 1024);
            if let Some(encoding) = hello {
                client.say_hello(encoding).await;
            }
            client.send_bytes(&bytes).await;
            drop(client.stream);
            let ended = timeout(Duration::from_mins(1), client.served).await;
            ended.expect("it ends").expect("it ends well");
            let mut next = harness.client(SOMEBODY, Encoding::Bincode).await;
            next.ask(1, Command::Ping).await;
            assert_eq!(next.reply().await.result, Ok(Answer::Pong));
        });
    }
}
