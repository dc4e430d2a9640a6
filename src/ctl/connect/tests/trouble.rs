//! Sessions that do not get on by themselves, and what a person may do about it.

use tokio::sync::mpsc::Sender;

use super::*;
use crate::client::scripted::{after, ended, entry};
use crate::ctl::tests::{JSON, PERSON, PIPED, play};
use crate::protocol::{Cause, LogoutReport};

fn replaced() -> Status {
    Status {
        reason: Some(Cause::Replaced),
        next_action: "Close the other one.".to_owned(),
        account: online("alice").account,
        ..status("alice", Phase::Parked)
    }
}

const TROUBLE: &str = "\
alice: parked
  replaced (another connection uses the same credentials)
  Close the other one.
";

#[tokio::test(start_paused = true)]
async fn trouble_without_anyone_to_ask_is_exit_1_with_advice() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], status("alice", Phase::Connecting)).await;
        daemon.event(event(42, EventKind::Parked, replaced())).await;
        answer(daemon, &ask_status(), replaced()).await;
    };
    let played = play("connect alice", PIPED, script).await;
    assert_eq!(played.exit, 1);
    assert!(
        played.talk.ends_with(&format!("wactl: {TROUBLE}")),
        "{}",
        played.talk
    );

    let script = async |daemon: &mut Daemon, _| begin(daemon, vec![], replaced()).await;
    let played = play("connect alice", JSON, script).await;
    let error = &played.objects()[1]["error"];
    assert_eq!(
        (&error["code"], &error["cause"]),
        (&"parked".into(), &"replaced".into())
    );
    assert_eq!(error["status"]["next_action"], "Close the other one.");
    assert_eq!(played.exit, 1);
}

#[tokio::test(start_paused = true)]
async fn every_phase_that_needs_a_person_ends_the_wait_of_a_program() {
    for phase in [
        Phase::Held,
        Phase::PurgeFailed,
        Phase::StoreCorrupt,
        Phase::Disconnected,
    ] {
        let script = async |daemon: &mut Daemon, _| {
            begin(daemon, vec![], status("alice", phase)).await;
        };
        let played = play("connect alice", JSON, script).await;
        assert_eq!(played.exit, 1);
        assert_eq!(played.objects()[1]["error"]["code"], phase.as_str());
    }
}

fn unreachable() -> Status {
    Status {
        reason: Some(Cause::Unreachable),
        error: Some("dns".to_owned()),
        retry_at: Some(after(30)),
        ..status("alice", Phase::BackingOff)
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_waits_while_the_daemon_tries_again() {
    let script = async |daemon: &mut Daemon, _| {
        begin(daemon, vec![], status("alice", Phase::Connecting)).await;
        daemon
            .event(event(42, EventKind::BackingOff, unreachable()))
            .await;
        sleep(Duration::from_secs(30)).await;
        daemon
            .event(event(43, EventKind::Online, online("alice")))
            .await;
        answer(daemon, &ask_status(), online("alice")).await;
    };
    let played = play("connect alice", PIPED, script).await;
    assert!(
        played
            .talk
            .contains("alice: backing_off: unreachable; dns; next try in 30s\n")
    );
    assert_eq!((played.exit, played.out.as_str()), (0, ONLINE));
}

async fn type_(keys: &Sender<String>, line: &str) {
    sleep(Duration::from_secs(1)).await;
    keys.send(line.to_owned()).await.expect("somebody reads");
}

const OFFER: &str = "(r)etry, (f)orce-logout, (q)uit? Type a letter and Enter:";

#[tokio::test(start_paused = true)]
async fn a_person_may_try_again() {
    let script = async |daemon: &mut Daemon, keys: Sender<String>| {
        begin(daemon, vec![], replaced()).await;
        type_(&keys, "what?").await;
        type_(&keys, " R ").await;
        let no = Failure::new(FailureCode::RateLimited, "not so fast");
        refuse(daemon, &connect(), no).await;
        type_(&keys, "retry").await;
        answer(daemon, &connect(), online("alice")).await;
    };
    let played = play("connect alice", PERSON, script).await;
    // What stands above a typed line stays.
    let offered = format!("{TROUBLE}{OFFER}\n");
    assert_eq!(played.out, format!("{offered}{offered}{offered}{ONLINE}"));
    assert_eq!((played.exit, played.talk.as_str()), (0, "not so fast\n"));
}

#[tokio::test(start_paused = true)]
async fn a_person_may_force_a_logout_and_gets_a_fresh_code() {
    let script = async |daemon: &mut Daemon, keys: Sender<String>| {
        begin(daemon, vec![], replaced()).await;
        type_(&keys, "f").await;
        type_(&keys, "y").await;
        let user = "alice".to_owned();
        let id = daemon.expect(&Command::ForceLogout { user }).await;
        let report = LogoutReport {
            entry: entry("alice", Cause::ForceLogout),
            next_action: "Connect again.".to_owned(),
        };
        daemon.event(ended(42, report.entry.clone())).await;
        daemon
            .reply(id, Ok(Answer::LoggedOut(Box::new(report))))
            .await;
        answer(daemon, &connect(), with_qr("alice", 1)).await;
        // For the end that came with the logout.
        answer(daemon, &ask_status(), with_qr("alice", 1)).await;
        daemon
            .event(event(43, EventKind::Online, online("alice")))
            .await;
        answer(daemon, &ask_status(), online("alice")).await;
    };
    let played = play("connect alice", PERSON, script).await;
    assert_eq!(played.exit, 0);
    assert!(
        played
            .talk
            .contains("alice: nothing of the session is left"),
        "{}",
        played.talk
    );
    assert!(played.out.contains(&drawn(1)), "{}", played.out);
    assert!(played.out.ends_with(ONLINE), "{}", played.out);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_leave_it() {
    for line in [Some("q"), None] {
        let script = async |daemon: &mut Daemon, keys: Sender<String>| {
            begin(daemon, vec![], replaced()).await;
            if let Some(line) = line {
                type_(&keys, line).await;
            }
        };
        let played = play("connect alice", PERSON, script).await;
        assert_eq!(
            played.talk,
            "wactl: the session of alice stays as it is: parked\n"
        );
        assert_eq!(played.exit, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_stays_while_the_daemon_tries_again() {
    let script = async |daemon: &mut Daemon, keys: Sender<String>| {
        begin(daemon, vec![], unreachable()).await;
        let trying = Status {
            error: Some("dns".to_owned()),
            ..status("alice", Phase::Connecting)
        };
        daemon.event(event(42, EventKind::Connecting, trying)).await;
        type_(&keys, "q").await;
    };
    let played = play("connect alice", PERSON, script).await;
    let trying = format!("\u{1b}[Jalice: connecting\n  dns\n  Nothing to do.\n{OFFER}\n");
    assert!(played.out.ends_with(&trying), "{}", played.out);
    assert_eq!(played.exit, 1);
}

#[tokio::test(start_paused = true)]
async fn an_offer_goes_when_the_trouble_does() {
    let script = async |daemon: &mut Daemon, _keys: Sender<String>| {
        begin(daemon, vec![], unreachable()).await;
        sleep(Duration::from_secs(30)).await;
        let connecting = status("alice", Phase::Connecting);
        daemon
            .event(event(42, EventKind::Connecting, connecting))
            .await;
        daemon
            .event(event(43, EventKind::Online, online("alice")))
            .await;
        answer(daemon, &ask_status(), online("alice")).await;
        // The keyboard is there until the end.
        sleep(Duration::from_mins(1)).await;
    };
    let played = play("connect alice", PERSON, script).await;
    assert!(played.out.contains(OFFER), "{}", played.out);
    assert!(
        played.out.ends_with(&format!("\u{1b}[J{ONLINE}")),
        "{}",
        played.out
    );
    assert_eq!(played.exit, 0);
}
