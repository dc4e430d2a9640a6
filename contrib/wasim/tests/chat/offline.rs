//! What waits for a device that is away, and comes again until the device has acknowledged it.

use std::sync::atomic::Ordering;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wasim::{Group, Observation, Options, Saying, Server, Trouble};

use super::client::{ChatClient, next, next_that, nothing_waits, text};
use super::support::pair_raw;
use super::support::raw::{self, Keys, RawClient};
use super::{CONTACT, LONG, OTHER, PHONE};

const ROOM: &str = "120363000000000001@g.us";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_wait_and_come_in_order() {
    const EACH: usize = 500;
    let server = Server::start(Options::default()).await.unwrap();
    let room = Group::new(ROOM, "Room").with_members(&[CONTACT, OTHER]);
    server.set_groups(PHONE, vec![room]).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    let backend = client.stop().await;
    for number in 0..EACH {
        let words = number.to_string();
        server.say_text(CONTACT, PHONE, &words).await.unwrap();
        server.say_text(OTHER, ROOM, &words).await.unwrap();
    }
    assert_eq!(server.waiting(&device).await.unwrap(), 2 * EACH);
    let client = ChatClient::resume(&server, backend).await;
    assert_eq!(
        next(&client.previews).await,
        2 * i32::try_from(EACH).unwrap()
    );
    let (mut direct, mut grouped) = (0, 0);
    while direct + grouped < 2 * EACH {
        let came = client.message().await;
        assert!(came.info.is_offline);
        let count = if came.info.source.is_group {
            &mut grouped
        } else {
            &mut direct
        };
        assert_eq!(text(&came), count.to_string());
        *count += 1;
    }
    assert_eq!((direct, grouped), (EACH, EACH));
    nothing_waits(&server, &device).await;
    // What comes later is live.
    server.say_text(CONTACT, PHONE, "now").await.unwrap();
    let came = client.message().await;
    assert_eq!((text(&came).as_str(), came.info.is_offline), ("now", false));
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_device_had_not_acknowledged_comes_again() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    nothing_waits(&server, &device).await;
    client.commits.store(false, Ordering::SeqCst);
    let mut ids = Vec::new();
    for number in 0..5 {
        let said = server.say_text(CONTACT, PHONE, &number.to_string()).await;
        ids.push(said.unwrap());
    }
    let sent = |wanted: &str, time: u32| {
        let wanted = wanted.to_owned();
        move |seen: &Observation| {
            matches!(seen, Observation::MessageSent { id, attempt, .. }
                if *id == wanted && *attempt == time)
        }
    };
    for id in &ids {
        server.wait_for(sent(id, 1), LONG).await.unwrap();
        // Between decrypting a message and keeping it, this library would lose it in a stop, and acknowledge the
        // next copy as one that it had.
        let refused = next_that(&client.refused, |refused| ids.contains(refused));
        assert_eq!(&refused.await, id);
    }
    let backend = client.stop().await;
    assert_eq!(server.waiting(&device).await.unwrap(), ids.len());

    let client = ChatClient::resume(&server, backend).await;
    for (number, id) in ids.iter().enumerate() {
        server.wait_for(sent(id, 2), LONG).await.unwrap();
        let came = client.message().await;
        assert_eq!((text(&came), &came.info.id), (number.to_string(), id));
    }
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_restart_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        state: Some(directory.path().join("state.json")),
        ..Options::default()
    };
    let server = Server::start(options()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    server.say_text(CONTACT, PHONE, "before").await.unwrap();
    client.message().await;
    nothing_waits(&server, &device).await;
    let backend = client.stop().await;
    server.say_text(CONTACT, PHONE, "away").await.unwrap();
    server.shutdown().await;

    let server = Server::start(options()).await.unwrap();
    server.say_text(CONTACT, PHONE, "after").await.unwrap();
    assert_eq!(server.waiting(&device).await.unwrap(), 2);
    let client = ChatClient::resume(&server, backend).await;
    for words in ["away", "after"] {
        assert_eq!(text(&client.message().await), words);
    }
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_twice_is_seen_once_and_acknowledged_twice() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    let twice = Saying::text(CONTACT, PHONE, "twice").with(Trouble::Twice);
    let id = server.say(twice).await.unwrap();
    server.say_text(CONTACT, PHONE, "once").await.unwrap();
    assert_eq!(client.message().await.info.id, id);
    assert_eq!(text(&client.message().await), "once");
    let sent = |seen: &Observation| matches!(seen, Observation::MessageSent { id: sent, .. } if *sent == id);
    for _ in 0..2 {
        server.wait_for(sent, LONG).await.unwrap();
    }
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

/// A client made from the protocol alone, which is about to get what waits for it.
async fn come_back(server: &Server, keys: &Keys) -> RawClient {
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client = RawClient::connect(server, keys, &login, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    let active = NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "set")
        .attr("xmlns", "passive")
        .attr("id", "active")
        .children([NodeBuilder::new("active").build()])
        .build();
    client.send(&[active]).await;
    assert_eq!(client.next().await.unwrap().tag, "iq");
    client
}

/// The count in a notice of this name.
fn count(notice: &Node, name: &str) -> String {
    raw::text(notice.get_optional_child(name).expect(name), "count")
}

async fn messages(client: &mut RawClient, ids: &[String]) -> Vec<Node> {
    let mut came = Vec::new();
    for id in ids {
        let message = client.next().await.unwrap();
        assert_eq!(
            (message.tag.as_ref(), &raw::text(&message, "id")),
            ("message", id)
        );
        came.push(message);
    }
    came
}

fn thanks(message: &Node) -> Node {
    NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", raw::text(message, "id"))
        .attr("to", raw::text(message, "from"))
        .build()
}

#[tokio::test]
async fn what_waits_comes_whether_the_device_asks_thanks_or_says_nothing() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        let said = server.say_text(CONTACT, PHONE, &number.to_string()).await;
        ids.push(said.unwrap());
    }
    // It says nothing, and all comes after a while; and again, since nothing was acknowledged.
    let mut client = come_back(&server, &keys).await;
    assert_eq!(count(&client.next().await.unwrap(), "offline_preview"), "8");
    messages(&mut client, &ids).await;
    assert_eq!(count(&client.next().await.unwrap(), "offline"), "8");

    // It asks.
    let mut client = come_back(&server, &keys).await;
    assert_eq!(count(&client.next().await.unwrap(), "offline_preview"), "8");
    messages(&mut client, &ids[..5]).await;
    let more = NodeBuilder::new("offline_batch").attr("count", "2").build();
    let more = NodeBuilder::new("ib").children([more]).build();
    client.send(&[more]).await;
    messages(&mut client, &ids[5..7]).await;
    drop(client);

    // It thanks for what it got.
    let mut client = come_back(&server, &keys).await;
    assert_eq!(count(&client.next().await.unwrap(), "offline_preview"), "8");
    let came = messages(&mut client, &ids[..5]).await;
    assert_eq!(raw::text(&came[4], "offline"), "4");
    let acks: Vec<Node> = came.iter().map(thanks).collect();
    client.send(&acks).await;
    let came = messages(&mut client, &ids[5..]).await;
    assert_eq!(count(&client.next().await.unwrap(), "offline"), "8");
    assert_eq!(server.waiting(&device).await.unwrap(), 3);
    client
        .send(&came.iter().map(thanks).collect::<Vec<Node>>())
        .await;
    nothing_waits(&server, &device).await;
    server.shutdown().await;
}
