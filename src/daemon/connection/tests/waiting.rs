//! What waits is bounded in bytes, and goes with its connection.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::{Duration, sleep, timeout};

use super::super::FRAME_WITHIN;
use crate::daemon::allowance::Allowance;
use crate::daemon::harness::{Client, Harness, SOMEBODY};
use crate::daemon::permits::{MAX_CONNECTIONS, Permits};
use crate::protocol::codec::Encoding;
use crate::protocol::{Answer, Command, MAX_FRAME, TargetEdit};

const MIB: usize = 1024 * 1024;

/// More than all that is to happen takes, and less than any limit of the protocol.
const A_WHILE: Duration = Duration::from_secs(3);

/// A request that must wait for its slot, in a frame of almost as many bytes as one may have.
fn large() -> Command {
    targets(MAX_FRAME / 32)
}

fn targets(many: usize) -> Command {
    let jid = "1203630123456789012@g.us".to_owned();
    Command::Targets {
        user: "alice".to_owned(),
        edit: TargetEdit::Set(vec![jid; many]),
    }
}

/// A client that is allowed so much.
async fn join(harness: &Harness, allowance: Allowance, encoding: Encoding) -> Client {
    let mut client = harness.connect_with(SOMEBODY, 64 * 1024, allowance);
    client.say_hello(encoding).await;
    client
}

fn no_slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// Whether a client's request can be sent as a whole: the daemon reads it.
async fn is_read(client: &mut Client, id: u64, command: Command) -> bool {
    timeout(A_WHILE, client.ask(id, command)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_connection_pins_two_large_frames_and_no_third() {
    let harness = Harness::new().await;
    let allowance = Allowance::default().with_slots(no_slots());
    let mut client = join(&harness, allowance.clone(), Encoding::Json).await;
    for id in 0..2 {
        assert!(is_read(&mut client, id, large()).await, "{id}");
    }
    assert!(!is_read(&mut client, 2, large()).await, "a third is pinned");
    // Nothing of that is the client's fault.
    sleep(FRAME_WITHIN * 3).await;
    assert_eq!(client.message().now_or_never(), None);
    assert!(!client.served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_uid_pins_so_much_on_all_its_connections_and_small_requests_go_on() {
    let harness = Harness::new().await;
    let permits = Permits::new(MAX_CONNECTIONS);
    let slots = no_slots();
    let allowance = |uid| {
        let permit = permits.take(uid, 64, uid == 0).expect("a permit");
        let allowance = permit.allowance().with_slots(Arc::clone(&slots));
        (permit, allowance)
    };
    let mut clients = Vec::new();
    let mut read = 0;
    for _ in 0..10 {
        let (permit, allowance) = allowance(1);
        let mut client = join(&harness, allowance, Encoding::Json).await;
        for id in 0..2 {
            if !is_read(&mut client, id, large()).await {
                break;
            }
            read += 1;
        }
        clients.push((permit, client));
    }
    let frame = Encoding::Json
        .encode(&crate::protocol::Request {
            id: 0,
            command: large(),
        })
        .expect("a frame")
        .len();
    assert_eq!(read, 8 * MIB / frame, "of frames of {frame} bytes");
    // A uid of its own has its own room, and so have the admins.
    for uid in [2, 0] {
        let (_permit, allowance) = allowance(uid);
        let mut other = join(&harness, allowance, Encoding::Json).await;
        assert!(is_read(&mut other, 1, large()).await, "uid {uid}");
    }
    // What is small is not held up by what is large, and force-logout by nothing.
    let (_permit, allowance) = allowance(1);
    let mut small = join(&harness, allowance, Encoding::Json).await;
    let user = || "alice".to_owned();
    small.ask(1, Command::ForceLogout { user: user() }).await;
    small.ask(2, Command::Ping).await;
    let mut answered = [small.reply().await.id, small.reply().await.id];
    answered.sort_unstable();
    assert_eq!(answered, [1, 2]);
    // The clients go, and what they pinned with them.
    for (permit, client) in clients {
        let served = client.served;
        drop((client.stream, client.gone));
        served.await.expect("the connection ended well");
        drop(permit);
    }
    let mut last = join(&harness, small_allowance(&permits, &slots), Encoding::Json).await;
    assert!(is_read(&mut last, 1, large()).await, "there is room again");
}

fn small_allowance(permits: &Permits, slots: &Arc<Semaphore>) -> Allowance {
    let permit = permits.take(1, 64, false).expect("a permit");
    permit.allowance().with_slots(Arc::clone(slots))
}

/// A thousand connections that each begin a frame of a megabyte would be a gigabyte.
#[tokio::test(start_paused = true)]
async fn a_frame_that_was_begun_is_counted_from_its_length_on() {
    let harness = Harness::new().await;
    let permits = Permits::new(MAX_CONNECTIONS);
    let mut begun = Vec::new();
    let half = vec![b' '; MAX_FRAME / 4];
    let head = u32::try_from(MAX_FRAME).expect("it fits").to_be_bytes();
    for n in 0..20 {
        let permit = permits.take(1, 64, false).expect("a permit");
        let mut client = join(&harness, permit.allowance(), Encoding::Json).await;
        client.send_bytes(&head).await;
        let rest = client.send_bytes(&half);
        let is_read = timeout(A_WHILE / 10, rest).await.is_ok();
        assert_eq!(is_read, n < 8, "connection {n}");
        begun.push((permit, client));
    }
    // Those that were read have broken a rule; then there is room for the others.
    sleep(FRAME_WITHIN).await;
    let ended = begun
        .iter()
        .filter(|(_, client)| client.served.is_finished());
    assert!(ended.count() >= 8);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closed_its_half_is_answered_and_one_that_is_gone_is_forgotten() {
    let harness = Harness::new().await;
    let slots = no_slots();
    let allowance = Allowance::default().with_slots(Arc::clone(&slots));
    let groups = || Command::Groups {
        user: "alice".to_owned(),
    };
    let mut patient = join(&harness, allowance.clone(), Encoding::Json).await;
    let mut gone = join(&harness, allowance, Encoding::Json).await;
    patient.ask(1, groups()).await;
    gone.ask(1, groups()).await;
    patient.close_half().await;
    gone.close_half().await;
    sleep(Duration::from_mins(1)).await;
    assert!(!patient.served.is_finished() && !gone.served.is_finished());
    // It still waits for its reply, and now nobody would read it.
    drop(gone.gone);
    let ended = timeout(A_WHILE, gone.served).await;
    ended.expect("it is forgotten").expect("it ended well");
    slots.add_permits(1);
    assert_eq!(patient.reply().await.id, 1);
    assert_eq!(patient.message().await, None);
}

/// All 32 requests are in flight, so nothing is read that would tell that the client is gone.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_is_noticed_while_nothing_is_read() {
    let harness = Harness::new().await;
    let allowance = Allowance::default().with_slots(no_slots());
    let mut client = join(&harness, allowance, Encoding::Json).await;
    for id in 0..40 {
        let user = "alice".to_owned();
        client.ask(id, Command::Groups { user }).await;
    }
    sleep(A_WHILE).await;
    drop((client.stream, client.gone));
    let ended = timeout(A_WHILE, client.served).await;
    ended.expect("it is noticed").expect("it ended well");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waited_is_answered_as_any_other() {
    let harness = Harness::new().await;
    let slots = no_slots();
    for encoding in [Encoding::Json, Encoding::Bincode] {
        let allowance = Allowance::default().with_slots(Arc::clone(&slots));
        let mut client = join(&harness, allowance, encoding).await;
        client.ask(7, targets(1000)).await;
        client.ask(8, Command::Ping).await;
        let ping = client.reply().await;
        assert_eq!((ping.id, ping.result), (8, Ok(Answer::Pong)));
        slots.add_permits(1);
        let waited = client.reply().await;
        slots.forget_permits(1);
        let mut other = harness.client(SOMEBODY, encoding).await;
        other.ask(7, targets(1000)).await;
        assert_eq!(waited, other.reply().await);
    }
}
