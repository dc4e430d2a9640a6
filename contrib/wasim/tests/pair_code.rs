//! Pairing by the code that a client shows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use support::{LONG, TestClient};
use wasim::{Error, Fault, FaultRule, Observation, Options, Server};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::wacore::types::events::Event;

const PHONE: &str = "15550001002";

fn options() -> PairCodeOptions {
    PairCodeOptions {
        phone_number: PHONE.to_owned(),
        ..PairCodeOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_code_links_the_device() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.qr().await;
    let code = client.client.pair_with_code(options()).await.unwrap();
    let device = server.link_by_code(PHONE, &code).await.unwrap();
    assert_eq!(device, "15550001002:1@s.whatsapp.net");
    server.wait_online(&device, LONG).await.unwrap();
    client.connected().await;
    assert!(server.secrets().contains(&code));
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_links_nothing_and_the_right_one_still_does() {
    let server = Server::start(Options::default()).await.unwrap();
    assert!(matches!(
        server.link_by_code(PHONE, "ABCD-1234").await,
        Err(Error::CodeExpired)
    ));
    let client = TestClient::start(&server).await;
    client.qr().await;
    let code = client.client.pair_with_code(options()).await.unwrap();
    let wrong: String = code.chars().rev().collect();
    assert!(matches!(
        server.link_by_code(PHONE, &wrong).await,
        Err(Error::WrongCode)
    ));
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    server.link_by_code(PHONE, &code).await.unwrap();
    client.connected().await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_refused() {
    let server = Server::start(Options::default()).await.unwrap();
    let rule = FaultRule::from(Fault::RefusePairCode(429))
        .only(PHONE)
        .times(1);
    server.set_fault(rule).await.unwrap();
    let client = TestClient::start(&server).await;
    client.qr().await;
    let error = client.client.pair_with_code(options()).await.unwrap_err();
    assert!(format!("{error:?}").contains("429"), "{error:?}");
    let refused = |seen: &Observation| {
        matches!(
            seen,
            Observation::PairCodeRequested {
                refused: Some(429),
                ..
            }
        )
    };
    server.wait_for(refused, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_calls_itself_something_else_is_refused() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.qr().await;
    let options = PairCodeOptions {
        display_os: Some("Acme".to_owned()),
        ..options()
    };
    let error = client.client.pair_with_code(options).await.unwrap_err();
    assert!(format!("{error:?}").contains("400"), "{error:?}");
    client.stop().await;
    server.shutdown().await;
}

/// The connection is lost each time a code shows, and the code that shows at last is good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_can_be_lost_while_a_code_shows() {
    const LOSSES: u32 = 2;
    let server = Server::start(Options::default()).await.unwrap();
    let losses = FaultRule::from(Fault::CloseAfterPairCode).times(LOSSES);
    server.set_fault(losses).await.unwrap();
    let client = TestClient::start(&server).await;
    for _ in 0..LOSSES {
        client.qr().await;
        let position = server.position();
        let lost = client.client.pair_with_code(options()).await;
        let gone = |seen: &Observation| matches!(seen, Observation::Disconnected { .. });
        server.wait_after(position, gone, LONG).await.unwrap();
        if let Ok(code) = lost {
            assert!(matches!(
                server.link_by_code(PHONE, &code).await,
                Err(Error::CodeExpired | Error::ClientGone)
            ));
        }
        client.client.cancel_pair_code().await;
    }
    client.qr().await;
    let code = client.client.pair_with_code(options()).await.unwrap();
    let device = server.link_by_code(PHONE, &code).await.unwrap();
    server.wait_online(&device, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_retired_and_the_next_one_links() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.qr().await;
    let old = client.client.pair_with_code(options()).await.unwrap();
    let retire = wasim::Command::RefreshCode {
        device: "#1".to_owned(),
        force_manual: true,
    };
    server.execute(retire).await.unwrap();
    let forced = client
        .event(|event| match event {
            Event::PairingCodeRefresh(refresh) => Some(refresh.force_manual),
            _ => None,
        })
        .await;
    assert!(forced);
    assert!(matches!(
        server.link_by_code(PHONE, &old).await,
        Err(Error::CodeExpired)
    ));
    let code = client.client.pair_with_code(options()).await.unwrap();
    let device = server.link_by_code(PHONE, &code).await.unwrap();
    server.wait_online(&device, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}
