//! Messages that are refused or lost.

use std::time::{Duration, Instant};

use wasim::{ChatLimit, Fault, FaultRule, Observation, Options, Server, Stage, Timelock};
use whatsapp_rust::send::SendOptions;
use whatsapp_rust::waproto::whatsapp::Message;

use super::client::{ChatClient, next, pn};
use super::{CONTACT, LONG, OTHER, PHONE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_told_why_it_may_not_send() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    for code in [463, 475, 479, 421, 404, 503] {
        let rule = FaultRule::from(Fault::RefuseMessage(code)).only(&device);
        server.set_fault(rule.times(1)).await.unwrap();
        let id = client.send(&pn(CONTACT), "refused").await;
        assert_eq!(client.ack(&id).await, Some(code.to_string()));
        let refused = |seen: &Observation| {
            matches!(seen, Observation::MessageRefused { id: refused, code: with, .. }
                if *refused == id && *with == code)
        };
        server.wait_for(refused, LONG).await.unwrap();
        assert_eq!(server.copies(&id), 0);
    }
    let id = client.send(&pn(CONTACT), "allowed").await;
    assert_eq!(client.ack(&id).await, None);
    assert_eq!(server.texts(), ["allowed"]);
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_account_writes_only_to_whom_it_knows() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    server.say_text(CONTACT, PHONE, "hello").await.unwrap();
    client.message().await;
    let lock = Timelock {
        kind: "DEFAULT".to_owned(),
        until: None,
    };
    let limit = ChatLimit {
        status: "CAPPED".to_owned(),
        total: 50,
        used: 50,
        begins: 0,
        ends: u64::MAX,
    };
    server.set_timelock(PHONE, Some(lock)).await.unwrap();
    let id = client.send(&pn(OTHER), "who are you").await;
    assert_eq!(client.ack(&id).await.as_deref(), Some("463"));
    let id = client.send(&pn(CONTACT), "hello").await;
    assert_eq!(client.ack(&id).await, None);
    server.set_timelock(PHONE, None).await.unwrap();
    server.set_chat_limit(PHONE, Some(limit)).await.unwrap();
    let id = client.send(&pn(OTHER), "who are you").await;
    assert_eq!(client.ack(&id).await.as_deref(), Some("475"));
    server.set_chat_limit(PHONE, None).await.unwrap();
    let id = client.send(&pn(OTHER), "who are you").await;
    assert_eq!(client.ack(&id).await, None);
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_can_be_late_and_deliveries_untold() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let late = Fault::Delay {
        stage: Stage::Ack,
        milliseconds: 100,
    };
    for fault in [late, Fault::NoDelivered] {
        let rule = FaultRule::from(fault).times(1);
        server.set_fault(rule).await.unwrap();
    }
    let began = Instant::now();
    let silent = client.send(&pn(CONTACT), "silent").await;
    assert_eq!(client.ack(&silent).await, None);
    assert!(began.elapsed() >= Duration::from_millis(100));
    // The first delivery that is told is the one of the next message.
    let told = client.send(&pn(CONTACT), "told").await;
    assert_eq!(next(&client.receipts).await.message_ids, [told]);
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_with_its_id_is_one_message() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let message = || Message {
        conversation: Some("once".to_owned()),
        ..Message::default()
    };
    let id = "3EB0123456789ABCDEF012";
    let options = || SendOptions::default().with_message_id(id);
    let lost = [Fault::LoseMessage, Fault::LoseAck];
    for fault in lost {
        server
            .set_fault(FaultRule::from(fault).times(1))
            .await
            .unwrap();
        client
            .client
            .send_message_with_options(&pn(CONTACT), message(), options())
            .await
            .unwrap();
        let ignored = |seen: &Observation| matches!(seen, Observation::MessageIgnored { id: lost, .. } if lost == id);
        server.wait_for(ignored, LONG).await.unwrap();
    }
    client
        .client
        .send_message_with_options(&pn(CONTACT), message(), options())
        .await
        .unwrap();
    assert_eq!(client.ack(id).await, None);
    assert_eq!(server.copies(id), 2);
    assert_eq!(server.texts(), ["once"]);
    client.stop().await;
    server.shutdown().await;
}
