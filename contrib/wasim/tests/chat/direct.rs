//! Chats of two.

use wasim::{Addressing, Content, Observation, Options, Receipt, Saying, Server};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::wacore::types::presence::ReceiptType;

use super::client::{ChatClient, next_that, nothing_waits, pn, text};
use super::{CONTACT, LONG, OTHER, PHONE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_and_a_device_talk() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    let said = server.say_text(CONTACT, PHONE, "hello").await.unwrap();
    let came = client.message().await;
    assert_eq!(
        (text(&came).as_str(), came.info.id.as_str()),
        ("hello", said.as_str())
    );
    assert_eq!(came.info.source.chat, pn(CONTACT));
    assert!(!came.info.source.is_from_me && !came.info.is_offline);
    assert!(
        came.info.push_name.contains("0001"),
        "{}",
        came.info.push_name
    );

    for round in 0..3 {
        let words = format!("answer {round}");
        let id = client.send(&pn(CONTACT), &words).await;
        assert_eq!(client.ack(&id).await, None);
        let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
        assert_eq!(heard.content, Some(Content::Text { text: words }));
        assert_eq!((heard.id.as_str(), heard.copies), (id.as_str(), 1));
        assert_eq!((heard.from.as_str(), heard.to.as_str()), (PHONE, CONTACT));
        assert_eq!(heard.device.as_deref(), Some(device.as_str()));
        // The account's phone has it, too.
        assert!(heard.readers.contains(&PHONE.to_owned()), "{heard:?}");
        assert_eq!(server.copies(&id), 1);
        let told = |kind: ReceiptType| {
            let id = id.clone();
            next_that(&client.receipts, move |receipt| {
                receipt.r#type == kind && receipt.message_ids.contains(&id)
            })
        };
        told(ReceiptType::Delivered).await;
        for (receipt, kind) in [
            (Receipt::Read, ReceiptType::Read),
            (Receipt::Played, ReceiptType::Played),
        ] {
            server.send_receipt(CONTACT, &[&id], receipt).await.unwrap();
            assert_eq!(told(kind).await.source.chat, pn(CONTACT));
        }
        let again = server.say_text(CONTACT, PHONE, "and").await.unwrap();
        assert_eq!(client.message().await.info.id, again);
    }

    client
        .client
        .mark_as_read(&pn(CONTACT), None, &[&said])
        .await
        .unwrap();
    let read = |seen: &Observation| {
        matches!(seen, Observation::ReceiptReceived { receipt, to, ids, .. }
            if receipt == "read" && to == CONTACT && *ids == [said.clone()])
    };
    server.wait_for(read, LONG).await.unwrap();
    nothing_waits(&server, &device).await;
    assert!(server.texts().contains(&"answer 2".to_owned()));
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_and_mentions_arrive_both_ways() {
    use whatsapp_rust::waproto::whatsapp as wa;
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let first = server.say_text(CONTACT, PHONE, "first").await.unwrap();
    client.message().await;
    let reply = Saying::text(CONTACT, PHONE, "second")
        .replying_to(&first)
        .mentioning(&[OTHER]);
    server.say(reply).await.unwrap();
    let came = client.message().await;
    let context = came.message.extended_text_message.context_info.clone();
    assert_eq!(context.stanza_id.as_deref(), Some(first.as_str()));
    assert_eq!(context.mentioned_jid, [pn(OTHER).to_string()]);
    assert_eq!(
        context.quoted_message.conversation.as_deref(),
        Some("first")
    );

    let answer = wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some("third".to_owned()),
            context_info: MessageField::some(wa::ContextInfo {
                stanza_id: Some(first.clone()),
                mentioned_jid: vec![pn(CONTACT).to_string()],
                ..wa::ContextInfo::default()
            }),
            ..wa::message::ExtendedTextMessage::default()
        }),
        ..wa::Message::default()
    };
    client
        .client
        .send_message(&pn(CONTACT), answer)
        .await
        .unwrap();
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert_eq!(heard.content, Some(Content::text("third")));
    assert_eq!(heard.reply_to, Some(first));
    assert_eq!(heard.mentions, [CONTACT]);
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_accounts_own_phone_writes_comes_too() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    for round in 0..3 {
        let said = server.say_text(PHONE, CONTACT, "from the phone").await;
        let came = client.message().await;
        assert!(came.info.source.is_from_me, "round {round}");
        assert_eq!(came.info.source.chat, pn(CONTACT));
        assert_eq!(
            (text(&came).as_str(), came.info.id.as_str()),
            ("from the phone", said.unwrap().as_str())
        );
        let id = client.send(&pn(CONTACT), "from the device").await;
        let heard = server.wait_heard(PHONE, LONG).await.unwrap();
        assert_eq!(heard.id, id);
    }
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_go_by_their_hidden_numbers_where_the_account_has_moved() {
    let server = Server::start(Options::default()).await.unwrap();
    server.set_addressing(PHONE, Addressing::Lid).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    let lid = wacore_binary::Jid::lid("100015559990001");
    // The client learns it from a setting of the server's that it asks for at its login.
    let moved = async {
        while !client.client.is_lid_migrated().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, moved).await.unwrap();
    server.say_text(CONTACT, PHONE, "hidden").await.unwrap();
    let came = client.message().await;
    assert_eq!(text(&came), "hidden");
    assert_eq!(came.info.source.sender, lid);
    assert_eq!(came.info.source.sender_alt, Some(pn(CONTACT)));
    let id = client.send(&came.info.source.chat, "answer").await;
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert_eq!(heard.id, id);
    let sent = server.received(&device).await.unwrap();
    let sent = sent.iter().find(|stanza| stanza.id.as_ref() == Some(&id));
    assert_eq!(sent.unwrap().to, Some(lid.to_string()));
    // Whoever is written to by number is found as well.
    let id = client.send(&pn(CONTACT), "by number").await;
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert_eq!(heard.id, id);
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_of_two_accounts_talk() {
    let server = Server::start(Options::default()).await.unwrap();
    let (anna, _) = ChatClient::pair(&server, PHONE).await;
    let (ben, bens) = ChatClient::pair(&server, "15550001002").await;
    for round in 0..2 {
        let id = anna.send(&pn("15550001002"), "to Ben").await;
        let came = ben.message().await;
        assert_eq!(
            (text(&came).as_str(), came.info.id.as_str()),
            ("to Ben", id.as_str())
        );
        assert_eq!(came.info.source.chat, pn(PHONE), "round {round}");
        // His phone has got it, and so has his device.
        for _ in 0..2 {
            next_that(&anna.receipts, |receipt| receipt.message_ids.contains(&id)).await;
        }
        let id = ben.send(&pn(PHONE), "to Anna").await;
        let came = anna.message().await;
        assert_eq!(
            (text(&came).as_str(), came.info.id.as_str()),
            ("to Anna", id.as_str())
        );
    }
    nothing_waits(&server, &bens).await;
    anna.stop().await;
    ben.stop().await;
    server.shutdown().await;
}
