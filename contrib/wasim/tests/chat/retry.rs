//! Messages that cannot be read, and are sent again.

use wasim::{Content, Fault, Group, Observation, Options, Saying, Server, Trouble};

use super::client::{ChatClient, group, next, nothing_waits, pn, text};
use super::{CONTACT, LONG, OTHER, PHONE};

const ROOM: &str = "120363000000000001@g.us";

async fn room() -> (Server, ChatClient, String) {
    let server = Server::start(Options::default()).await.unwrap();
    let room = Group::new(ROOM, "Room").with_members(&[CONTACT, OTHER]);
    server.set_groups(PHONE, vec![room]).await.unwrap();
    let (client, device) = ChatClient::pair(&server, PHONE).await;
    (server, client, device)
}

/// A message in `chat` that cannot be read at first.
async fn unreadable_at_first(chat: &str, trouble: Trouble, established: bool) {
    let (server, client, device) = room().await;
    if established {
        server.say_text(CONTACT, chat, "before").await.unwrap();
        client.message().await;
    }
    let said = Saying::text(CONTACT, chat, "spoiled").with(trouble);
    let id = server.say(said).await.unwrap();
    let hole = next(&client.unreadable).await;
    assert_eq!(hole.info.id, id);
    let asked = |seen: &Observation| matches!(seen, Observation::RetryRequested { id: asked, answered: true, .. } if *asked == id);
    server.wait_for(asked, LONG).await.unwrap();
    let came = client.message().await;
    assert_eq!((text(&came).as_str(), &came.info.id), ("spoiled", &id));
    // The conversation goes on.
    server.say_text(CONTACT, chat, "after").await.unwrap();
    assert_eq!(text(&client.message().await), "after");
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_message_is_read_after_the_device_has_asked_again() {
    unreadable_at_first(PHONE, Trouble::Spoiled(1), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_first_message_is_read_after_the_device_has_asked_twice() {
    unreadable_at_first(PHONE, Trouble::Spoiled(2), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_message_to_a_group_is_read_after_the_device_has_asked_again() {
    unreadable_at_first(ROOM, Trouble::Spoiled(1), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_key_the_device_lacks_is_read_after_it_has_asked_again() {
    unreadable_at_first(ROOM, Trouble::NoGroupKey, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_phone_has_the_phone_gives() {
    let (server, client, device) = room().await;
    let said = Saying::text(CONTACT, PHONE, "on the phone").with(Trouble::Unavailable);
    let id = server.say(said).await.unwrap();
    let hole = next(&client.unreadable).await;
    assert!(hole.is_unavailable && hole.info.id == id);
    let came = client.message().await;
    assert_eq!((text(&came).as_str(), &came.info.id), ("on the phone", &id));
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_do_to_the_next_message_what_troubles_do_to_one() {
    let (server, client, device) = room().await;
    for (fault, holes) in [(Fault::SpoilMessage, 1), (Fault::RepeatMessage, 0)] {
        let rule = wasim::FaultRule::from(fault).only(&device).times(1);
        server.set_fault(rule).await.unwrap();
        let id = server.say_text(CONTACT, PHONE, "faulty").await.unwrap();
        for _ in 0..holes {
            assert_eq!(next(&client.unreadable).await.info.id, id);
        }
        assert_eq!(client.message().await.info.id, id);
        let sent = |seen: &Observation| matches!(seen, Observation::MessageSent { id: sent, .. } if *sent == id);
        for _ in 0..2 {
            server.wait_for(sent, LONG).await.unwrap();
        }
    }
    nothing_waits(&server, &device).await;
    client.stop().await;
    server.shutdown().await;
}

/// A contact cannot read what the device says in `chat`, and asks again.
async fn asked_again(chat: &whatsapp_rust::Jid) {
    let (server, client, _) = room().await;
    client.send(chat, "before").await;
    server.wait_heard(CONTACT, LONG).await.unwrap();
    server
        .set_fault(wasim::FaultRule::from(Fault::AskAgain).times(1))
        .await
        .unwrap();
    let id = client.send(chat, "again").await;
    let unreadable = |seen: &Observation| {
        matches!(seen, Observation::MessageUnreadable { person, id: asked, .. }
            if person == CONTACT && *asked == id)
    };
    server.wait_for(unreadable, LONG).await.unwrap();
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert_eq!(heard.content, Some(Content::text("again")));
    assert_eq!((heard.id.as_str(), heard.copies), (id.as_str(), 1));
    assert!(heard.resent >= 1, "{heard:?}");
    // It goes on.
    let id = client.send(chat, "after").await;
    let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
    assert_eq!(heard.id, id);
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_cannot_read_asks_again() {
    asked_again(&pn(CONTACT)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_in_a_group_who_cannot_read_ask_again() {
    asked_again(&group(ROOM)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_with_a_new_phone_asks_for_what_came_before() {
    let (server, client, _) = room().await;
    let id = client.send(&pn(CONTACT), "once").await;
    server.wait_heard(CONTACT, LONG).await.unwrap();
    server.ask_again(CONTACT, &id).await.unwrap();
    let resent = |seen: &Observation| {
        matches!(seen, Observation::MessageReceived { id: sent, resent: true, readers, .. }
            if *sent == id && *readers == 1)
    };
    server.wait_for(resent, LONG).await.unwrap();
    assert_eq!(server.copies(&id), 1);
    assert!(server.ask_again(CONTACT, "NONE").await.is_err());
    client.stop().await;
    server.shutdown().await;
}
