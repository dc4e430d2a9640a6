//! What the journal has to tell.

use std::collections::BTreeSet;

use serde_json::Value;
use wasessiond::protocol::{Cause, Phase};
use wasim::Fault;

use crate::stage::{PHONE, Stage};

const SESSION_ENDED: &str = "9650c2c958224002b17117bbafb81109";

/// The value of a field that an entry has once; the journal shows twice the same as one.
fn field<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry[name].as_str()
}

#[tokio::test]
async fn the_story_of_a_session_is_told_under_its_user_with_its_causes() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    let device = stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.phase("alice", Phase::BackingOff).await;
    stage.connect("alice").await;
    stage.phase("alice", Phase::Online).await;
    stage.sim.unlink(&device).await.expect("unlink");
    stage.ended("alice").await;
    stage
        .client
        .force_logout("bob")
        .await
        .expect("force-logout");

    let story = stage.lab.entries("WASESSION_USER=alice");
    let told: Vec<_> = story
        .iter()
        .map(|entry| {
            let message = field(entry, "MESSAGE").expect("a message");
            let of_alice = message.strip_prefix("alice: ");
            let words = of_alice
                .expect("its user at the beginning")
                .split([' ', ':'])
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
            (
                words,
                field(entry, "WASESSION_CAUSE")
                    .unwrap_or_default()
                    .to_owned(),
            )
        })
        .collect();
    let line = |words: &str, cause: &str| (words.to_owned(), cause.to_owned());
    assert_eq!(
        told,
        [
            line("a session", ""),
            line("a QR", ""),
            line("paired as", ""),
            line("online as", ""),
            line("tries again", "connection_lost"),
            line("online as", ""),
            line("logging out", "unlinked"),
            line("the session", "unlinked"),
        ],
        "{story:#?}"
    );
    let ids: BTreeSet<_> = story
        .iter()
        .filter_map(|e| field(e, "MESSAGE_ID"))
        .collect();
    assert_eq!(ids.len(), 5, "{story:#?}");

    // How it ended, and who asked for it.
    let ends = stage.lab.entries(&format!("MESSAGE_ID={SESSION_ENDED}"));
    let fields = |entry| {
        [
            "WASESSION_USER",
            "WASESSION_CAUSE",
            "WASESSION_UNLINK",
            "PEER_UID",
            "PRIORITY",
        ]
        .map(|name| field(entry, name).unwrap_or("-"))
    };
    assert_eq!(
        ends.iter().map(fields).collect::<Vec<_>>(),
        [
            ["alice", "unlinked", "not_linked", "-", "5"],
            ["bob", "force_logout", "confirmed", "0", "5"],
        ]
    );
    let explained = stage.lab.journal("-x WASESSION_USER=alice");
    for text in [
        "Subject: A session of alice begins",
        "Subject: The session of alice is online",
        "The reason is connection_lost.",
        "The cause is unlinked, and unlinking the device",
    ] {
        assert!(explained.contains(text), "{text}:\n{explained}");
    }

    nothing_but_our_fields_and_no_secret(&stage);
}

/// No secret, no field that is not ours, and nothing above a notice in a life without trouble.
fn nothing_but_our_fields_and_no_secret(stage: &Stage) {
    let all = stage.lab.entries("-u wasessiond _COMM=wasessiond");
    let secrets = stage.sim.secrets();
    for entry in &all {
        let text = entry.to_string();
        assert!(
            secrets.iter().all(|secret| !text.contains(secret)),
            "{text}"
        );
        let ours = |name: &String| name.starts_with("WASESSION_") || name.starts_with("PEER_");
        let known = [
            "WASESSION_USER",
            "WASESSION_CAUSE",
            "WASESSION_UNLINK",
            "PEER_UID",
            "PEER_PID",
        ];
        let fields = entry.as_object().expect("fields");
        assert!(
            fields
                .keys()
                .filter(|n| ours(n))
                .all(|n| known.contains(&n.as_str())),
            "{entry:#}"
        );
        assert!(
            !fields.contains_key("USER") && !fields.contains_key("CAUSE"),
            "{entry:#}"
        );
        assert!(
            matches!(field(entry, "PRIORITY"), Some("5" | "6")),
            "{entry:#}"
        );
    }
}

#[tokio::test]
async fn what_the_library_says_belongs_to_its_session_even_under_a_strict_filter() {
    let Some(lab) = crate::lab::Lab::boot() else {
        return;
    };
    let mut stage = Stage::with(lab, "[log]\nfilter = \"error\"", "").await;
    let device = stage.pair("alice", PHONE).await;
    stage
        .sim
        .set_fault(Fault::GarbageServerHello)
        .await
        .expect("fault");
    stage.sim.drop_connection(&device).await.expect("drop");
    let mut reason = None;
    while reason != Some(Cause::HandshakeFailed) {
        reason = stage
            .event("alice", |e| e.status.is_some())
            .await
            .status
            .and_then(|s| s.reason);
    }
    let entries = stage.lab.entries("WASESSION_USER=alice -p err");
    // What comes through `log` carries the name of its part in a field of its own.
    let foreign = |e: &&Value| e["LOG_TARGET"].is_string();
    assert!(
        entries.iter().any(|e| foreign(&e)),
        "{}",
        stage.lab.journal("-o verbose -u wasessiond")
    );
    // All that it says is somebody's.
    let all = stage.lab.entries("_COMM=wasessiond -p err");
    assert!(
        all.iter()
            .filter(foreign)
            .all(|e| e["WASESSION_USER"] == "alice"),
        "{all:#?}"
    );
}

#[tokio::test]
async fn a_session_that_flaps_does_not_fill_the_journal() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    let device = stage.pair("alice", PHONE).await;
    for _ in 0..30 {
        stage.sim.drop_connection(&device).await.expect("drop");
        stage
            .event("alice", |e| {
                e.status
                    .as_ref()
                    .is_some_and(|s| s.phase == Phase::BackingOff)
            })
            .await;
        stage.connect("alice").await;
        stage
            .event("alice", |e| {
                e.status.as_ref().is_some_and(|s| s.phase == Phase::Online)
            })
            .await;
    }
    stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    let story = stage.lab.entries("WASESSION_USER=alice");
    let count = |words: &str| {
        let told = story.iter().filter_map(|e| field(e, "MESSAGE"));
        told.filter(|m| m.starts_with(&format!("alice: {words}")))
            .count()
    };
    // Three minutes at most on the slowest machine, and ten of a kind in each.
    assert!(
        (10..=30).contains(&count("tries again")),
        "{}",
        count("tries again")
    );
    assert!(count("online as") <= 30);
    assert_eq!(count("the session ended"), 1);
}
