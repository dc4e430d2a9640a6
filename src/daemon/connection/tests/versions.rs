//! Old and new: who meets whom, and what they are told. Both ends are the real ones, as far as there is
//! a real one.

use tokio::io::{AsyncWriteExt, duplex};

use crate::client::{Client, ClientError, Options};
use crate::daemon::harness::{Harness, SOMEBODY};
use crate::protocol::codec::Encoding;
use crate::protocol::preface::{Hello, Welcome};
use crate::protocol::{Answer, Command, FailureCode};

#[tokio::test(start_paused = true)]
async fn a_client_of_the_future_is_told_which_version_is_spoken() {
    let harness = Harness::new().await;
    for (hello, told) in [
        (
            "wasession/2 json wactl/9.9",
            "version 2 of the protocol is not spoken here, only version 1",
        ),
        (
            "wasession/2",
            "version 2 of the protocol is not spoken here, only version 1",
        ),
        ("wasession/4294967295 cbor", "version 4294967295"),
        (
            "wasession/1 cbor my-bot",
            "the encoding must be \"json\" or \"bincode/",
        ),
        ("wasession/1 json2 my-bot", "the encoding must be"),
        ("wasession/1 bincode/x", "the encoding must be"),
        (
            "wasession/1 bincode/4000000000 wactl/9.9",
            "is spoken here, not bincode/4000000000: use json",
        ),
        (
            "wasession/1 bincode wactl/0.0.1",
            "is spoken here, not bincode without a revision: use json",
        ),
    ] {
        let mut client = harness.connect(SOMEBODY, 1024);
        client.send_frame(hello.as_bytes()).await;
        // It reads as a preface of this version: an old client can read it, and so can a new one.
        let Welcome::Error(why) = client.welcome().await else {
            panic!("{hello} is welcome");
        };
        assert!(why.contains(told), "{hello}: {why}");
        assert_eq!(client.message().await, None, "{hello}");
        client.served.await.expect("the connection ended well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_of_the_future_is_a_name() {
    let harness = Harness::new().await;
    for name in [
        "wactl/99.0",
        "wactl/99.0 +feature=1 {\"a\":2}",
        "bot ü\u{1b}[31m",
        "",
    ] {
        let mut client = harness.connect(SOMEBODY, 1024);
        let hello = format!("wasession/1 json {name}");
        client.send_frame(hello.as_bytes()).await;
        assert!(matches!(client.welcome().await, Welcome::Ok(_)), "{hello}");
        client.encoding = Encoding::Json;
        client.ask(1, Command::Ping).await;
        assert_eq!(client.reply().await.result, Ok(Answer::Pong));
    }
    let parsed = Hello::parse(b"wasession/1 json bot \x1b[31m").expect("a preface");
    assert_eq!(parsed.client, "bot [31m", "what goes into the log is plain");
}

#[tokio::test]
async fn the_client_meets_daemons_of_the_future_and_of_the_past() {
    for (welcome, version) in [
        ("wasession/2 ok wasessiond/2.0.0", Some(2)),
        ("wasession/2 error version 1 is not spoken here", Some(2)),
        ("wasession/0 ok wasessiond/0.0.1", Some(0)),
        ("wasession/1 error too many connections", None),
    ] {
        let (ours, mut theirs) = duplex(1024);
        let length = u32::try_from(welcome.len()).expect("short").to_be_bytes();
        theirs.write_all(&length).await.expect("sent");
        theirs.write_all(welcome.as_bytes()).await.expect("sent");
        let error = Client::over(ours, Options::default()).await;
        match (error.expect_err("no welcome"), version) {
            (ClientError::VersionMismatch(theirs), Some(version)) => assert_eq!(theirs, version),
            (ClientError::Refused(why), None) => assert_eq!(why, "too many connections"),
            (other, _) => panic!("{welcome}: {other}"),
        }
    }
}

/// A command of the future, from a client in either encoding, to the real daemon.
#[tokio::test(start_paused = true)]
async fn a_command_of_the_future_has_a_clear_answer() {
    let harness = Harness::new().await;
    let mut json = harness.client(SOMEBODY, Encoding::Json).await;
    let frame = br#"{"id":7,"command":{"send_message":{"user":"alice","text":"hi"}}}"#;
    json.send_frame(frame).await;
    let reply = json.reply().await;
    let failure = reply.result.expect_err("it is not known");
    assert_eq!((reply.id, failure.code), (7, FailureCode::UnknownCommand));
    // So does an alternative of the future: it may ask for what must not be passed over.
    let frame = br#"{"id":8,"command":{"targets":{"user":"alice","edit":{"sort":["1@g.us"]}}}}"#;
    json.send_frame(frame).await;
    let reply = json.reply().await;
    let failure = reply.result.expect_err("it is not known");
    assert_eq!((reply.id, failure.code), (8, FailureCode::InvalidRequest));
    assert!(failure.message.contains("sort"), "{failure}");
    json.ask(9, Command::Ping).await;
    assert_eq!(json.reply().await.result, Ok(Answer::Pong));

    let mut bincode = harness.client(SOMEBODY, Encoding::Bincode).await;
    let next = u8::try_from(Command::NAMES.len()).expect("a small number");
    bincode
        .send_frame(&[7, next, 5, b'a', b'l', b'i', b'c', b'e'])
        .await;
    let failure = bincode.closing().await;
    assert_eq!(failure.code, FailureCode::InvalidRequest);
    assert!(failure.message.contains(&next.to_string()), "{failure}");
}

/// Fields of the future in a JSON request are passed over.
#[tokio::test(start_paused = true)]
async fn a_field_of_the_future_is_passed_over() {
    let harness = Harness::new().await;
    let mut client = harness.client(SOMEBODY, Encoding::Json).await;
    let frame = br#"{"id":1,"command":{"list":{"after":null,"colour":"red"}},"trace":"x"}"#;
    client.send_frame(frame).await;
    let reply = client.reply().await;
    assert!(matches!(reply.result, Ok(Answer::Sessions(_))), "{reply:?}");
}
