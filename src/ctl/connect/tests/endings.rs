//! Waits that end otherwise.

use super::*;
use crate::client::scripted::{ended, entry};
use crate::ctl::terminal::scripted::terminal;
use crate::ctl::tests::{JSON, PERSON, PIPED, play, play_on};
use crate::protocol::{Cause, Message};

#[tokio::test(start_paused = true)]
async fn a_pairing_nobody_finishes_is_exit_4() {
    for look in [PIPED, PERSON, JSON] {
        let script = async |daemon: &mut Daemon, _| {
            begin(daemon, vec![], with_qr("alice", 6)).await;
            let mut over = entry("alice", Cause::PairingExpired);
            over.account = None;
            daemon.event(ended(43, over)).await;
            refuse(daemon, &ask_status(), not_found()).await;
        };
        let played = play("connect alice", look, script).await;
        assert_eq!(played.exit, 4);
        let message = "alice is not linked: nobody finished the pairing in time.\nNothing of the \
                       session is left; `wactl connect alice` begins a new one.";
        if look.json {
            let objects = played.objects();
            assert_eq!(objects[1]["event"], "pairing_expired");
            let error = &objects[2]["error"];
            assert_eq!(
                (&error["code"], &error["cause"]),
                (&"pairing_expired".into(), &"pairing_expired".into())
            );
            assert_eq!(error["message"], message);
        } else {
            assert!(
                played.talk.ends_with(&format!("wactl: {message}\n")),
                "{}",
                played.talk
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_while_waiting_is_exit_4_with_the_cause() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], status("alice", Phase::Connecting)).await;
        let mut locked = entry("alice", Cause::AccountLocked);
        locked.text = Some("Locked\u{7}".to_owned());
        daemon
            .event(event(
                42,
                EventKind::LoggingOut,
                status("alice", Phase::LoggingOut),
            ))
            .await;
        daemon.event(ended(43, locked)).await;
        refuse(daemon, &ask_status(), not_found()).await;
    };
    let played = play("connect alice", PIPED, script).await;
    let says = "wactl: alice was logged out (account_locked): WhatsApp locked the account. WhatsApp \
                says: Locked\u{fffd}\nNothing of the session is left;";
    assert!(played.talk.contains(says), "{}", played.talk);
    assert_eq!(played.exit, 4);
}

#[tokio::test(start_paused = true)]
async fn an_end_among_lost_events_is_found() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], with_qr("alice", 1)).await;
        daemon
            .lagged(5, picture(90, vec![with_qr("alice", 3)]))
            .await;
        daemon.lagged(7, picture(99, vec![])).await;
        let mut no = not_found();
        no.last_logout = Some(Box::new(entry("alice", Cause::Unlinked)));
        refuse(daemon, &ask_status(), no).await;
    };
    let played = play("connect alice", PIPED, script).await;
    assert!(played.talk.contains("QR code 3 of 6"), "{}", played.talk);
    assert!(
        played.talk.contains("alice was logged out (unlinked)"),
        "{}",
        played.talk
    );
    assert_eq!(played.exit, 4);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_leaves_the_session_alone_and_says_so() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], with_qr("alice", 1)).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(
            daemon.request().await,
            None,
            "something was asked after Ctrl-C"
        );
    };
    let scripted = terminal(PIPED).interrupted_after(Duration::from_secs(5));
    let played = play_on("connect alice", scripted, script).await;
    assert!(
        played
            .talk
            .contains("the session of alice goes on in the daemon"),
        "{}",
        played.talk
    );
    assert_eq!(played.exit, 130);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_the_wait_and_not_the_session() {
    let script = async |daemon: &mut Daemon, _| begin(daemon, vec![], with_qr("alice", 1)).await;
    let began = tokio::time::Instant::now();
    let played = play("connect alice --timeout 5m", PIPED, script).await;
    assert_eq!(began.elapsed().as_secs(), 300);
    assert!(
        played.talk.contains("alice is not online in time"),
        "{}",
        played.talk
    );
    assert_eq!(played.exit, 1);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_goes_away_is_exit_69() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], with_qr("alice", 1)).await;
        let stopping = Failure::new(FailureCode::Stopping, "the daemon is stopping");
        daemon.send(&Message::Closing(stopping)).await;
        daemon.close().await;
    };
    let played = play("connect alice", PIPED, script).await;
    let says = "wactl: alice is not online so far: the daemon closed the connection: the daemon is \
                stopping\n`wactl connect alice` asks again when a daemon runs; a pairing that was under way begins anew\n";
    assert!(played.talk.ends_with(says), "{}", played.talk);
    assert_eq!(played.exit, 69);
}

#[tokio::test(start_paused = true)]
async fn detached_it_does_not_wait() {
    let script = async |daemon: &mut Daemon, _| {
        answer(daemon, &connect(), status("alice", Phase::Connecting)).await;
    };
    let played = play("connect alice --detach", PIPED, script).await;
    assert!(
        played.out.starts_with("alice: connecting\n"),
        "{}",
        played.out
    );
    assert_eq!(played.exit, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_reading_ends_the_wait_quietly() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], with_qr("alice", 1)).await;
    };
    let played = play_on("connect alice", terminal(PIPED).closed(), script).await;
    assert_eq!((played.exit, played.talk.as_str()), (0, ""));
}
