//! What a server may do besides the rows, or in another form than theirs: what is said twice, unasked, too
//! early, or in part.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use wasessiond::protocol::{Cause, EventKind, Phase};
use wasim::{Command, Failure, Fault, FaultRule, Observation, Stanza, StreamError};

use super::person::Person;
use super::row::{Act, Class, play, report, row};
use crate::stage::{PATIENCE, Stage};

fn bare(tag: &str) -> Stanza {
    Stanza::new(tag)
}

fn from_server(tag: &str) -> Stanza {
    bare(tag).attr("from", "s.whatsapp.net")
}

fn notification(kind: &str) -> Stanza {
    let notification = from_server("notification").attr("type", kind);
    notification.attr("id", "1001").attr("t", "1700000000")
}

/// A session that is online stays so, on the same connection, whatever of this it is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_twice_or_unasked_changes_nothing() {
    let ping = || from_server("iq").attr("type", "get");
    let ping = || ping().attr("xmlns", "urn:xmpp:ping").child(bare("ping"));
    let other_device = bare("device").attr("jid", "15550009999:7@s.whatsapp.net");
    let devices = bare("devices").attr("dhash", "2:x").child(other_device);
    let removed = bare("remove")
        .attr("device_hash", "2:y")
        .child(bare("device").attr("jid", "15550009999:8@s.whatsapp.net"));
    let dirty = bare("dirty").attr("type", "groups").attr("timestamp", "1");
    let error = bare("error")
        .attr("code", "401")
        .attr("text", "not-authorized");
    let said = [
        ("success", bare("success").attr("t", "1700000000")),
        ("ping", ping().attr("id", "77")),
        ("ping-id", ping()),
        ("devices", notification("account_sync").child(devices)),
        ("removed", notification("devices").child(removed)),
        ("notice", notification("something_new").child(bare("x"))),
        ("dirty", from_server("ib").child(dirty)),
        (
            "offline",
            from_server("ib").child(bare("offline").attr("count", "0")),
        ),
        ("thread", from_server("ib").child(bare("thread_metadata"))),
        ("result", from_server("iq").attr("type", "result")),
        (
            "iq-401",
            from_server("iq")
                .attr("type", "error")
                .attr("id", "1")
                .child(error),
        ),
        ("receipt", from_server("receipt").attr("id", "3EB0")),
        ("unknown", from_server("something-new").attr("id", "9")),
        (
            "text",
            bare("stream:error").child(bare("text").text("Replaced by new connection")),
        ),
    ];
    let rows = said.map(|(id, stanza)| row(id, Act::Send(stanza), Class::Nothing));
    let stage = Stage::set().await;
    play(&stage, rows.into()).await;
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
}

/// A ban is as long as WhatsApp says, however short that is, and whether or not it says what for; then
/// the session is back by itself.
async fn short_ban(stage: &Stage, number: usize, code: Option<u32>) {
    let mut person = Person::paired(stage, number).await;
    let ban = Failure {
        code,
        expire: Some(3),
        ..Failure::reason(402)
    };
    let (sim, device) = (person.sim.clone(), person.device.clone());
    sim.fail_next_login(&device, ban).await.expect("fail");
    let position = sim.position();
    let begin = Instant::now();
    sim.drop_connection(&device).await.expect("drop");
    let refused = |o: &Observation| matches!(o, Observation::LoginRefused { .. });
    let status = person.phase(Phase::Held).await.status.expect("a status");
    assert!(person.seen(position, refused).await.is_some());
    assert_eq!(status.reason, Some(Cause::TemporaryBan));
    let until = status.held_until.expect("an end");
    let length = until.duration_since(status.since).as_millis();
    assert!((2900..=3000).contains(&length), "{length} ms");
    person.online().await;
    assert!(Timestamp::now() >= until, "it did not wait");
    report("F402a/3", "HOLD  temporary_ban", "ok", begin.elapsed());
}

/// A number of a connection, as the simulator's commands take it.
fn on(connection: u64) -> String {
    format!("#{connection}")
}

async fn restart(sim: &wasim::Server, connection: u64) {
    let told = sim
        .stream_error(&on(connection), StreamError::code(515))
        .await;
    told.expect("stream error");
}

/// 515 in the place of the answer to a login: connected again at once, and nobody sees more of it.
async fn restart_instead_of_success(stage: &Stage, number: usize) {
    let mut person = Person::paired(stage, number).await;
    let (sim, device) = (person.sim.clone(), person.device.clone());
    let rule = FaultRule::from(Fault::NoSuccess).only(&device).times(1);
    sim.set_fault(rule).await.expect("fault");
    let position = sim.position();
    sim.drop_connection(&device).await.expect("drop");
    let ours =
        |o: &Observation| matches!(o, Observation::LoginIgnored { .. }) && o.jid() == Some(&device);
    let ignored = sim.wait_after(position, ours, PATIENCE).await;
    let connection = ignored.expect("a login").connection().expect("a number");
    let begin = Instant::now();
    restart(&sim, connection).await;
    person.online().await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    report("S9login", "-", "ok", took);
}

/// 515 while a QR code is shown, and nobody has scanned it: a code that works, soon.
async fn restart_before_the_pairing(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    let sim = person.sim.clone();
    person.connect().await;
    let first = person.qr().await;
    let connection = showing(&sim, &first).await;
    let begin = Instant::now();
    restart(&sim, connection).await;
    let second = person.qr().await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    person.device = sim.scan(&second, &person.phone).await.expect("scan");
    person.online().await;
    report("S9qr", "-", "ok", took);
}

/// The connection that was given the reference of this QR code.
async fn showing(sim: &wasim::Server, qr: &str) -> u64 {
    let shows = |o: &Observation| {
        let Observation::Pairing { refs, .. } = o else {
            return false;
        };
        refs.iter().any(|text| qr.contains(text))
    };
    let seen = sim.wait_after(0, shows, PATIENCE).await;
    seen.expect("its pairing").connection().expect("a number")
}

async fn renew(sim: &wasim::Server, connection: u64) {
    let device = on(connection);
    let renewed = sim.execute(Command::RenewRefs { device }).await;
    renewed.expect("renew");
}

/// New references while a code is shown: the new code is shown, counted anew, and works.
async fn renewed(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    let sim = person.sim.clone();
    person.connect().await;
    let first = person.qr().await;
    let connection = showing(&sim, &first).await;
    let begin = Instant::now();
    for _ in 0..2 {
        renew(&sim, connection).await;
        let event = person.event(|e| matches!(e.kind, EventKind::Qr)).await;
        let qr = event.status.and_then(|s| s.qr).expect("a QR code");
        assert_eq!((qr.number, qr.remaining), (1, 5));
        assert_ne!(qr.code.expect("its text").reveal(), first);
    }
    let took = begin.elapsed();
    let status = person.client.status(&person.user).await.expect("status");
    let qr = status.qr.and_then(|qr| qr.code).expect("its text");
    person.device = sim.scan(qr.reveal(), &person.phone).await.expect("scan");
    person.online().await;
    report("QR/new", "another QR code", "ok", took);
}

/// New references while a pair code is shown: it goes on being good.
async fn renewed_under_a_pair_code(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    let sim = person.sim.clone();
    let phone = format!("+{}", person.phone);
    let position = sim.position();
    let asked = person.client.connect_session(&person.user, Some(&phone));
    let status = asked.await.expect("connect");
    let code = status.pair_code.and_then(|c| c.code).expect("a pair code");
    let ours = |o: &Observation| matches!(o, Observation::PairCodeRequested { phone, .. } if *phone == person.phone);
    let seen = sim.wait_after(position, ours, PATIENCE).await;
    let connection = seen.expect("asked").connection().expect("a number");
    let begin = Instant::now();
    for _ in 0..5 {
        renew(&sim, connection).await;
    }
    let linked = sim.link_by_code(&person.phone, code.reveal()).await;
    person.device = linked.expect("link");
    person.online().await;
    report("code", "the same pair code", "ok", begin.elapsed());
}

/// A `<pair-success>` that names no device pairs nobody, and says so; another code is shown, and works.
async fn paired_with_nobody(stage: &Stage, number: usize) {
    let mut person = Person::new(stage, number).await;
    let sim = person.sim.clone();
    let rule = FaultRule::from(Fault::NoDevice)
        .only(&person.phone)
        .times(1);
    sim.set_fault(rule).await.expect("fault");
    person.connect().await;
    let first = person.qr().await;
    let begin = Instant::now();
    // What the phone makes of it is its own affair.
    let _ = sim.scan(&first, &person.phone).await;
    let event = person
        .event(|e| e.status.as_ref().is_some_and(|s| s.error.is_some()))
        .await;
    let took = begin.elapsed();
    let status = event.status.expect("a status");
    assert_eq!(status.account, None);
    let second = person.qr().await;
    assert_ne!(second, first);
    person.device = sim.scan(&second, &person.phone).await.expect("scan");
    person.online().await;
    report("X12none", "stays in pairing", "ok", took);
}

/// However the server cuts what it says into messages: at the handshake and after it.
async fn cut_otherwise(stage: &Stage, number: usize, fault: Fault) {
    let mut person = Person::new(stage, number).await;
    let begin = Instant::now();
    person.pair().await;
    let (sim, device) = (person.sim.clone(), person.device.clone());
    let id = format!("{fault:?}");
    sim.set_fault(FaultRule::from(fault).only(&device))
        .await
        .expect("fault");
    let position = sim.position();
    for _ in 0..2 {
        sim.drop_connection(&device).await.expect("drop");
        let lost = person.phase(Phase::BackingOff).await.status;
        assert_eq!(lost.and_then(|s| s.reason), Some(Cause::ConnectionLost));
        person.connect().await;
        person.online().await;
        person.client.groups(&person.user).await.expect("groups");
    }
    let short = |o: &Observation| matches!(o, Observation::HandshakeIk { .. });
    assert!(sim.wait_after(position, short, PATIENCE).await.is_ok());
    report(&id, "online", "ok", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_forms_of_the_rows() {
    let stage = Stage::set().await;
    tokio::join!(
        short_ban(&stage, 1, Some(101)),
        short_ban(&stage, 2, None),
        restart_instead_of_success(&stage, 3),
        restart_before_the_pairing(&stage, 4),
        renewed(&stage, 5),
        renewed_under_a_pair_code(&stage, 6),
        paired_with_nobody(&stage, 7),
        cut_otherwise(&stage, 8, Fault::OneMessage),
        cut_otherwise(&stage, 9, Fault::Pieces),
    );
}
