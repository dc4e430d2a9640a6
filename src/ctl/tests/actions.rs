//! What people see of a logout, and of what happens.

use tokio::sync::mpsc::Sender;

use super::{PERSON, PIPED, alice, asked, play};
use crate::client::scripted::{
    Daemon, after, ended, entry, event, online, picture, status, with_qr,
};
use crate::protocol::{
    Answer, Cause, Command, EventKind, Failure, FailureCode, HistoryEntry, LogoutReport, Message,
    Phase, Since, Unlink,
};

fn report(unlink: Unlink) -> LogoutReport {
    LogoutReport {
        entry: HistoryEntry {
            unlink,
            ..entry("alice", Cause::ForceLogout)
        },
        next_action: "Remove the device on the phone.".to_owned(),
    }
}

/// The same session's end a minute later: another one.
fn later(entry: HistoryEntry) -> HistoryEntry {
    HistoryEntry {
        at: after(60),
        ..entry
    }
}

const REPORTED: &str = "\
alice: nothing of the session is left
  account  +15550100999 Alice (15550100999:4@s.whatsapp.net)
  unlink   unreachable (the device is still in the phone's list)
  removed  4 files, 304 KiB, 2 targets
  next     Remove the device on the phone.
";

#[tokio::test(start_paused = true)]
async fn force_logout_tells_how_it_went() {
    let answer = Ok(Answer::LoggedOut(Box::new(report(Unlink::Unreachable))));
    let command = Command::ForceLogout { user: alice() };
    let played = asked("force-logout alice --yes", PIPED, command, answer).await;
    assert_eq!((played.exit, played.out.as_str()), (0, REPORTED));
}

#[tokio::test(start_paused = true)]
async fn force_logout_asks_first() {
    for (typed, removed) in [("y", true), ("YES", true), ("n", false), ("", false)] {
        let script = async |daemon: &mut Daemon, keys: Sender<String>| {
            keys.send(typed.to_owned()).await.expect("typed");
            let id = daemon.expect(&Command::Status { user: alice() }).await;
            daemon
                .reply(id, Ok(Answer::Status(Box::new(online("alice")))))
                .await;
            if removed {
                let id = daemon.expect(&Command::ForceLogout { user: alice() }).await;
                let answer = Answer::LoggedOut(Box::new(report(Unlink::Unreachable)));
                daemon.reply(id, Ok(answer)).await;
            } else {
                assert_eq!(daemon.request().await, None, "asked for after a no");
            }
        };
        let played = play("force-logout alice", PERSON, script).await;
        let question = "This unlinks alice (+15550100999 Alice (15550100999:4@s.whatsapp.net)) from WhatsApp \
                        and removes its credentials and target groups.\nRemove everything of alice? [y/N] ";
        assert!(played.talk.starts_with(question), "{}", played.talk);
        if removed {
            assert_eq!((played.exit, played.out.as_str()), (0, REPORTED));
        } else {
            assert_eq!((played.exit, played.out.as_str()), (1, ""));
            assert!(played.talk.contains("nothing was done"), "{}", played.talk);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn force_logout_works_where_the_state_cannot_be_told() {
    let script = async |daemon: &mut Daemon, keys: Sender<String>| {
        keys.send("y".to_owned()).await.expect("typed");
        let id = daemon.request().await.expect("status").id;
        daemon
            .reply(id, Err(Failure::new(FailureCode::StoreCorrupt, "corrupt")))
            .await;
        let id = daemon.expect(&Command::ForceLogout { user: alice() }).await;
        let answer = Answer::LoggedOut(Box::new(report(Unlink::NotLinked)));
        daemon.reply(id, Ok(answer)).await;
    };
    let played = play("force-logout alice", PERSON, script).await;
    assert_eq!(played.exit, 0);
    assert!(
        played.talk.contains("alice (no known account)"),
        "{}",
        played.talk
    );
}

#[tokio::test(start_paused = true)]
async fn disconnect_of_a_pairing_says_that_nothing_is_kept() {
    let answer = Ok(Answer::LoggedOut(Box::new(report(Unlink::NotLinked))));
    let command = Command::Disconnect { user: alice() };
    let played = asked("disconnect alice", PIPED, command, answer).await;
    assert_eq!(
        played.talk,
        "alice was still pairing: there was nothing to keep.\n"
    );
    assert!(
        played
            .out
            .starts_with("alice: nothing of the session is left\n")
    );
}

#[tokio::test(start_paused = true)]
async fn watch_shows_the_past_the_present_and_what_comes() {
    let mut beginning = picture(41, vec![status("alice", Phase::Connecting)]);
    beginning.replayed = vec![event(40, EventKind::Qr, with_qr("alice", 1))];
    beginning.gap = true;
    let since = Since {
        epoch: Some(5),
        seq: 39,
    };
    let command = Command::Watch {
        users: vec![alice()],
        since: Some(since),
    };
    let script = async move |daemon: &mut Daemon, _| {
        daemon.tell_history(Some("alice"), vec![]).await;
        let id = daemon.expect(&command).await;
        daemon.begin_watch(id, beginning).await;
        daemon
            .event(event(42, EventKind::Online, online("alice")))
            .await;
        daemon.lagged(7, picture(50, vec![online("alice")])).await;
        let missed = vec![entry("alice", Cause::Replaced)];
        daemon.tell_history(Some("alice"), missed).await;
        daemon
            .event(ended(51, later(entry("alice", Cause::Unlinked))))
            .await;
        let stopping = Failure::new(FailureCode::Stopping, "the daemon is stopping");
        daemon.send(&Message::Closing(stopping)).await;
        daemon.close().await;
    };
    let played = play("watch alice --since 5:39", PIPED, script).await;
    let expected = "\
2026-11-24 09:12:03Z  alice             qr               QR code 1 of 6, 1m left
2026-11-24 09:12:03Z  alice             is connecting
2026-11-24 09:12:03Z  alice             online           +15550100999 Alice (15550100999:4@s.whatsapp.net)
2026-11-24 09:12:03Z  alice             logged_out       replaced (another connection uses the same credentials); unlink not_linked
2026-11-24 09:12:03Z  alice             is online        +15550100999 Alice (15550100999:4@s.whatsapp.net)
2026-11-24 09:12:03Z  alice             logged_out       unlinked (the device was unlinked on the phone); unlink not_linked
";
    assert_eq!(played.out, expected);
    let talk = "\
Some events since then are forgotten; ended sessions are in `wactl history`.
Watching from event 5:41 on.
7 events were missed; ended sessions are in `wactl history`. The state now:
Watching from event 5:50 on.
wactl: /run/test.sock: the daemon closed the connection: the daemon is stopping
The daemon's log says more; ask again when it runs
";
    assert_eq!(played.talk, talk);
    assert_eq!(played.exit, 69);
}
