//! A daemon that is newer than this wactl: what it says is shown, and nothing breaks.

use serde_json::{Value, json};

use super::{JSON, PERSON, PIPED, listed, play_in_json};
use crate::client::scripted::{
    Daemon, ended, ended_so_far, entry, event, online, picture, status, with_qr,
};
use crate::protocol::{Answer, Cause, EventKind, Message, Phase, Reply};

/// The session of alice in a phase that this version does not know.
fn restrict(status: &mut Value) {
    status["phase"] = json!("restricted");
    status["reason"] = json!("spam_reported");
    status["next_action"] = json!("Wait until Tuesday.");
    status["of_tomorrow"] = json!([{"of": "send"}]);
}

fn reply(id: u64, answer: Answer) -> Message {
    Message::Reply(Reply {
        id,
        result: Ok(answer),
    })
}

async fn told(daemon: &mut Daemon) {
    daemon.tell_history(None, vec![]).await;
    let id = daemon.request().await.expect("a watch").id;
    daemon
        .raw(br#"{"presence":{"user":"alice"}}"#.to_vec())
        .await;
    daemon
        .begin_watch(id, picture(41, vec![online("alice")]))
        .await;
    let happened = Message::Event(Box::new(event(42, EventKind::Updated, online("alice"))));
    daemon
        .newer(&happened, |said| {
            said["event"]["kind"] = json!({"restriction": {"until": "Tuesday"}});
            restrict(&mut said["event"]["status"]);
        })
        .await;
    daemon.raw(br#""heartbeat""#.to_vec()).await;
    let end = Message::Event(Box::new(ended(43, entry("alice", Cause::Unlinked))));
    daemon
        .newer(&end, |said| {
            let entry = &mut said["event"]["kind"]["logged_out"];
            entry["cause"] = json!("passkey_changed");
            entry["unlink"] = json!("queued");
            entry["unread"] = json!(7);
        })
        .await;
    daemon.close().await;
}

#[tokio::test(start_paused = true)]
async fn watch_shows_a_new_event_by_its_name_and_its_status() {
    let script = async |daemon: &mut Daemon, _| told(daemon).await;
    let played = play_in_json("watch", PIPED, script).await;
    let lines: Vec<_> = played.out.lines().collect();
    let find = |what: &str| lines.iter().find(|line| line.contains(what));
    let restricted = find("restriction").unwrap_or_else(|| panic!("{played:?}"));
    assert!(
        restricted.contains("Wait until Tuesday.") && restricted.contains("spam_reported"),
        "{restricted}"
    );
    let end = find("logged_out").unwrap_or_else(|| panic!("{played:?}"));
    assert!(
        end.contains("passkey_changed") && end.contains("queued"),
        "{end}"
    );

    let played = play_in_json("watch", JSON, script).await;
    let objects = played.objects();
    assert_eq!(objects[1]["event"], "restriction");
    assert_eq!(objects[1]["status"]["phase"], "restricted");
    assert_eq!(objects[1]["status"]["reason"], "spam_reported");
    assert_eq!(objects[2]["event"], "logged_out");
    assert_eq!(objects[2]["cause"], "passkey_changed");
    assert_eq!(objects[2]["entry"]["unlink"], "queued");
    assert_eq!(objects[3]["error"]["code"], "closed");
}

#[tokio::test(start_paused = true)]
async fn status_list_and_history_show_new_names() {
    let script = async |daemon: &mut Daemon, _| {
        let id = daemon.request().await.expect("a request").id;
        let answer = reply(id, Answer::Status(Box::new(online("alice"))));
        daemon
            .newer(&answer, |said| {
                restrict(&mut said["reply"]["result"]["Ok"]["status"]);
            })
            .await;
    };
    let played = play_in_json("status alice", PIPED, script).await;
    for word in ["alice: restricted", "spam_reported", "Wait until Tuesday."] {
        assert!(played.out.contains(word), "{word}: {}", played.out);
    }
    let played = play_in_json("status alice", JSON, script).await;
    assert_eq!(played.objects()[0]["phase"], "restricted");

    let script = async |daemon: &mut Daemon, _| {
        let id = daemon.request().await.expect("a request").id;
        let answer = reply(id, listed(vec![online("alice")]));
        daemon
            .newer(&answer, |said| {
                restrict(&mut said["reply"]["result"]["Ok"]["sessions"]["sessions"][0]);
            })
            .await;
    };
    let played = play_in_json("list", PIPED, script).await;
    for word in ["restricted", "Wait until Tuesday."] {
        assert!(played.out.contains(word), "{word}: {}", played.out);
    }

    let script = async |daemon: &mut Daemon, _| {
        let id = daemon.request().await.expect("a request").id;
        let answer = reply(id, ended_so_far(vec![entry("alice", Cause::Unlinked)]));
        daemon
            .newer(&answer, |said| {
                let entry = &mut said["reply"]["result"]["Ok"]["history"]["entries"][0];
                entry["cause"] = json!("passkey_changed");
                entry["unlink"] = json!("queued");
            })
            .await;
    };
    let played = play_in_json("history", PIPED, script).await;
    for word in ["passkey_changed", "queued"] {
        assert!(played.out.contains(word), "{word}: {}", played.out);
    }
}

/// `connect` waits through a phase that it does not know, and shows what the daemon advises.
#[tokio::test(start_paused = true)]
async fn connect_waits_through_a_new_phase() {
    let script = async |daemon: &mut Daemon, _| {
        let id = daemon.request().await.expect("a watch").id;
        daemon.begin_watch(id, picture(1, vec![])).await;
        let id = daemon.request().await.expect("a connect").id;
        let connecting = status("alice", Phase::Connecting);
        daemon
            .reply(id, Ok(Answer::Status(Box::new(connecting))))
            .await;
        daemon
            .event(event(2, EventKind::Qr, with_qr("alice", 1)))
            .await;
        let next = Message::Event(Box::new(event(3, EventKind::Updated, online("alice"))));
        daemon
            .newer(&next, |said| {
                said["event"]["kind"] = json!("passkey_wanted");
                restrict(&mut said["event"]["status"]);
            })
            .await;
        // It is shown before the next one is read.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        daemon
            .event(event(4, EventKind::Online, online("alice")))
            .await;
        let id = daemon.request().await.expect("it asks again").id;
        daemon
            .reply(id, Ok(Answer::Status(Box::new(online("alice")))))
            .await;
    };
    for look in [PIPED, PERSON] {
        let played = play_in_json("connect alice", look, script).await;
        assert_eq!(played.exit, 0, "{played:?}");
        let all = format!("{}{}", played.out, played.talk);
        assert!(all.contains("restricted: Wait until Tuesday."), "{all}");
    }
}
