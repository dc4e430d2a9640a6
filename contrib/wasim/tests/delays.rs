//! Delays: they hold up what they are about and nothing else, and end with the client.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::{Duration, Instant};

use support::raw::{Keys, RawClient, text};
use support::{LONG, pair_raw};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wasim::{Failure, Fault, FaultRule, Observation, Options, Server, Stage, Stanza};

const PHONE: &str = "15550001006";

/// Longer than any test runs: what waits for it to pass has failed.
const FOR_EVER: u64 = 3_600_000;

fn delay(stage: Stage, milliseconds: u64) -> FaultRule {
    FaultRule::from(Fault::Delay {
        stage,
        milliseconds,
    })
}

fn query(id: &str, namespace: &'static str) -> Node {
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "get")
        .attr("xmlns", namespace)
        .attr("id", id)
        .build()
}

fn payload() -> waproto::whatsapp::ClientPayload {
    Keys::login(PHONE.parse().unwrap(), 1)
}

async fn log_in(server: &Server, keys: &Keys) -> RawClient {
    let mut client = RawClient::connect(server, keys, &payload(), usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    client
}

async fn answers(client: &mut RawClient, id: &str) {
    client.send(&[query(id, "w:p")]).await;
    let answer = client.next().await.expect("it is still connected");
    assert_eq!(
        (answer.tag.as_ref(), text(&answer, "id")),
        ("iq", id.to_owned())
    );
}

async fn wait_after(server: &Server, position: u64, fits: impl Fn(&Observation) -> bool) {
    server.wait_after(position, fits, LONG).await.unwrap();
}

/// Returns when a client has met the fault that was set.
async fn used(server: &Server) {
    loop {
        match server.execute(wasim::Command::Faults).await.unwrap() {
            wasim::Answer::Faults { rules } if rules.is_empty() => return,
            _ => tokio::task::yield_now().await,
        }
    }
}

fn gone(seen: &Observation) -> bool {
    matches!(seen, Observation::Disconnected { .. })
}

/// The living client keeps its place when another with the same credentials goes away while it waits.
#[tokio::test]
async fn a_client_that_goes_away_during_a_delay_takes_nobodys_place() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut living = log_in(&server, &keys).await;
    let server_key = living.server_key.clone();
    for (stage, resumes) in [
        (Stage::Login, false),
        (Stage::Login, true),
        (Stage::Handshake, true),
    ] {
        let position = server.position();
        server
            .set_fault(delay(stage, FOR_EVER).times(1))
            .await
            .unwrap();
        let name = format!("{stage:?} {resumes}");
        let waits = async {
            if resumes {
                drop(RawClient::resume(&server, &keys, &server_key, &payload()).await);
            } else {
                drop(RawClient::connect(&server, &keys, &payload(), usize::MAX).await);
            }
        };
        // It leaves as soon as the delay has begun.
        tokio::select! {
            () = used(&server) => {}
            () = waits => used(&server).await,
        }
        wait_after(&server, position, gone).await;
        let login = |seen: &Observation| matches!(seen, Observation::Login { .. });
        let taken = server.wait_after(position, login, Duration::ZERO).await;
        assert!(taken.is_err(), "{name}: {taken:?}");
        answers(&mut living, &name).await;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_not_delayed_goes_on() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    let once = delay(Stage::Query, FOR_EVER).times(1);
    server.set_fault(once).await.unwrap();
    client.send(&[query("delayed", "w:g2")]).await;
    answers(&mut client, "a ping").await;
    client.send(&[query("a query", "abt")]).await;
    let answer = client.next().await.unwrap();
    assert_eq!(text(&answer, "id"), "a query");
    server
        .send_raw(&device, Stanza::new("notice"))
        .await
        .unwrap();
    assert_eq!(client.next().await.unwrap().tag, "notice");

    let active = NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "set")
        .attr("xmlns", "passive")
        .attr("id", "active")
        .children([NodeBuilder::new("active").build()])
        .build();
    server.set_fault(Fault::NoKeyShare).await.unwrap();
    server
        .set_fault(delay(Stage::Offline, FOR_EVER))
        .await
        .unwrap();
    client.send(&[active]).await;
    assert_eq!(text(&client.next().await.unwrap(), "id"), "active");
    answers(&mut client, "another ping").await;
    server.shutdown().await;
}

/// Each request waits from its own arrival, not for the delays of those before it.
#[tokio::test]
async fn requests_wait_side_by_side() {
    const REQUESTS: usize = 50;
    const DELAY: u64 = 200;
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    server.set_fault(delay(Stage::Query, DELAY)).await.unwrap();
    let began = Instant::now();
    let ids: Vec<_> = (0..REQUESTS).map(|n| n.to_string()).collect();
    let requests: Vec<_> = ids.iter().map(|id| query(id, "abt")).collect();
    client.send(&requests).await;
    for id in &ids {
        assert_eq!(text(&client.next().await.unwrap(), "id"), *id);
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(DELAY), "{took:?}");
    // One after the other they would take ten seconds.
    assert!(took < Duration::from_secs(8), "{took:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn what_a_client_says_before_its_delayed_login_is_answered_after_it() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    server.set_fault(delay(Stage::Login, 50)).await.unwrap();
    let mut client = RawClient::connect(&server, &keys, &payload(), usize::MAX).await;
    client.send(&[query("early", "w:p")]).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    assert_eq!(text(&client.next().await.unwrap(), "id"), "early");
    server.shutdown().await;
}

/// A client that is shown its references late can be given others at once, and is scanned by them.
#[tokio::test]
async fn a_pairing_can_be_slow_at_every_stage() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let never = delay(Stage::Refs, FOR_EVER).times(1);
    server.set_fault(never).await.unwrap();
    server
        .set_fault(delay(Stage::PairSuccess, 20))
        .await
        .unwrap();
    server.set_fault(delay(Stage::Restart, 20)).await.unwrap();
    let registration = keys.registration();
    let mut client = RawClient::connect(&server, &keys, &registration, usize::MAX).await;
    let renew = wasim::Command::RenewRefs {
        device: "#1".to_owned(),
    };
    // The registration is read a moment after the handshake.
    loop {
        let stage = server
            .logins()
            .await
            .unwrap()
            .first()
            .map(|c| c.stage.clone());
        if stage.as_deref() == Some("pairing") {
            break;
        }
        tokio::task::yield_now().await;
    }
    server.execute(renew).await.unwrap();
    let (refs, _) = client.refs().await;
    let sign = async {
        let success = client.next().await.unwrap();
        client.sign(&keys, &success, &keys.identity).await;
        client.next().await.unwrap()
    };
    let qr = keys.qr(&refs[0]);
    let (device, restart) = tokio::join!(server.scan(&qr, PHONE), sign);
    assert_eq!(text(&restart, "code"), "515");
    assert!(device.unwrap().starts_with(PHONE));
    server.shutdown().await;
}

#[tokio::test]
async fn a_frozen_device_is_offline_once_its_client_is_gone() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    let position = server.position();
    server.freeze(&device).await.unwrap();
    // What it said before it left is not read any more.
    client.send(&[query("unread", "w:p")]).await;
    assert!(server.devices(PHONE).await.unwrap()[0].online);
    drop(client);
    wait_after(&server, position, gone).await;
    assert!(!server.devices(PHONE).await.unwrap()[0].online);
    server.shutdown().await;
}

#[tokio::test]
async fn a_registration_is_refused_as_a_login_is() {
    let server = Server::start(Options::default()).await.unwrap();
    let refuse = Fault::FailLogin(Failure::reason(405));
    server
        .set_fault(FaultRule::from(refuse).times(1))
        .await
        .unwrap();
    let keys = Keys::generate();
    let registration = keys.registration();
    let mut client = RawClient::connect(&server, &keys, &registration, usize::MAX).await;
    let failure = client.next().await.unwrap();
    assert_eq!(failure.tag, "failure");
    assert_eq!(text(&failure, "reason"), "405");
    pair_raw(&server, &keys, PHONE).await;
    server.shutdown().await;
}

/// A login that its client has given up is concluded late, and throws the client's next connection out.
#[tokio::test]
async fn the_ghost_of_a_login_replaces_the_next_one() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    let ghost = FaultRule::from(Fault::GhostLogin(600))
        .only(&device)
        .times(1);
    server.set_fault(ghost).await.unwrap();
    let given_up = RawClient::connect(&server, &keys, &payload(), usize::MAX).await;
    let ignored = |seen: &Observation| matches!(seen, Observation::LoginIgnored { .. });
    server.wait_for(ignored, LONG).await.unwrap();
    drop(given_up);
    server.wait_for(gone, LONG).await.unwrap();

    let mut client = log_in(&server, &keys).await;
    let error = client.next().await.unwrap();
    let conflict = error.get_optional_child("conflict").unwrap();
    assert_eq!(text(conflict, "type"), "replaced");
    let concluded = |seen: &Observation| {
        matches!(
            seen,
            Observation::GhostConcluded {
                replaced: Some(_),
                ..
            }
        )
    };
    server.wait_for(concluded, LONG).await.unwrap();
    let mut again = log_in(&server, &keys).await;
    answers(&mut again, "undisturbed").await;

    // A client that waits long enough is simply logged in late.
    server
        .set_fault(FaultRule::from(Fault::GhostLogin(20)).times(1))
        .await
        .unwrap();
    let mut patient = log_in(&server, &keys).await;
    answers(&mut patient, "late").await;
    server.shutdown().await;
}
