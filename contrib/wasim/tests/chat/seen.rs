//! Who is there and who writes: shown to devices, and observed of them.

use wasim::{Observation, Options, Server, Typing};
use whatsapp_rust::wacore::types::presence::{ChatPresence, ChatPresenceMedia};

use super::client::{ChatClient, next, next_that, pn};
use super::{CONTACT, LONG, PHONE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_is_seen_both_ways() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    for (typing, state, media) in [
        (
            Typing::Composing,
            ChatPresence::Composing,
            ChatPresenceMedia::Text,
        ),
        (
            Typing::Recording,
            ChatPresence::Composing,
            ChatPresenceMedia::Audio,
        ),
        (
            Typing::Paused,
            ChatPresence::Paused,
            ChatPresenceMedia::Text,
        ),
    ] {
        server.typing(CONTACT, PHONE, typing).await.unwrap();
        let seen = next(&client.typing).await;
        assert_eq!((seen.state, seen.media), (state, media));
        assert_eq!(seen.source.chat, pn(CONTACT));
    }
    let chatstate = client.client.chatstate();
    let jid = pn(CONTACT);
    chatstate.send_composing(&jid).await.unwrap();
    chatstate.send_recording(&jid).await.unwrap();
    chatstate.send_paused(&jid).await.unwrap();
    for wanted in ["composing", "recording", "paused"] {
        let seen = |seen: &Observation| matches!(seen, Observation::Typing { state, to, .. } if state == wanted && to == CONTACT);
        server.wait_for(seen, LONG).await.unwrap();
    }
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_come_and_go() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    for available in [true, false] {
        server
            .person_presence(CONTACT, PHONE, available)
            .await
            .unwrap();
        let seen = next_that(&client.presence, |seen| seen.from == pn(CONTACT)).await;
        assert_eq!(seen.unavailable, !available);
        assert_eq!(seen.last_seen.is_some(), !available);
    }
    client.stop().await;
    server.shutdown().await;
}
