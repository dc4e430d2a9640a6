//! What can be set for an account, and for the whole server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use buffa::{Message as _, MessageField};
use support::raw::{Keys, RawClient, text};
use support::{LONG, TestClient, pair_raw};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};
use waproto::whatsapp::client_payload::UserAgent;
use waproto::whatsapp::client_payload::user_agent::AppVersion;
use waproto::whatsapp::{ClientPayload, ExternalBlobReference};
use wasim::{AppState, Command, Hosting, Observation, Options, Server};
use whatsapp_rust::wacore::types::events::Event;

const PHONE: &str = "15550001015";

/// Somebody whose phone is not simulated.
const STRANGER: &str = "15559990001";

fn iq(id: &'static str, kind: &'static str, namespace: &'static str, child: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", kind)
        .attr("xmlns", namespace)
        .attr("id", id)
        .children([child])
        .build()
}

async fn log_in(server: &Server, keys: &Keys) -> RawClient {
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client = RawClient::connect(server, keys, &login, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    client
}

fn users<'a>(answer: &'a Node, path: &[&str]) -> &'a [Node] {
    let list = path
        .iter()
        .fold(answer, |node, tag| node.get_optional_child(tag).unwrap());
    list.children().unwrap()
}

/// The hidden number of a person, and the identity key under either number.
async fn known(client: &mut RawClient, phone: &str) -> (String, Vec<Node>) {
    let user = |jid: &str| NodeBuilder::new("user").attr("jid", jid).build();
    let jid = format!("{phone}@s.whatsapp.net");
    let query = ["contact", "devices", "lid"].map(|name| NodeBuilder::new(name).build());
    let sync = NodeBuilder::new("usync")
        .children([
            NodeBuilder::new("query").children(query).build(),
            NodeBuilder::new("list").children([user(&jid)]).build(),
        ])
        .build();
    client.send(&[iq("who", "get", "usync", sync)]).await;
    let answer = client.next().await.unwrap();
    let described = &users(&answer, &["usync", "list"])[0];
    let lid = text(described.get_optional_child("lid").unwrap(), "val");
    let key = NodeBuilder::new("key")
        .children([user(&jid), user(&lid)])
        .build();
    client.send(&[iq("keys", "get", "encrypt", key)]).await;
    let answer = client.next().await.unwrap();
    let identities = users(&answer, &["list"])
        .iter()
        .map(|user| user.get_optional_child("identity").cloned().unwrap());
    (lid, identities.collect())
}

#[tokio::test]
async fn strangers_have_hidden_numbers_and_keys_that_stay() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    let (lid, identities) = known(&mut client, STRANGER).await;
    assert!(lid.ends_with("@lid"), "{lid}");
    assert_eq!(identities[0], identities[1]);
    // Somebody whose phone is simulated later keeps number and keys.
    server
        .execute(Command::Groups {
            phone: STRANGER.to_owned(),
        })
        .await
        .unwrap();
    assert_eq!(known(&mut client, STRANGER).await, (lid, identities));

    let absent = NodeBuilder::new("user")
        .attr("jid", format!("{STRANGER}:7@s.whatsapp.net"))
        .build();
    let key = NodeBuilder::new("key").children([absent]).build();
    client.send(&[iq("none", "get", "encrypt", key)]).await;
    let answer = client.next().await.unwrap();
    let error = users(&answer, &["list"])[0]
        .get_optional_child("error")
        .unwrap()
        .clone();
    assert_eq!(text(&error, "code"), "406");
    server.shutdown().await;
}

fn of_version(mut payload: ClientPayload, version: [u32; 3]) -> ClientPayload {
    let [primary, secondary, tertiary] = version.map(Some);
    payload.user_agent = MessageField::some(UserAgent {
        app_version: MessageField::some(AppVersion {
            primary,
            secondary,
            tertiary,
            ..AppVersion::default()
        }),
        ..UserAgent::default()
    });
    payload
}

#[tokio::test]
async fn older_clients_are_refused_until_they_name_a_new_version() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    let minimum = [2, 3000, 1_040_000_000];
    pair_raw(&server, &keys, PHONE).await;
    server.set_minimum_version(Some(minimum)).await.unwrap();
    let login = || Keys::login(PHONE.parse().unwrap(), 1);
    let older = [
        [2, 3000, 1_039_999_999],
        [2, 2999, 1_050_000_000],
        [1, 9999, 0],
    ];
    for payload in older
        .iter()
        .flat_map(|version| {
            [
                of_version(login(), *version),
                of_version(keys.registration(), *version),
            ]
        })
        .chain([login()])
    {
        let mut client = RawClient::connect(&server, &keys, &payload, usize::MAX).await;
        let failure = client.next().await.unwrap();
        assert_eq!(
            (failure.tag.as_ref(), text(&failure, "reason").as_str()),
            ("failure", "405")
        );
        assert_eq!(text(&failure, "location"), "odn");
    }
    for version in [minimum, [2, 3001, 0], [3, 0, 0]] {
        let payload = of_version(login(), version);
        let mut client = RawClient::connect(&server, &keys, &payload, usize::MAX).await;
        assert_eq!(client.next().await.unwrap().tag, "success");
    }
    server.set_minimum_version(None).await.unwrap();
    log_in(&server, &keys).await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_version_is_told_at_once_and_at_each_login() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    let end = |notice: &Node| text(notice.get_optional_child("client_expiration").unwrap(), "t");
    server
        .set_client_expiration(Some(1_900_000_000))
        .await
        .unwrap();
    assert_eq!(end(&client.next().await.unwrap()), "1900000000");
    let mut client = log_in(&server, &keys).await;
    assert_eq!(end(&client.next().await.unwrap()), "1900000000");
    server.set_client_expiration(None).await.unwrap();
    let mut client = log_in(&server, &keys).await;
    let rename = Command::SetPushName {
        phone: PHONE.to_owned(),
        name: "Alice".to_owned(),
    };
    server.execute(rename).await.unwrap();
    let notice = client.next().await.unwrap();
    assert_eq!(text(&notice, "type"), "server_sync");
    assert_eq!(text(&notice, "from"), format!("{PHONE}@s.whatsapp.net"));
    server.shutdown().await;
}

/// The two collections that the client asks for, one of them critical, as the server answers.
async fn collections(client: &mut RawClient) -> Result<Vec<Node>, Node> {
    let collection = |name: &'static str| {
        NodeBuilder::new("collection")
            .attr("name", name)
            .attr("return_snapshot", "true")
            .build()
    };
    let asked = ["critical_block", "regular"].map(collection);
    let sync = NodeBuilder::new("sync").children(asked).build();
    client
        .send(&[iq("state", "set", "w:sync:app:state", sync)])
        .await;
    let answer = client.next().await.unwrap();
    match text(&answer, "type").as_str() {
        "result" => Ok(users(&answer, &["sync"]).to_vec()),
        _ => Err(answer.get_optional_child("error").unwrap().clone()),
    }
}

#[tokio::test]
async fn critical_app_state_fails_in_every_way_and_the_rest_is_served() {
    let server = Server::start(Options::default()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    let whole = collections(&mut client).await.unwrap();
    assert_eq!(text(&whole[0], "name"), "critical_block");
    assert_eq!(text(&whole[1], "name"), "regular");
    assert!(whole[0].get_optional_child("patches").is_some());

    server.set_app_state(PHONE, AppState::Failed).await.unwrap();
    let error = collections(&mut client).await.unwrap_err();
    assert_eq!(text(&error, "code"), "500");
    server
        .set_app_state(PHONE, AppState::Omitted)
        .await
        .unwrap();
    let rest = collections(&mut client).await.unwrap();
    assert_eq!(rest, whole[1..]);

    for (state, code) in [(AppState::Refused, "500"), (AppState::Denied, "404")] {
        server.set_app_state(PHONE, state).await.unwrap();
        let answers = collections(&mut client).await.unwrap();
        assert_eq!(text(&answers[0], "type"), "error");
        let error = answers[0].get_optional_child("error").unwrap();
        assert_eq!(text(error, "code"), code);
        assert_eq!(answers[1], whole[1]);
    }

    server
        .set_app_state(PHONE, AppState::NoSnapshot)
        .await
        .unwrap();
    let answers = collections(&mut client).await.unwrap();
    assert!(answers[0].get_optional_child("patches").is_none());
    let snapshot = answers[0].get_optional_child("snapshot").unwrap();
    let Some(NodeContent::Bytes(file)) = &snapshot.content else {
        panic!("{snapshot:?}");
    };
    let file = ExternalBlobReference::decode_from_slice(file).unwrap();
    assert!(file.direct_path.unwrap().contains("critical_block"));
    assert_eq!(answers[1], whole[1]);

    server
        .set_app_state(PHONE, AppState::Garbled)
        .await
        .unwrap();
    let answers = collections(&mut client).await.unwrap();
    let patches = |collection: &Node| users(collection, &["patches"]).to_vec();
    assert_eq!(patches(&answers[0]).len(), patches(&whole[0]).len());
    assert_ne!(patches(&answers[0]), patches(&whole[0]));

    server.set_app_state(PHONE, AppState::Served).await.unwrap();
    assert_eq!(collections(&mut client).await.unwrap(), whole);
    server.shutdown().await;
}

/// The client asks for delivery. Returns what waited for it, and how much the server says that was.
async fn delivered(client: &mut RawClient) -> (Vec<Node>, String) {
    let active = NodeBuilder::new("active").build();
    client.send(&[iq("active", "set", "passive", active)]).await;
    let mut waited = Vec::new();
    loop {
        let stanza = client.next().await.unwrap();
        match stanza.tag.as_ref() {
            "ib" => {
                if let Some(offline) = stanza.get_optional_child("offline") {
                    return (waited, text(offline, "count"));
                }
                let preview = stanza.get_optional_child("offline_preview").unwrap();
                assert_eq!((text(preview, "receipt").as_str(), waited.len()), ("2", 0));
            }
            "receipt" => waited.push(stanza),
            _ => assert_eq!(text(&stanza, "id"), "active"),
        }
    }
}

fn acknowledge(receipt: &Node) -> Node {
    NodeBuilder::new("ack")
        .attr("class", "receipt")
        .attr("id", text(receipt, "id"))
        .attr("to", text(receipt, "from"))
        .build()
}

#[tokio::test]
async fn what_the_phone_says_has_its_time_and_waits_until_it_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        state: Some(directory.path().join("state.json")),
        ..Options::default()
    };
    let server = Server::start(options()).await.unwrap();
    let keys = Keys::generate();
    pair_raw(&server, &keys, PHONE).await;
    let mut client = log_in(&server, &keys).await;
    assert_eq!(delivered(&mut client).await, (vec![], "0".to_owned()));
    server
        .phone_speaks(PHONE, Some(1_700_000_000))
        .await
        .unwrap();
    let first = client.next().await.unwrap();
    assert_eq!(first.tag, "receipt");
    assert_eq!(text(&first, "from"), format!("{PHONE}@s.whatsapp.net"));
    assert_eq!(text(&first, "t"), "1700000000");
    assert_eq!(first.attrs.get("offline"), None);
    drop(client);

    // It was not acknowledged, and the next one comes while nobody is there. The server forgets neither.
    server.shutdown().await;
    let server = Server::start(options()).await.unwrap();
    server
        .phone_speaks(PHONE, Some(1_700_864_000))
        .await
        .unwrap();
    for _ in 0..2 {
        let mut client = log_in(&server, &keys).await;
        let (waited, count) = delivered(&mut client).await;
        let told: Vec<_> = waited
            .iter()
            .map(|receipt| (text(receipt, "t"), text(receipt, "offline")))
            .collect();
        let told: Vec<_> = told.iter().map(|(t, n)| (t.as_str(), n.as_str())).collect();
        assert_eq!(told, [("1700000000", "0"), ("1700864000", "1")]);
        assert_eq!(count, "2");
    }
    let mut client = log_in(&server, &keys).await;
    let (waited, _) = delivered(&mut client).await;
    let acks: Vec<_> = waited.iter().map(acknowledge).collect();
    client.send(&acks).await;
    // A question and its answer: the acknowledgements have been read before it.
    let ping = NodeBuilder::new("ping").build();
    client.send(&[iq("ping", "get", "w:p", ping)]).await;
    assert_eq!(text(&client.next().await.unwrap(), "id"), "ping");
    let mut client = log_in(&server, &keys).await;
    assert_eq!(delivered(&mut client).await, (vec![], "0".to_owned()));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn critical_app_state_is_withheld_over_restarts_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        state: Some(directory.path().join("state.json")),
        ..Options::default()
    };
    let server = Server::start(options()).await.unwrap();
    server
        .set_app_state(PHONE, AppState::Unanswered)
        .await
        .unwrap();
    server.shutdown().await;

    let server = Server::start(options()).await.unwrap();
    let client = TestClient::start(&server).await;
    let qr = client.qr().await;
    let device = server.scan(&qr, PHONE).await.unwrap();
    server.wait_online(&device, LONG).await.unwrap();
    let withheld = |seen: &Observation| matches!(seen, Observation::RequestIgnored { namespace, .. } if namespace == "w:sync:app:state");
    server.wait_for(withheld, LONG).await.unwrap();
    let keys = |seen: &Observation| matches!(seen, Observation::KeysShared { .. });
    server.wait_for(keys, LONG).await.unwrap();
    client.stop().await;
    server.shutdown().await;
}

/// Hosted accounts sign with other prefixes. The library of this version knows the one kind and not the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosted_accounts_pair_as_far_as_the_client_can() {
    let server = Server::start(Options::default()).await.unwrap();
    server.set_hosting(PHONE, Hosting::Device).await.unwrap();
    let client = TestClient::start(&server).await;
    client.pair(&server, PHONE).await;
    client.stop().await;

    server.set_hosting(PHONE, Hosting::Account).await.unwrap();
    let client = TestClient::start(&server).await;
    let qr = client.qr().await;
    let refused = server.scan(&qr, PHONE).await.unwrap_err();
    assert!(
        refused.to_string().contains("signature-mismatch"),
        "{refused}"
    );
    let told = client
        .event(|event| match event {
            Event::PairError(error) => Some(error.error.clone()),
            _ => None,
        })
        .await;
    assert!(!told.is_empty());
    client.stop().await;

    // A client that takes the prefix from what is signed, as WhatsApp Web does, is linked.
    let keys = Keys::generate();
    let device = pair_raw(&server, &keys, PHONE).await;
    assert_eq!(
        server.devices(PHONE).await.unwrap().last().unwrap().jid,
        device
    );
    server.shutdown().await;
}
