//! Every way to end a session, as the client on the other side sees it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use support::raw::{Keys, RawClient, text};
use support::{LONG, pair_raw};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wasim::{Error, Failure, Observation, Options, Server, Stanza, StreamError, UnlinkAnswer};

const PHONE: &str = "15550001003";

/// A device that is logged in, and how it logs in again.
struct Device {
    keys: Keys,
    client: RawClient,
}

impl Device {
    async fn link(server: &Server) -> Self {
        let keys = Keys::generate();
        pair_raw(server, &keys, PHONE).await;
        let client = Self::log_in(server, &keys).await;
        Self { keys, client }
    }

    async fn log_in(server: &Server, keys: &Keys) -> RawClient {
        let mut client = Self::connect(server, keys).await;
        assert_eq!(client.next().await.unwrap().tag, "success");
        let logged_in = |seen: &Observation| matches!(seen, Observation::Login { .. });
        server.wait_for(logged_in, LONG).await.unwrap();
        client
    }

    async fn connect(server: &Server, keys: &Keys) -> RawClient {
        let payload = Keys::login(PHONE.parse().unwrap(), 1);
        RawClient::connect(server, keys, &payload, usize::MAX).await
    }

    async fn again(&mut self, server: &Server) {
        self.client = Self::log_in(server, &self.keys).await;
    }
}

fn query(id: &str, namespace: &'static str, child: Option<Node>) -> Node {
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "get")
        .attr("xmlns", namespace)
        .attr("id", id)
        .children(child)
        .build()
}

#[tokio::test]
async fn stream_errors_are_sent_as_given() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut device = Device::link(&server).await;
    let ack = Stanza::new("ack").attr("class", "message").attr("id", "X");
    let cases = [
        (
            StreamError::device_removed(),
            "401",
            "conflict device_removed",
        ),
        (
            StreamError::empty().conflict("device_removed"),
            "",
            "conflict device_removed",
        ),
        (StreamError::replaced(), "", "conflict replaced"),
        (
            StreamError::code(401).conflict("replaced"),
            "401",
            "conflict replaced",
        ),
        (StreamError::code(401), "401", ""),
        (
            StreamError::code(401).conflict("other"),
            "401",
            "conflict other",
        ),
        (
            StreamError::empty().child(Stanza::new("conflict")),
            "",
            "conflict ",
        ),
        (StreamError::code(409), "409", ""),
        (StreamError::code(515), "515", ""),
        (StreamError::code(516), "516", ""),
        (StreamError::code(503), "503", ""),
        (StreamError::code(429), "429", ""),
        (StreamError::code(500), "500", ""),
        (StreamError::empty().child(ack), "", "ack "),
        (
            StreamError::empty().child(Stanza::new("xml-not-well-formed")),
            "",
            "xml-not-well-formed ",
        ),
        (StreamError::empty(), "", ""),
    ];
    for (error, code, child) in cases {
        server.stream_error(PHONE, error).await.unwrap();
        let node = device.client.next().await.unwrap();
        let children = node.children().unwrap_or_default();
        let first = children
            .first()
            .map(|child| format!("{} {}", child.tag, text(child, "type")));
        assert_eq!(
            (node.tag.as_ref(), text(&node, "code").as_str()),
            ("stream:error", code)
        );
        assert_eq!(first.unwrap_or_default(), child);
        assert!(device.client.next().await.is_none());
        device.again(&server).await;
    }
    assert_eq!(server.devices(PHONE).await.unwrap().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn a_stream_can_end_with_the_socket_open() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut device = Device::link(&server).await;
    server.end_stream(PHONE, true).await.unwrap();
    assert_eq!(device.client.next().await.unwrap().tag, "xmlstreamend");
    // Nothing is answered any more, but the socket is there.
    device.client.send(&[query("1", "w:p", None)]).await;
    server.send_raw(PHONE, Stanza::new("ib")).await.unwrap();
    assert_eq!(device.client.next().await.unwrap().tag, "ib");

    device.again(&server).await;
    let error = StreamError::code(503).keep_open();
    server.stream_error(PHONE, error).await.unwrap();
    assert_eq!(text(&device.client.next().await.unwrap(), "code"), "503");
    device.client.send(&[query("2", "w:p", None)]).await;
    server.close(PHONE).await.unwrap();
    assert!(device.client.next().await.is_none());

    device.again(&server).await;
    let error = StreamError::code(500).end_stream();
    server.stream_error(PHONE, error).await.unwrap();
    assert_eq!(device.client.next().await.unwrap().tag, "stream:error");
    assert_eq!(device.client.next().await.unwrap().tag, "xmlstreamend");
    assert!(device.client.next().await.is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn sockets_end_in_three_ways() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut device = Device::link(&server).await;
    server.close(PHONE).await.unwrap();
    assert_eq!(device.client.ending().await, "close");
    device.again(&server).await;
    server.drop_connection(PHONE).await.unwrap();
    assert_eq!(device.client.ending().await, "end");
    device.again(&server).await;
    server.reset(PHONE).await.unwrap();
    assert_eq!(device.client.ending().await, "reset");
    let gone = |seen: &Observation| matches!(seen, Observation::Disconnected { jid: Some(_), .. });
    for _ in 0..3 {
        server.wait_for(gone, LONG).await.unwrap();
    }
    assert!(matches!(
        server.reset(PHONE).await,
        Err(Error::NotConnected(_))
    ));
    server.shutdown().await;
}

#[tokio::test]
async fn a_frozen_connection_comes_back_with_what_it_missed_and_a_hung_one_without() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut device = Device::link(&server).await;
    server.freeze(PHONE).await.unwrap();
    device.client.send(&[query("frozen", "w:p", None)]).await;
    server.resume(PHONE).await.unwrap();
    assert_eq!(text(&device.client.next().await.unwrap(), "id"), "frozen");

    server.hang(PHONE).await.unwrap();
    device.client.send(&[query("lost", "w:p", None)]).await;
    let read = device.client.next();
    let nothing = tokio::time::timeout(Duration::from_millis(100), read).await;
    assert!(nothing.is_err());
    server.resume(PHONE).await.unwrap();
    device.client.send(&[query("heard", "w:p", None)]).await;
    // The lost one is answered if the server had not come to read it yet.
    while text(&device.client.next().await.unwrap(), "id") != "heard" {}
    server.shutdown().await;
}

#[tokio::test]
async fn a_login_is_refused_with_all_that_whatsapp_says() {
    let server = Server::start(Options::default()).await.unwrap();
    let device = Device::link(&server).await;
    let failures = [
        Failure::reason(401),
        Failure::account_locked("token"),
        Failure::temporary_ban(101, 3600),
        Failure::reason(503),
        Failure::default(),
    ];
    for failure in failures {
        server
            .fail_next_login(PHONE, failure.clone())
            .await
            .unwrap();
        let mut client = Device::connect(&server, &device.keys).await;
        let node = client.next().await.unwrap();
        assert_eq!(node.tag, "failure");
        let reason = failure.reason.map(|reason| reason.to_string());
        assert_eq!(text(&node, "reason"), reason.unwrap_or_default());
        assert_eq!(
            text(&node, "appeal_token"),
            failure.appeal_token.unwrap_or_default()
        );
        let expire = failure.expire.map(|expire| expire.to_string());
        assert_eq!(text(&node, "expire"), expire.unwrap_or_default());
        assert!(client.next().await.is_none());
        Device::log_in(&server, &device.keys).await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_device_that_was_removed_while_away_is_told_at_login() {
    let server = Server::start(Options::default()).await.unwrap();
    let device = Device::link(&server).await;
    drop(device.client);
    let gone = |seen: &Observation| matches!(seen, Observation::Disconnected { jid: Some(_), .. });
    server.wait_for(gone, LONG).await.unwrap();
    server.unlink(PHONE).await.unwrap();
    assert!(matches!(
        server.unlink(PHONE).await,
        Err(Error::Ambiguous { count: 0, .. })
    ));
    let mut client = Device::connect(&server, &device.keys).await;
    let node = client.next().await.unwrap();
    assert_eq!(
        (node.tag.as_ref(), text(&node, "reason").as_str()),
        ("failure", "401")
    );
    server.shutdown().await;
}

fn unlink(id: &str) -> Node {
    let remove = NodeBuilder::new("remove-companion-device")
        .attr("jid", format!("{PHONE}:1@s.whatsapp.net"))
        .attr("reason", "user_initiated")
        .build();
    let request = query(id, "md", Some(remove));
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "set")
        .attr("xmlns", "md")
        .attr("id", text(&request, "id"))
        .children(request.children().unwrap_or_default().to_vec())
        .build()
}

/// A second connection is answered as ever, whatever became of the first.
#[tokio::test]
async fn an_unlink_that_fails_on_one_connection_is_confirmed_on_the_next() {
    let answers = [
        (UnlinkAnswer::Ignore, None),
        (UnlinkAnswer::Freeze, None),
        (UnlinkAnswer::ResetSocket, Some("reset")),
        (UnlinkAnswer::CloseSocket, Some("end")),
    ];
    for (answer, ending) in answers {
        let server = Server::start(Options::default()).await.unwrap();
        let mut device = Device::link(&server).await;
        let connection = server.devices(PHONE).await.unwrap()[0].connection.unwrap();
        let only = format!("#{connection}");
        server.on_unlink(Some(&only), answer).await.unwrap();
        device.client.send(&[unlink("first")]).await;
        let asked = |seen: &Observation| matches!(seen, Observation::UnlinkRequested { .. });
        server.wait_for(asked, LONG).await.unwrap();
        if let Some(ending) = ending {
            assert_eq!(device.client.ending().await, ending, "{answer:?}");
        }
        assert_eq!(server.devices(PHONE).await.unwrap().len(), 1, "{answer:?}");

        let mut second = Device::log_in(&server, &device.keys).await;
        second.send(&[unlink("second")]).await;
        let result = second.next().await.unwrap();
        assert_eq!(
            (text(&result, "type").as_str(), text(&result, "id").as_str()),
            ("result", "second"),
            "{answer:?}"
        );
        assert_eq!(text(&second.next().await.unwrap(), "code"), "401");
        assert!(server.devices(PHONE).await.unwrap().is_empty());
        server.shutdown().await;
    }
}

#[tokio::test]
async fn the_result_of_an_unlink_can_be_lost_and_rules_can_be_for_the_next_one_only() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut device = Device::link(&server).await;
    server
        .on_next_unlinks(None, UnlinkAnswer::Refuse(500), 1)
        .await
        .unwrap();
    device.client.send(&[unlink("refused")]).await;
    let answer = device.client.next().await.unwrap();
    assert_eq!(text(&answer, "type"), "error");

    server
        .on_next_unlinks(Some(PHONE), UnlinkAnswer::LoseResult, 1)
        .await
        .unwrap();
    device.client.send(&[unlink("lost")]).await;
    assert_eq!(device.client.ending().await, "reset");
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    let mut again = Device::connect(&server, &device.keys).await;
    assert_eq!(text(&again.next().await.unwrap(), "reason"), "401");
    server.shutdown().await;
}
