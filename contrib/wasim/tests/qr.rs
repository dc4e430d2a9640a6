//! Pairing by QR code, and what follows, with a client that was not written for this server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use support::{LONG, TestClient};
use wasim::{Fault, FaultRule, Observation, Options, Server, UnlinkAnswer};
use whatsapp_rust::wacore::types::events::Event;

const PHONE: &str = "15550001001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_pairs_comes_online_sees_its_groups_and_is_unlinked() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    let device = client.pair(&server, PHONE).await;
    assert_eq!(device, "15550001001:1@s.whatsapp.net");
    let shared = |seen: &Observation| matches!(seen, Observation::KeysShared { .. });
    server.wait_for(shared, LONG).await.unwrap();
    assert_eq!(client.client.push_name(), "Rehearsal 1001");

    let groups = client.client.groups().get_participating().await.unwrap();
    let mut subjects: Vec<String> = groups.values().map(|group| group.subject.clone()).collect();
    subjects.sort();
    assert_eq!(subjects, ["Rehearsal Room", "Stage Crew"]);

    server.unlink(&device).await.unwrap();
    client.logged_out().await;
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phones_name_reaches_its_devices() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.pair(&server, PHONE).await;
    let command = wasim::Command::SetPushName {
        phone: PHONE.to_owned(),
        name: "Somebody Else".to_owned(),
    };
    server.execute(command).await.unwrap();
    client
        .event(|event| match event {
            Event::SelfPushNameUpdated(update) => Some(update.new_name.clone()),
            _ => None,
        })
        .await;
    assert_eq!(client.client.push_name(), "Somebody Else");
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_comes_back_by_ik_and_by_the_fallback() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    let device = client.pair(&server, PHONE).await;

    let before = server.position();
    server.drop_connection(&device).await.unwrap();
    let resumed = |seen: &Observation| matches!(seen, Observation::HandshakeIk { .. });
    server.wait_after(before, resumed, LONG).await.unwrap();
    server.wait_online(&device, LONG).await.unwrap();

    server
        .set_fault(FaultRule::from(Fault::RefuseIk).only(&device).times(1))
        .await
        .unwrap();
    let before = server.position();
    server.reset(&device).await.unwrap();
    let fell_back = |seen: &Observation| matches!(seen, Observation::HandshakeFallback { .. });
    server.wait_after(before, fell_back, LONG).await.unwrap();
    server.wait_online(&device, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_outlive_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options {
        state: Some(directory.path().join("state.json")),
        ..Options::default()
    };
    let server = Server::start(options.clone()).await.unwrap();
    let client = TestClient::start(&server).await;
    let device = client.pair(&server, PHONE).await;
    let (root, address, url) = (server.root_key(), server.address(), server.url());
    let backend = client.stop().await;
    server.shutdown().await;

    options.listen = address;
    let server = Server::start(options).await.unwrap();
    assert_eq!((server.root_key(), server.url()), (root, url.clone()));
    let devices = server.devices(PHONE).await.unwrap();
    assert!(devices.len() == 1 && devices[0].jid == device && !devices[0].online);
    let client = TestClient::resume(&url, backend).await;
    server.wait_online(&device, LONG).await.unwrap();
    client.connected().await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoilt_pair_success_is_refused_by_the_client_and_the_next_one_pairs() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    let qr = client.qr().await;
    for fault in [Fault::CorruptHmac, Fault::CorruptAccountSignature] {
        server
            .set_fault(FaultRule::from(fault).times(1))
            .await
            .unwrap();
        let error = server.scan(&qr, PHONE).await.unwrap_err().to_string();
        assert!(error.contains("the client refused: 401"), "{error}");
        client
            .event(|event| matches!(event, Event::PairError(_)).then_some(()))
            .await;
    }
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    server.scan(&qr, PHONE).await.unwrap();
    client.connected().await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_unlinks_itself() {
    use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
    let server = Server::start(Options::default()).await.unwrap();
    for answer in [
        UnlinkAnswer::Result,
        UnlinkAnswer::ResultThenConflict,
        UnlinkAnswer::ConflictOnly,
        UnlinkAnswer::Refuse(500),
        UnlinkAnswer::CloseSocket,
    ] {
        server.on_unlink(None, answer).await.unwrap();
        let client = TestClient::start(&server).await;
        let device = client.pair(&server, PHONE).await;
        let jid = client.client.pn().unwrap();
        let request = RemoveCompanionDeviceSpec::new(&jid);
        let result = client.client.execute(request).await;
        let left = server.devices(PHONE).await.unwrap().len();
        match answer {
            UnlinkAnswer::Result => assert!(result.is_ok() && left == 0, "{result:?}"),
            // When the conflict overtakes the answer in the client, the answer is lost on it.
            UnlinkAnswer::ResultThenConflict | UnlinkAnswer::ConflictOnly => {
                client.logged_out().await;
                assert_eq!(left, 0);
            }
            _ => {
                assert!(result.is_err() && left == 1, "{answer:?}");
                server.unlink(&device).await.unwrap();
            }
        }
        client.stop().await;
    }
    server.shutdown().await;
}
