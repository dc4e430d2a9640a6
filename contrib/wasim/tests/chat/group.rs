//! Chats of many, encrypted with sender keys.

use wasim::{Content, Group, Options, Saying, Server};

use super::client::{ChatClient, group, nothing_waits, text};
use super::{CONTACT, LONG, OTHER, PHONE};

const ROOM: &str = "120363000000000001@g.us";

async fn talk(room: Group) {
    let server = Server::start(Options::default()).await.unwrap();
    server.set_groups(PHONE, vec![room]).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    for round in 0..3 {
        for person in [CONTACT, OTHER] {
            let words = format!("{person} {round}");
            let said = server.say_text(person, ROOM, &words).await.unwrap();
            let came = client.message().await;
            assert_eq!((text(&came), &came.info.id), (words, &said));
            assert_eq!(came.info.source.chat, group(ROOM));
            assert!(came.info.source.is_group && !came.info.source.is_from_me);
        }
        let words = format!("answer {round}");
        let id = client.send(&group(ROOM), &words).await;
        assert_eq!(client.ack(&id).await, None);
        let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
        assert_eq!(heard.content, Some(Content::Text { text: words }));
        assert_eq!((heard.id.as_str(), heard.to.as_str()), (id.as_str(), ROOM));
        for reader in [CONTACT, OTHER, PHONE] {
            assert!(heard.readers.contains(&reader.to_owned()), "{heard:?}");
        }
        // The account's own phone writes there, too.
        server.say_text(PHONE, ROOM, "mine").await.unwrap();
        assert!(client.message().await.info.source.is_from_me);
    }
    let first = server.say_text(CONTACT, ROOM, "first").await.unwrap();
    client.message().await;
    let reply = Saying::text(OTHER, ROOM, "second")
        .replying_to(&first)
        .mentioning(&[PHONE]);
    server.say(reply).await.unwrap();
    let came = client.message().await;
    let context = came.message.extended_text_message.context_info.clone();
    assert_eq!(context.stanza_id, Some(first));
    assert_eq!(context.mentioned_jid.len(), 1);
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_named_by_numbers_talks() {
    talk(Group::new(ROOM, "Room").with_members(&[CONTACT, OTHER])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_named_by_hidden_numbers_talks() {
    let room = Group::new(ROOM, "Room").with_members(&[CONTACT, OTHER]);
    talk(room.by_lid()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_naming_has_changed_and_one_that_is_left_refuse() {
    let server = Server::start(Options::default()).await.unwrap();
    let room = || Group::new(ROOM, "Room").with_members(&[CONTACT, OTHER]);
    server.set_groups(PHONE, vec![room()]).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let id = client.send(&group(ROOM), "before").await;
    assert_eq!(client.ack(&id).await, None);
    server.set_groups(PHONE, Vec::new()).await.unwrap();
    let id = client.send(&group(ROOM), "left").await;
    assert_eq!(client.ack(&id).await.as_deref(), Some("404"));
    assert!(server.say_text(CONTACT, ROOM, "nobody").await.is_err());
    server
        .set_groups(PHONE, vec![room().by_lid()])
        .await
        .unwrap();
    let id = client.send(&group(ROOM), "after").await;
    assert_eq!(client.ack(&id).await.as_deref(), Some("421"));
    let heard: Vec<String> = server.texts();
    assert_eq!(heard, ["before"]);
    client.stop().await;
    server.shutdown().await;
}
