//! Presence: what a device says of its owner is observed in order, among all that it sends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use support::raw::{Keys, RawClient};
use support::{LONG, TestClient, pair_raw};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wasim::{Answer, Command, Observation, Options, Server};

const PHONE: &str = "15550001011";

fn presence(kind: &'static str) -> Node {
    NodeBuilder::new("presence")
        .attr("type", kind)
        .attr("name", "Somebody")
        .build()
}

fn ping(id: &str) -> Node {
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "get")
        .attr("xmlns", "w:p")
        .attr("id", id)
        .build()
}

#[tokio::test]
async fn presence_is_observed_in_its_place() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client = RawClient::connect(&server, &keys, &login, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    let bare = NodeBuilder::new("presence").build();
    let stanzas = [
        presence("available"),
        ping("between"),
        presence("unavailable"),
        bare,
    ];
    client.send(&stanzas).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let said = |seen: &Observation| matches!(seen, Observation::Presence { .. });
        let Observation::Presence {
            jid,
            kind,
            name,
            place,
            ..
        } = server.wait_for(said, LONG).await.unwrap()
        else {
            unreachable!("only presence fits");
        };
        assert_eq!(jid, device);
        seen.push((kind, name.is_some(), place));
    }
    let expected = [
        ("available", true, 1),
        ("unavailable", true, 3),
        ("available", false, 4),
    ];
    assert_eq!(
        seen,
        expected.map(|(kind, named, place)| (kind.to_owned(), named, place))
    );
    let order = server.received(&device).await.unwrap();
    let order: Vec<_> = order
        .iter()
        .map(|stanza| (stanza.place, stanza.tag.as_str()))
        .collect();
    assert_eq!(
        order,
        [(1, "presence"), (2, "iq"), (3, "presence"), (4, "presence")]
    );

    // What a hung connection is told is noted, too, and it outlives the connection.
    let connection = server.devices(PHONE).await.unwrap()[0].connection.unwrap();
    server.hang(&device).await.unwrap();
    client.send(&[presence("unavailable")]).await;
    let said = |seen: &Observation| matches!(seen, Observation::Presence { place: 5, .. });
    server.wait_for(said, LONG).await.unwrap();
    drop(client);
    let gone = |seen: &Observation| matches!(seen, Observation::Disconnected { jid: Some(_), .. });
    server.wait_for(gone, LONG).await.unwrap();
    let order = server.received(&format!("#{connection}")).await.unwrap();
    assert_eq!(order.len(), 5);
    assert!(server.received(&device).await.is_err());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_presence_of_a_library_is_observed_and_logins_have_times() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    let device = client.pair(&server, PHONE).await;
    client.client.presence().set_available().await.unwrap();
    client.client.presence().set_unavailable().await.unwrap();
    let away = |seen: &Observation| matches!(seen, Observation::Presence { jid, kind, .. } if *jid == device && kind == "unavailable");
    server.wait_for(away, LONG).await.unwrap();

    let all = server.observations(0).await.unwrap();
    assert!(
        all.windows(2)
            .all(|pair| pair[0].position < pair[1].position)
    );
    assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let command = Command::Observations {
        after: 0,
        only: vec!["login".to_owned()],
        device: Some(PHONE.to_owned()),
    };
    let Answer::Observations { observations, next } = server.execute(command).await.unwrap() else {
        panic!("another answer");
    };
    assert!(next >= all.len() as u64);
    assert!(!observations.is_empty());
    let logins = observations
        .iter()
        .all(|seen| matches!(&seen.observation, Observation::Login { jid, .. } if *jid == device));
    assert!(logins, "{observations:?}");
    client.stop().await;
    server.shutdown().await;
}
