//! The server against a client that shares no code with it below the stanzas.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use support::LONG;
use support::raw::{Keys, RawClient, text};
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;
use wasim::{Error, Fault, Observation, Options, Server};

const PHONE: &str = "15550001001";

async fn paired(server: &Server, keys: &Keys) -> (String, RawClient) {
    let mut client = RawClient::connect(server, keys, &keys.registration(), usize::MAX).await;
    let (refs, _) = client.refs().await;
    let qr = keys.qr(&refs[0]);
    let scan = server.scan(&qr, PHONE);
    let sign = async {
        let success = client.next().await.unwrap();
        client.sign(keys, &success, &keys.identity).await;
        client
    };
    let (device, client) = tokio::join!(scan, sign);
    (device.unwrap(), client)
}

#[tokio::test]
async fn frames_may_be_cut_and_joined_at_will() {
    let server = Server::start(Options::default()).await.unwrap();
    for cut in [1, 2, 3, 7, 50, usize::MAX] {
        let keys = Keys::generate();
        let mut client = RawClient::connect(&server, &keys, &keys.registration(), cut).await;
        let (refs, id) = client.refs().await;
        assert_eq!(refs.len(), 6);
        let ack = NodeBuilder::new("iq")
            .attr("to", "s.whatsapp.net")
            .attr("type", "result")
            .attr("id", id)
            .build();
        let ping = |id: &str| {
            NodeBuilder::new("iq")
                .attr("to", "s.whatsapp.net")
                .attr("type", "get")
                .attr("xmlns", "w:p")
                .attr("id", id)
                .build()
        };
        client.send(&[ack, ping("p1"), ping("p2")]).await;
        for id in ["p1", "p2"] {
            let answer = client.next().await.unwrap();
            assert_eq!(
                (text(&answer, "type"), text(&answer, "id")),
                ("result".to_owned(), id.to_owned())
            );
        }
        let acknowledged =
            |seen: &Observation| matches!(seen, Observation::PairingAcknowledged { .. });
        server.wait_for(acknowledged, LONG).await.unwrap();
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_device_that_signs_with_another_key_is_not_linked() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let mut client = RawClient::connect(&server, &keys, &keys.registration(), usize::MAX).await;
    let (refs, _) = client.refs().await;
    let qr = keys.qr(&refs[3]);
    let scan = server.scan(&qr, PHONE);
    let sign = async {
        let success = client.next().await.unwrap();
        let other = KeyPair::generate(&mut rand::rng());
        client.sign(&keys, &success, &other).await;
        let error = client.next().await.unwrap();
        assert_eq!(
            (error.tag.as_ref(), text(&error, "code").as_str()),
            ("stream:error", "500")
        );
        assert!(client.next().await.is_none());
    };
    let (result, ()) = tokio::join!(scan, sign);
    assert!(matches!(result, Err(Error::Pairing(why)) if why.contains("device signature")));
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    server.shutdown().await;
}

#[tokio::test]
async fn a_code_with_other_keys_or_from_a_client_that_is_gone_is_refused() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let mut client = RawClient::connect(&server, &keys, &keys.registration(), usize::MAX).await;
    let (refs, _) = client.refs().await;
    let other = Keys::generate();
    assert!(matches!(
        server.scan(&other.qr(&refs[0]), PHONE).await,
        Err(Error::BadQr(_))
    ));
    assert!(matches!(
        server.scan(&keys.qr("2@none"), PHONE).await,
        Err(Error::CodeExpired)
    ));
    assert!(matches!(
        server.scan(&keys.qr(&refs[0]), "phone").await,
        Err(Error::BadPhone(_))
    ));
    drop(client);
    let gone = |seen: &Observation| matches!(seen, Observation::Disconnected { jid: None, .. });
    server.wait_for(gone, LONG).await.unwrap();
    assert!(matches!(
        server.scan(&keys.qr(&refs[0]), PHONE).await,
        Err(Error::CodeExpired)
    ));
    server.shutdown().await;
}

#[tokio::test]
async fn only_the_device_itself_can_log_in() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let (device, mut client) = paired(&server, &keys).await;
    assert_eq!(device, "15550001001:1@s.whatsapp.net");
    let restart = client.next().await.unwrap();
    assert_eq!(
        (restart.tag.as_ref(), text(&restart, "code").as_str()),
        ("stream:error", "515")
    );
    assert!(client.next().await.is_none());

    let phone = PHONE.parse().unwrap();
    let stranger = Keys::generate();
    for (keys, number) in [(&stranger, 1), (&keys, 2)] {
        let mut client =
            RawClient::connect(&server, keys, &Keys::login(phone, number), usize::MAX).await;
        let failure = client.next().await.unwrap();
        assert_eq!(
            (failure.tag.as_ref(), text(&failure, "reason").as_str()),
            ("failure", "401")
        );
        assert!(client.next().await.is_none());
    }
    let mut client = RawClient::connect(&server, &keys, &Keys::login(phone, 1), 5).await;
    let success = client.next().await.unwrap();
    assert_eq!(success.tag, "success");
    assert_eq!(text(&success, "lid"), "100015550001001:1@lid");
    server.shutdown().await;
}

#[tokio::test]
async fn a_second_login_throws_the_first_out() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let (device, _) = paired(&server, &keys).await;
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut first = RawClient::connect(&server, &keys, &login, usize::MAX).await;
    assert_eq!(first.next().await.unwrap().tag, "success");
    let server_key = first.server_key.clone();
    let mut second = RawClient::resume(&server, &keys, &server_key, &login)
        .await
        .unwrap();
    assert_eq!(second.next().await.unwrap().tag, "success");

    let error = first.next().await.unwrap();
    let conflict = error.get_optional_child("conflict").unwrap();
    assert_eq!(
        (error.tag.as_ref(), text(conflict, "type").as_str()),
        ("stream:error", "replaced")
    );
    assert!(first.next().await.is_none());
    let devices = server.devices(PHONE).await.unwrap();
    assert!(devices[0].online && devices[0].jid == device);

    server.unlink(PHONE).await.unwrap();
    let error = second.next().await.unwrap();
    let conflict = error.get_optional_child("conflict").unwrap();
    assert_eq!(
        (
            text(&error, "code").as_str(),
            text(conflict, "type").as_str()
        ),
        ("401", "device_removed")
    );
    assert!(second.next().await.is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn ik_needs_the_right_key_and_can_be_refused() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let (_, client) = paired(&server, &keys).await;
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    assert!(
        RawClient::resume(&server, &keys, &client.server_key, &login)
            .await
            .is_some()
    );

    let stale = Keys::generate().noise.public;
    assert!(
        RawClient::resume(&server, &keys, &stale, &login)
            .await
            .is_none()
    );

    server
        .set_fault(wasim::FaultRule::from(Fault::RefuseIk).only(PHONE).times(1))
        .await
        .unwrap();
    assert!(
        RawClient::resume(&server, &keys, &client.server_key, &login)
            .await
            .is_none()
    );
    assert!(
        RawClient::resume(&server, &keys, &client.server_key, &login)
            .await
            .is_some()
    );

    server.set_fault(Fault::CloseOnIk).await.unwrap();
    assert!(
        RawClient::resume(&server, &keys, &client.server_key, &login)
            .await
            .is_none()
    );
    RawClient::connect(&server, &keys, &login, usize::MAX).await;
    server.shutdown().await;
}

#[tokio::test]
async fn only_loopback_is_served() {
    let options = Options {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Options::default()
    };
    assert!(matches!(
        Server::start(options).await,
        Err(Error::NotLoopback(_))
    ));
}
