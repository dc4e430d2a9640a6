//! What the server does wrong when it is told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::ErrorKind;

use futures_util::{SinkExt as _, StreamExt as _};
use support::raw::{Keys, RawClient};
use support::{LONG, TestClient, pair_raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasim::{Fault, FaultRule, Observation, Options, Server};

const PHONE: &str = "15550001004";

const REQUEST: &str = "GET /ws/chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The first line of the answer to a request to speak WebSocket; empty when there is none.
async fn upgrade(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = vec![0; 256];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_upgrade_is_refused_dropped_or_left_unanswered() {
    let server = Server::start(Options::default()).await.unwrap();
    for status in [401, 407, 503] {
        let rule = FaultRule::from(Fault::HttpStatus(status)).times(1);
        server.set_fault(rule).await.unwrap();
        let line = upgrade(&server).await;
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
    }
    let rule = FaultRule::from(Fault::CloseOnAccept).times(1);
    server.set_fault(rule).await.unwrap();
    assert_eq!(upgrade(&server).await, "");

    let rule = FaultRule::from(Fault::NoUpgrade).times(1);
    server.set_fault(rule).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    for _ in 0..2 {
        let silent = |seen: &Observation| matches!(seen, Observation::UpgradeRefused { status: 0 });
        server.wait_for(silent, LONG).await.unwrap();
    }
    let error = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(stream);

    assert_eq!(upgrade(&server).await, "HTTP/1.1 101 Switching Protocols");
    server.shutdown().await;
}

#[tokio::test]
async fn the_port_can_be_closed_and_opened_again() {
    let server = Server::start(Options::default()).await.unwrap();
    for _ in 0..3 {
        server.set_listening(false).await.unwrap();
        server.set_listening(false).await.unwrap();
        let error = TcpStream::connect(server.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        server.set_listening(true).await.unwrap();
        assert_eq!(upgrade(&server).await, "HTTP/1.1 101 Switching Protocols");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_through_once_the_handshake_faults_are_over() {
    let server = Server::start(Options::default()).await.unwrap();
    let faults = [
        Fault::CloseOnHello,
        Fault::GarbageServerHello,
        Fault::CloseAfterHandshake,
    ];
    server
        .set_faults(faults.map(|fault| FaultRule::from(fault).times(1)))
        .await
        .unwrap();
    let client = TestClient::start(&server).await;
    client.pair(&server, PHONE).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_without_a_server_hello_is_left_waiting_and_can_be_dropped() {
    let server = Server::start(Options::default()).await.unwrap();
    server.set_fault(Fault::NoServerHello).await.unwrap();
    let url = server.url().parse().unwrap();
    let builder = tokio_websockets::ClientBuilder::from_uri(url);
    let (mut socket, _) = builder.connect().await.unwrap();
    // A client hello that holds nothing but a key: field 2, in which field 1 of 32 bytes.
    let hello = [b"WA\x06\x03\0\0\x24\x12\x22\x0a\x20".as_slice(), &[7; 32]].concat();
    socket
        .send(tokio_websockets::Message::binary(hello))
        .await
        .unwrap();
    let logins = server.logins().await.unwrap();
    assert_eq!((logins.len(), logins[0].stage.as_str()), (1, "handshake"));
    server.reset("#1").await.unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    server.shutdown().await;
}

#[tokio::test]
async fn references_can_be_few_and_renewed() {
    let server = Server::start(Options::default()).await.unwrap();
    server
        .set_fault(FaultRule::from(Fault::Refs(2)).times(1))
        .await
        .unwrap();
    let keys = Keys::generate();
    let mut client = RawClient::connect(&server, &keys, &keys.registration(), usize::MAX).await;
    let (first, _) = client.refs().await;
    assert_eq!(first.len(), 2);
    let renew = wasim::Command::RenewRefs {
        device: "#1".to_owned(),
    };
    server.execute(renew).await.unwrap();
    let (second, _) = client.refs().await;
    assert_eq!(second.len(), 6);
    assert!(second.iter().all(|text| !first.contains(text)));
    let secrets = server.secrets();
    assert!(
        first
            .iter()
            .chain(&second)
            .all(|text| secrets.contains(text))
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_login_is_left_waiting_for_one_phone_only() {
    let server = Server::start(Options::default()).await.unwrap();
    let (ours, theirs) = (Keys::generate(), Keys::generate());
    pair_raw(&server, &ours, PHONE).await;
    pair_raw(&server, &theirs, "15550001005").await;
    server
        .set_fault(FaultRule::from(Fault::NoSuccess).only(PHONE))
        .await
        .unwrap();
    let payload = Keys::login(PHONE.parse().unwrap(), 1);
    let _waiting = RawClient::connect(&server, &ours, &payload, usize::MAX).await;
    let ignored = |seen: &Observation| matches!(seen, Observation::LoginIgnored { .. });
    server.wait_for(ignored, LONG).await.unwrap();
    let payload = Keys::login(15_550_001_005, 1);
    let mut other = RawClient::connect(&server, &theirs, &payload, usize::MAX).await;
    assert_eq!(other.next().await.unwrap().tag, "success");
    server.clear_faults().await.unwrap();
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_without_a_restart_leaves_the_socket_open() {
    let server = Server::start(Options::default()).await.unwrap();
    server.set_fault(Fault::NoRestart).await.unwrap();
    let client = TestClient::start(&server).await;
    let qr = client.qr().await;
    let device = server.scan(&qr, PHONE).await.unwrap();
    let logins = server.logins().await.unwrap();
    assert_eq!(logins.len(), 1);
    let connection = format!("#{}", logins[0].connection);
    server
        .stream_error(&connection, wasim::StreamError::code(515))
        .await
        .unwrap();
    server.wait_online(&device, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test]
async fn stages_can_be_slow_and_the_end_of_delivery_unannounced() {
    use std::time::{Duration, Instant};
    use wacore_binary::builder::NodeBuilder;
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let delay = Fault::Delay {
        stage: wasim::Stage::Login,
        milliseconds: 50,
    };
    server.set_faults([delay, Fault::NoOffline]).await.unwrap();
    let began = Instant::now();
    let payload = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client = RawClient::connect(&server, &keys, &payload, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    assert!(began.elapsed() >= Duration::from_millis(50));
    for id in ["one", "two"] {
        let active = NodeBuilder::new("iq")
            .attr("to", "s.whatsapp.net")
            .attr("type", "set")
            .attr("xmlns", "passive")
            .attr("id", id)
            .children([NodeBuilder::new("active").build()])
            .build();
        client.send(&[active]).await;
        assert_eq!(support::raw::text(&client.next().await.unwrap(), "id"), id);
        server.clear_faults().await.unwrap();
    }
    let notice = client.next().await.unwrap();
    let offline = notice.get_optional_child("offline").unwrap();
    assert_eq!(support::raw::text(offline, "count"), "0");
    server.shutdown().await;
}
