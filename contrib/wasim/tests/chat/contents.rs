//! Every kind of message, both ways.

use wasim::{Content, Options, Server};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::send::RevokeType;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

use super::client::{ChatClient, pn};
use super::{CONTACT, LONG, PHONE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_says_every_kind() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let first = server.say_text(CONTACT, PHONE, "first").await.unwrap();
    client.message().await;
    let say = |content| server.say_content(CONTACT, PHONE, content);

    let to = first.clone();
    let emoji = "👍".to_owned();
    say(Content::Reaction { to, emoji }).await.unwrap();
    let came = client.message().await.message;
    assert_eq!(came.reaction_message.text.as_deref(), Some("👍"));
    assert_eq!(came.reaction_message.key.id.as_ref(), Some(&first));

    let (of, text) = (first.clone(), "changed".to_owned());
    say(Content::Edit { of, text }).await.unwrap();
    let came = client.message().await.message;
    let protocol = &came.protocol_message;
    assert_eq!(protocol.r#type, Some(Type::MESSAGE_EDIT));
    assert_eq!(protocol.key.id.as_ref(), Some(&first));
    assert_eq!(
        protocol.edited_message.conversation.as_deref(),
        Some("changed")
    );

    let name = Some("here".to_owned());
    say(Content::Location {
        latitude: 52.5,
        longitude: 13.4,
        name,
    })
    .await
    .unwrap();
    let came = client.message().await.message;
    assert_eq!(came.location_message.degrees_latitude, Some(52.5));

    let (name, vcard) = ("Ben".to_owned(), "BEGIN:VCARD\nEND:VCARD".to_owned());
    say(Content::Contact { name, vcard }).await.unwrap();
    let came = client.message().await.message;
    assert_eq!(came.contact_message.display_name.as_deref(), Some("Ben"));

    let of = first.clone();
    say(Content::Revoke { of }).await.unwrap();
    let came = client.message().await.message;
    assert_eq!(came.protocol_message.r#type, Some(Type::REVOKE));

    let of = "NONE".to_owned();
    assert!(say(Content::Revoke { of }).await.is_err());
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_says_every_kind() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let jid = pn(CONTACT);
    let first = client.send(&jid, "first").await;
    let heard = || async {
        server
            .wait_heard(CONTACT, LONG)
            .await
            .unwrap()
            .content
            .unwrap()
    };
    assert_eq!(heard().await, Content::text("first"));
    let key = || wa::MessageKey {
        remote_jid: Some(jid.to_string()),
        from_me: Some(true),
        id: Some(first.clone()),
        ..wa::MessageKey::default()
    };

    client
        .client
        .send_reaction(&jid, key(), "👎")
        .await
        .unwrap();
    let (to, emoji) = (first.clone(), "👎".to_owned());
    assert_eq!(heard().await, Content::Reaction { to, emoji });

    let edited = wa::Message {
        conversation: Some("changed".to_owned()),
        ..wa::Message::default()
    };
    let edit = client.client.edit_message(&jid, first.clone(), edited);
    edit.await.unwrap();
    let (of, text) = (first.clone(), "changed".to_owned());
    assert_eq!(heard().await, Content::Edit { of, text });

    let place = wa::message::LocationMessage {
        degrees_latitude: Some(1.5),
        degrees_longitude: Some(-2.5),
        ..wa::message::LocationMessage::default()
    };
    let card = wa::message::ContactMessage {
        display_name: Some("Anna".to_owned()),
        vcard: Some("BEGIN:VCARD".to_owned()),
        ..wa::message::ContactMessage::default()
    };
    let place = wa::Message {
        location_message: MessageField::some(place),
        ..wa::Message::default()
    };
    client.client.send_message(&jid, place).await.unwrap();
    assert_eq!(
        heard().await,
        Content::Location {
            latitude: 1.5,
            longitude: -2.5,
            name: None
        }
    );
    let card = wa::Message {
        contact_message: MessageField::some(card),
        ..wa::Message::default()
    };
    client.client.send_message(&jid, card).await.unwrap();
    let (name, vcard) = ("Anna".to_owned(), "BEGIN:VCARD".to_owned());
    assert_eq!(heard().await, Content::Contact { name, vcard });

    let revoke = client
        .client
        .revoke_message(&jid, first.clone(), RevokeType::Sender);
    revoke.await.unwrap();
    assert_eq!(heard().await, Content::Revoke { of: first });
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_counted_both_ways() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let jid = pn(CONTACT);
    let options = ["now", "later", "never"].map(str::to_owned).to_vec();

    // The device asks, the contact votes.
    let (poll, secret) = client
        .client
        .polls()
        .create(&jid, "when", &options, 1)
        .await
        .unwrap();
    let poll = poll.message_id.clone();
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert!(
        matches!(heard.content, Some(Content::Poll { ref question, .. }) if question == "when")
    );
    let vote = Content::Vote {
        of: poll.clone(),
        options: options[1..2].to_vec(),
    };
    server.say_content(CONTACT, PHONE, vote).await.unwrap();
    let came = client.message().await;
    let update = &came.message.poll_update_message;
    assert_eq!(update.poll_creation_message_key.id.as_ref(), Some(&poll));
    let chosen = client
        .client
        .polls()
        .decrypt_vote(
            whatsapp_rust::wacore::poll::PollVoteCiphertext {
                enc_payload: update.vote.enc_payload.as_deref().unwrap(),
                enc_iv: update.vote.enc_iv.as_deref().unwrap(),
            },
            &secret,
            &poll,
            &pn(PHONE),
            &jid,
        )
        .await
        .unwrap();
    let hash = whatsapp_rust::wacore::poll::compute_option_hash("later");
    assert_eq!(chosen, [hash.to_vec()]);

    // The contact asks, the device votes.
    let question = Content::Poll {
        question: "what".to_owned(),
        options: options.clone(),
        selectable: 0,
    };
    let asked = server.say_content(CONTACT, PHONE, question).await.unwrap();
    let came = client.message().await.message;
    let secret = came.message_context_info.message_secret.clone().unwrap();
    client
        .client
        .polls()
        .vote(&jid, &asked, &jid, &secret, &options[..2])
        .await
        .unwrap();
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    let vote = Content::Vote {
        of: asked,
        options: options[..2].to_vec(),
    };
    assert_eq!(heard.content, Some(vote));
    client.stop().await;
    server.shutdown().await;
}
