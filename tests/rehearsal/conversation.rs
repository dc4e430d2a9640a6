//! People write to the accounts: the library in the daemon reads it, and says so to WhatsApp.

use std::time::Duration;

use wasessiond::protocol::{Cause, Phase, Unlink};
use wasim::{Content, Group, MediaKind, Observation, Saying, Server, Trouble};

use crate::stage::{PATIENCE, PHONE, Stage};

const CONTACT: &str = "15559990001";
const ROOM: &str = "120363000000000001@g.us";

/// Waits until the device has said that it read this message, and returns with which receipt; counts what was
/// observed since `position`. A device that cannot read it asks for it again, and gets no further.
async fn delivered(sim: &Server, device: &str, message: &str, position: u64) -> String {
    let of_it = |seen: &Observation| match seen {
        Observation::ReceiptReceived { jid, ids, .. } => {
            jid == device && ids.iter().any(|id| id == message)
        }
        Observation::RetryRequested { jid, id, .. } => jid == device && id == message,
        _ => false,
    };
    // One receipt may be about several messages.
    let seen = sim.wait_after(position, of_it, PATIENCE).await;
    match seen.expect("a word of it") {
        Observation::ReceiptReceived { receipt, .. } => receipt,
        other => panic!("it could not be read: {other:?}"),
    }
}

/// Says something, and waits until it is delivered.
async fn say(sim: &Server, device: &str, saying: Saying) -> String {
    let position = sim.position();
    let id = sim.say(saying).await.expect("said");
    delivered(sim, device, &id, position).await
}

/// Waits until WhatsApp has nothing more to tell the device.
pub(crate) async fn nothing_waits(sim: &Server, device: &str) {
    let acknowledged = |seen: &Observation| matches!(seen, Observation::MessageAcknowledged { jid, .. } if jid == device);
    let everything = async {
        while sim.waiting(device).await.expect("a mailbox") > 0 {
            // What is no message is acknowledged without a word.
            let soon = Duration::from_millis(50);
            let _ = sim.wait_for(acknowledged, soon).await;
        }
    };
    tokio::time::timeout(PATIENCE, everything)
        .await
        .expect("everything is acknowledged");
}

/// The people of a room that the account is in, too.
async fn room(sim: &Server) {
    let room = Group::new(ROOM, "Choir").with_members(&[CONTACT]);
    sim.set_groups(PHONE, vec![room]).await.expect("a group");
}

/// What a contact, the account's own phone and a group say is decrypted, and WhatsApp is told of the delivery.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_is_read_and_acknowledged() {
    let mut stage = Stage::set().await;
    room(&stage.sim).await;
    let device = stage.pair("alice", PHONE).await;
    // The first ones make the sessions, and the next ones go on in them.
    for round in 0..3 {
        let words = format!("word {round} to a friend");
        for (from, to, expected) in [
            // Nobody looks at it: the phone goes on ringing.
            (CONTACT, PHONE, "inactive"),
            (CONTACT, ROOM, "inactive"),
            // The account's own phone says it.
            (PHONE, CONTACT, "sender"),
        ] {
            let receipt = say(&stage.sim, &device, Saying::text(from, to, &words)).await;
            assert_eq!(receipt, expected, "from {from} to {to}");
        }
    }
    let picture = Content::media(MediaKind::Image, "image/png", &[7; 3000]);
    say(&stage.sim, &device, Saying::new(CONTACT, PHONE, picture)).await;
    nothing_waits(&stage.sim, &device).await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Online);
}

/// What was said while the daemon was away comes when it is back, in the sessions that it had before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_meanwhile_waits_for_the_daemon() {
    let mut stage = Stage::set().await;
    room(&stage.sim).await;
    let device = stage.pair("alice", PHONE).await;
    for to in [PHONE, ROOM] {
        let saying = Saying::text(CONTACT, to, "before it ends");
        say(&stage.sim, &device, saying).await;
    }
    nothing_waits(&stage.sim, &device).await;
    // It stops in order, and then it is killed.
    for is_killed in [false, true] {
        if is_killed {
            stage.kill();
        } else {
            stage.stop();
        }
        let position = stage.sim.position();
        let mut said = Vec::new();
        for to in [PHONE, ROOM, PHONE, ROOM] {
            let id = stage.sim.say_text(CONTACT, to, "while it is away").await;
            said.push(id.expect("said"));
        }
        assert_eq!(stage.sim.waiting(&device).await.expect("a mailbox"), 4);
        stage.start().await;
        for id in said {
            delivered(&stage.sim, &device, &id, position).await;
        }
        nothing_waits(&stage.sim, &device).await;
    }
}

/// A message that cannot be decrypted is asked for again, and is read then.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_asked_for_again() {
    let mut stage = Stage::set().await;
    room(&stage.sim).await;
    let device = stage.pair("alice", PHONE).await;
    for (to, trouble) in [(PHONE, Trouble::Spoiled(1)), (ROOM, Trouble::NoGroupKey)] {
        let sim = &stage.sim;
        let position = sim.position();
        let saying = Saying::text(CONTACT, to, "once more, please").with(trouble);
        let id = sim.say(saying).await.expect("said");
        let asked = |seen: &Observation| {
            matches!(seen, Observation::RetryRequested { jid, id: of, answered: true, .. }
                if *jid == device && *of == id)
        };
        let asked = sim.wait_after(position, asked, PATIENCE).await;
        asked.expect("it is asked for");
        let read = |seen: &Observation| {
            matches!(seen, Observation::ReceiptReceived { jid, ids, .. }
                if *jid == device && ids.contains(&id))
        };
        let read = sim.wait_after(position, read, PATIENCE).await;
        read.expect("it is read");
    }
    nothing_waits(&stage.sim, &device).await;
}

/// A logout leaves nothing of an account that people have written to either.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_left_after_a_logout() {
    let mut stage = Stage::set().await;
    room(&stage.sim).await;
    let device = stage.pair("alice", PHONE).await;
    for to in [PHONE, ROOM] {
        let saying = Saying::text(CONTACT, to, "the last word");
        say(&stage.sim, &device, saying).await;
    }
    stage.sim.unlink(&device).await.expect("unlink");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::Unlinked, Unlink::NotLinked)
        .await;
}
