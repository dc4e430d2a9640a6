//! What programs read. A change here breaks them: it is a new schema.

use serde_json::json;

use super::daemon::{info, rotated};
use super::{JSON, PIPED, alice, asked, listed, play};
use crate::client::scripted::{
    Daemon, after, ended, ended_so_far, entry, event, online, picture, status, with_qr,
};
use crate::protocol::{
    Answer, Cause, Command, DEFAULT_HISTORY, EventKind, Failure, FailureCode, Group, LogoutReport,
    Phase, ProxyEdit, ProxySource, Reloaded, SessionProxy, Status, TargetEdit,
};

fn qr_object() -> serde_json::Value {
    json!({
        "code": "2@code-2,key,key,key", "number": 2, "remaining": 4,
        "expires_at": "2026-11-24T09:13:23Z",
    })
}

fn entry_object() -> serde_json::Value {
    json!({
        "at": "2026-11-24T09:12:03Z", "user": "alice", "cause": "unlinked",
        "account": account_object(), "owner": 1000, "requested_by": null,
        "unlink": "not_linked", "removed": {"files": 4, "bytes": 311_296, "targets": 2},
        "text": null, "appeal_token": null, "restrictions": [], "linked_at": null,
    })
}

fn account_object() -> serde_json::Value {
    json!({
        "jid": "15550100999:4@s.whatsapp.net", "phone": "+15550100999", "name": "Alice",
    })
}

fn status_object(phase: &str) -> serde_json::Value {
    json!({
        "user": "alice", "phase": phase, "since": "2026-11-24T09:12:03Z",
        "next_action": "Nothing to do.", "owner": 1000, "account": null, "connecting": null,
        "qr": null, "pair_code": null, "retry_at": null, "held_until": null, "reason": null,
        "error": null, "targets": [], "last_activity": null, "appeal_token": null,
        "restrictions": [], "warnings": [], "passkey": null, "proxy": null, "expect": null,
    })
}

fn with_schema(mut object: serde_json::Value) -> serde_json::Value {
    object["schema"] = json!(1);
    object
}

#[tokio::test(start_paused = true)]
async fn a_status() {
    let shown = Status {
        reason: Some(Cause::Refused(Some(409))),
        targets: vec!["1@g.us".parse().expect("a JID")],
        retry_at: Some(after(1)),
        ..with_qr("alice", 2)
    };
    let answer = Ok(Answer::Status(Box::new(shown)));
    let played = asked(
        "status alice",
        JSON,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    let mut expected = with_schema(status_object("awaiting_scan"));
    expected["qr"] = qr_object();
    expected["reason"] = json!("refused_409");
    expected["targets"] = json!(["1@g.us"]);
    expected["retry_at"] = json!("2026-11-24T09:12:04Z");
    expected["next_action"] = json!("Scan the QR code.");
    assert_eq!(played.objects(), [expected]);
    assert!(
        played
            .out
            .starts_with("{\"schema\":1,\"user\":\"alice\",\"phase\":")
    );
    assert_eq!(played.talk, "");
}

#[tokio::test(start_paused = true)]
async fn lists() {
    let list = || Command::List { after: None };
    let answer = Ok(listed(vec![status("alice", Phase::Disconnected)]));
    let played = asked("list", JSON, list(), answer).await;
    let expected = json!({"schema": 1, "sessions": [status_object("disconnected")]});
    assert_eq!(played.objects(), [expected]);
    // An empty list is a list.
    let played = asked("list", JSON, list(), Ok(listed(vec![]))).await;
    assert_eq!(played.objects(), [json!({"schema": 1, "sessions": []})]);

    let command = Command::History {
        user: Some(alice()),
        limit: Some(DEFAULT_HISTORY),
        before: None,
    };
    let answer = Ok(ended_so_far(vec![entry("alice", Cause::Unlinked)]));
    let played = asked("history alice", JSON, command, answer).await;
    assert_eq!(
        played.objects(),
        [json!({"schema": 1, "entries": [entry_object()]})]
    );

    let groups = vec![Group {
        jid: "1@g.us".parse().expect("a JID"),
        subject: "Family".to_owned(),
        size: 12,
    }];
    let command = Command::Groups { user: alice() };
    let played = asked("groups alice", JSON, command, Ok(Answer::Groups(groups))).await;
    let expected = json!({
        "schema": 1, "user": "alice",
        "groups": [{"jid": "1@g.us", "subject": "Family", "size": 12}],
    });
    assert_eq!(played.objects(), [expected]);

    let command = Command::Targets {
        user: alice(),
        edit: TargetEdit::Show,
    };
    let answer = Ok(Answer::Targets(vec!["1@g.us".parse().expect("a JID")]));
    let played = asked("targets alice", JSON, command, answer).await;
    assert_eq!(
        played.objects(),
        [json!({"schema": 1, "user": "alice", "targets": ["1@g.us"]})]
    );

    let command = Command::Proxy {
        user: alice(),
        edit: ProxyEdit::Show,
    };
    let answer = Ok(Answer::Proxy(SessionProxy {
        source: ProxySource::Default,
        url: Some("http://proxy:1".to_owned()),
        authenticated: false,
        error: None,
    }));
    let played = asked("proxy alice", JSON, command, answer).await;
    let proxy = json!({"source": "default", "url": "http://proxy:1", "authenticated": false, "error": null});
    assert_eq!(
        played.objects(),
        [json!({"schema": 1, "user": "alice", "proxy": proxy})]
    );
}

#[tokio::test(start_paused = true)]
async fn a_logout() {
    let report = LogoutReport {
        entry: entry("alice", Cause::Unlinked),
        next_action: "Connect again.".to_owned(),
    };
    let command = Command::ForceLogout { user: alice() };
    let answer = Ok(Answer::LoggedOut(Box::new(report)));
    let played = asked("force-logout alice --yes", JSON, command, answer).await;
    let expected = json!({"schema": 1, "entry": entry_object(), "next_action": "Connect again."});
    assert_eq!(played.objects(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn the_daemon() {
    let played = asked(
        "daemon info",
        JSON,
        Command::Info,
        Ok(Answer::Info(Box::new(info()))),
    )
    .await;
    let expected = json!({
        "schema": 1, "version": "0.1.0", "pid": 42, "started_at": "2026-11-24T08:12:03Z",
        "epoch": 5, "state_directory": "/var/lib/wasessiond", "config_file": null,
        "simulator": false, "summary": "2 online, 1 parked",
        "phases": [{"name": "online", "count": 2}, {"name": "parked", "count": 1}],
        "logouts": [{"name": "unlinked", "count": 3}, {"name": "force_logout", "count": 1}],
        "purge_failures": 0, "purge_median_ms": 12,
        "purges": 4, "purge_total_ms": 70, "purge_longest_ms": 40,
        "proxy": "http://proxy.example:3128",
        "warnings": [{"kind": "client_outdated", "since": "2026-11-24T09:11:03Z", "due": null,
            "text": "WhatsApp no longer accepts this version."}],
        "master_key": {"source": "file", "id": KEY, "rotating": false, "error": null},
    });
    assert_eq!(played.objects(), [expected]);
    let played = asked("daemon ping", JSON, Command::Ping, Ok(Answer::Pong)).await;
    let expected = json!({"schema": 1, "server": "wasessiond/9.9", "socket": "/run/test.sock"});
    assert_eq!(played.objects(), [expected]);
    let reloaded = Reloaded {
        changed: vec!["log.filter".to_owned()],
        needs_restart: vec![],
    };
    let played = asked(
        "daemon reload",
        JSON,
        Command::Reload,
        Ok(Answer::Reloaded(reloaded)),
    )
    .await;
    let expected = json!({"schema": 1, "changed": ["log.filter"], "needs_restart": []});
    assert_eq!(played.objects(), [expected]);
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(start_paused = true)]
async fn a_rotation_of_the_master_key() {
    let answer = Ok(Answer::RotatedKey(rotated(true, &[])));
    let played = asked("daemon rotate-key", JSON, Command::RotateKey, answer).await;
    let expected = json!({
        "schema": 1, "id": KEY, "begun": true, "wrapped": 3, "left": [], "left_total": 0, "finished": true,
    });
    assert_eq!((played.objects(), played.exit), (vec![expected], 0));
    // One object in any case: one that is not over is an error.
    let answer = Ok(Answer::RotatedKey(rotated(true, &["alice"])));
    let played = asked("daemon rotate-key", JSON, Command::RotateKey, answer).await;
    let objects = played.objects();
    assert_eq!((objects.len(), played.exit), (1, 1));
    let error = &objects[0]["error"];
    assert_eq!(error["code"], "not_finished");
    assert_eq!(error["rotated"]["left"][0]["user"], "alice");
}

#[tokio::test(start_paused = true)]
async fn a_stream() {
    let script = async |daemon: &mut Daemon, _| {
        daemon.tell_history(None, vec![]).await;
        let id = daemon.request().await.expect("a watch").id;
        let mut beginning = picture(41, vec![status("alice", Phase::Connecting)]);
        beginning.replayed = vec![event(
            40,
            EventKind::Connecting,
            status("alice", Phase::Connecting),
        )];
        daemon.begin_watch(id, beginning).await;
        daemon
            .event(ended(42, entry("alice", Cause::Unlinked)))
            .await;
        daemon.lagged(7, picture(50, vec![])).await;
        let known = entry("alice", Cause::Unlinked);
        daemon
            .tell_history(None, vec![entry("bob", Cause::PairingExpired), known])
            .await;
        daemon.close().await;
    };
    let played = play("watch", JSON, script).await;
    let connecting = status_object("connecting");
    let mut bobs = entry_object();
    bobs["user"] = json!("bob");
    bobs["cause"] = json!("pairing_expired");
    let expected = [
        json!({"schema": 1, "watching": {
            "epoch": 5, "seq": 41, "gap": false, "sessions": [connecting.clone()],
        }}),
        json!({
            "schema": 1, "seq": 40, "at": "2026-11-24T09:12:03Z", "user": "alice",
            "event": "connecting", "status": connecting,
        }),
        json!({
            "schema": 1, "seq": 42, "at": "2026-11-24T09:12:03Z", "user": "alice",
            "event": "logged_out", "cause": "unlinked", "unlink": "not_linked",
            "entry": entry_object(), "status": null,
        }),
        // Found in the history: nobody told it as an event.
        json!({
            "schema": 1, "seq": null, "at": "2026-11-24T09:12:03Z", "user": "bob",
            "event": "pairing_expired", "cause": "pairing_expired", "unlink": "not_linked",
            "entry": bobs, "status": null,
        }),
        json!({"schema": 1, "missed": 7, "watching": {
            "epoch": 5, "seq": 50, "gap": true, "sessions": [],
        }}),
    ];
    let objects = played.objects();
    assert_eq!(objects[..5], expected);
    assert_eq!(objects[5]["error"]["code"], "closed");
    assert_eq!(
        (objects.len(), played.exit, played.talk.as_str()),
        (6, 69, "")
    );
}

#[tokio::test(start_paused = true)]
async fn an_error() {
    let no = Failure {
        last_logout: Some(Box::new(entry("alice", Cause::Unlinked))),
        retry_after: Some(3),
        ..Failure::new(FailureCode::NotFound, "alice has no session.")
    };
    let command = || Command::Status { user: alice() };
    let played = asked("status alice", JSON, command(), Err(no.clone())).await;
    let message = "alice has no session. (try again in 3 s)\nThe last session of alice ended \
                   2026-11-24 09:12:03Z: unlinked (the device was unlinked on the phone).";
    let expected = json!({"schema": 1, "error": {
        "code": "not_found", "message": message, "retry_after": 3, "last_logout": entry_object(),
    }});
    assert_eq!(played.objects(), [expected]);
    assert_eq!((played.exit, played.talk.as_str()), (3, ""));

    let played = asked("status alice", PIPED, command(), Err(no)).await;
    assert_eq!(
        (played.out.as_str(), played.talk),
        ("", format!("wactl: {message}\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_qr_code() {
    let answer = || Ok(Answer::Status(Box::new(with_qr("alice", 2))));
    let command = || Command::Status { user: alice() };
    let played = asked("qr alice", JSON, command(), answer()).await;
    let expected = json!({"schema": 1, "user": "alice", "qr": qr_object(), "output": null});
    assert_eq!(played.objects(), [expected]);

    let answer = Ok(Answer::Status(Box::new(online("alice"))));
    let played = asked("qr alice", JSON, command(), answer).await;
    let error = &played.objects()[0]["error"];
    assert_eq!((played.exit, &error["code"]), (1, &json!("no_qr_code")));
    assert_eq!(error["status"]["phase"], "online");
}
