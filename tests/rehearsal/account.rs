//! What WhatsApp says of an account while its session stays online, and what the account says of itself.
//! Each test is one of the kinds of trouble that people reported of such services.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wasessiond::client::{Client, Options};
use wasessiond::protocol::{EventKind, Phase, RestrictionKind, Status, TargetEdit, WarningKind};
use wasim::{ChatLimit, Observation, Stanza, Timelock};

use crate::stage::{PATIENCE, PHONE, Stage};

fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs() + seconds
}

/// The presences that the device has sent, in order, and whether another stanza followed an `available`.
async fn presences(stage: &Stage) -> Vec<String> {
    let all = stage.sim.observations(0).await.expect("observations");
    let presences = all.into_iter().filter_map(|seen| match seen.observation {
        Observation::Presence { kind, .. } => Some(kind),
        _ => None,
    });
    presences.collect()
}

async fn says(stage: &Stage, position: u64, wanted: &str) {
    let said = |o: &Observation| matches!(o, Observation::Presence { kind, .. } if kind == wanted);
    let said = stage.sim.wait_after(position, said, PATIENCE).await;
    said.unwrap_or_else(|e| panic!("it does not say {wanted}: {e}"));
}

/// A linked device that is available silences its owner's phone.
#[tokio::test(flavor = "multi_thread")]
async fn the_phone_is_not_silenced_by_logins_and_renames() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    says(&stage, 0, "unavailable").await;
    for _ in 0..3 {
        let position = stage.sim.position();
        stage.sim.drop_connection(&device).await.expect("drop");
        stage.phase("alice", Phase::BackingOff).await;
        stage.phase("alice", Phase::Online).await;
        says(&stage, position, "unavailable").await;
    }
    let position = stage.sim.position();
    let rename = Stanza::new("notification")
        .attr("type", "account_sync")
        .attr("from", &format!("{PHONE}@s.whatsapp.net"))
        .attr("id", "rename-1")
        .attr("pushname", "Somebody Else");
    stage.sim.send_raw(&device, rename).await.expect("sent");
    let renamed = stage.event("alice", |e| {
        let account = e.status.as_ref().and_then(|s| s.account.as_ref());
        account.is_some_and(|a| a.name.as_deref() == Some("Somebody Else"))
    });
    renamed.await;
    says(&stage, position, "unavailable").await;
    let said = presences(&stage).await;
    assert!(!said.contains(&"available".to_owned()), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_presence_is_the_configurations_and_a_reload_changes_it() {
    let mut stage = Stage::with("presence = \"available\"\n").await;
    stage.pair("alice", PHONE).await;
    says(&stage, 0, "available").await;
    let file = stage.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    for (from, to) in [("available", "unavailable"), ("unavailable", "available")] {
        let position = stage.sim.position();
        let key = |presence: &str| format!("presence = \"{presence}\"");
        let changed = text.replace(&key("available"), &key(to));
        std::fs::write(&file, changed).expect("written");
        let reloaded = stage.client.reload().await.expect("reloaded");
        assert_eq!(reloaded.changed, ["whatsapp.presence"], "{from} to {to}");
        assert!(reloaded.needs_restart.is_empty());
        says(&stage, position, to).await;
    }
    // Whoever was available says goodbye.
    let position = stage.sim.position();
    let stopped = stage.client.disconnect("alice").await;
    stopped.expect("disconnected");
    says(&stage, position, "unavailable").await;
}

/// A session that is asked for something all the time takes in each change all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_the_presence_reaches_a_busy_session() {
    const ROUNDS: usize = 20;
    const BUSY: usize = 4;
    let mut stage = Stage::with("presence = \"unavailable\"\n").await;
    stage.pair("alice", PHONE).await;
    says(&stage, 0, "unavailable").await;
    let over = CancellationToken::new();
    let mut busy = JoinSet::new();
    let socket = stage.dir.path().join("control.sock");
    for _ in 0..BUSY {
        let client = Client::connect(&socket, Options::default()).await;
        let client = client.expect("join");
        busy.spawn(over.clone().run_until_cancelled_owned(async move {
            loop {
                let asked = (0..8).map(|_| client.targets("alice", TargetEdit::Show));
                for targets in join_all(asked).await {
                    targets.expect("the target groups");
                }
            }
        }));
    }
    let file = stage.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    for round in 0..ROUNDS {
        let to = ["available", "unavailable"][round % 2];
        let position = stage.sim.position();
        let changed = text.replace("\"unavailable\"", &format!("\"{to}\""));
        std::fs::write(&file, changed).expect("written");
        stage.client.reload().await.expect("reloaded");
        says(&stage, position, to).await;
    }
    over.cancel();
    while let Some(ended) = busy.join_next().await {
        ended.expect("it was busy all the time");
    }
}

async fn restricted(stage: &mut Stage, fits: impl Fn(&Status) -> bool) -> Status {
    let event = stage.event("alice", |e| {
        matches!(e.kind, EventKind::Restrictions | EventKind::Warnings)
            && e.status.as_ref().is_some_and(&fits)
    });
    event.await.status.expect("it was looked at")
}

/// An account may be forbidden to write to strangers, and everything else looks as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_reachout_timelock_is_told_and_ends() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let lock = |seconds| Timelock {
        kind: "RESTRICT_ALL_COMPANIONS".to_owned(),
        until: Some(in_seconds(seconds)),
    };
    // As a notification, with an end of its own.
    stage
        .sim
        .set_timelock(PHONE, Some(lock(5)))
        .await
        .expect("set");
    let status = restricted(&mut stage, |s| !s.restrictions.is_empty()).await;
    assert_eq!(status.phase, Phase::Online);
    let restriction = &status.restrictions[0];
    assert_eq!(restriction.kind, RestrictionKind::ReachoutTimelock);
    assert_eq!(
        restriction.detail.as_deref(),
        Some("RESTRICT_ALL_COMPANIONS")
    );
    let until = restriction.until.expect("an end");
    let ended = stage.event("alice", |e| {
        let free = e.status.as_ref().is_some_and(|s| s.restrictions.is_empty());
        e.kind == EventKind::Restrictions && free
    });
    assert!(ended.await.at >= until);

    // As an answer at the login; and the history tells it.
    stage
        .sim
        .set_timelock(PHONE, Some(lock(3600)))
        .await
        .expect("set");
    restricted(&mut stage, |s| !s.restrictions.is_empty()).await;
    stage.stop();
    stage.start().await;
    let status = stage.until("alice", Phase::Online).await;
    assert_eq!(status.restrictions.len(), 1);
    stage.sim.set_timelock(PHONE, None).await.expect("lifted");
    restricted(&mut stage, |s| s.restrictions.is_empty()).await;
    stage
        .sim
        .set_timelock(PHONE, Some(lock(3600)))
        .await
        .expect("set");
    restricted(&mut stage, |s| !s.restrictions.is_empty()).await;
    stage.sim.unlink(&device).await.expect("unlink");
    let entry = stage.ended("alice").await;
    assert_eq!(entry.restrictions.len(), 1);
    assert_eq!(
        entry.restrictions[0].kind,
        RestrictionKind::ReachoutTimelock
    );
    let page = stage
        .client
        .history(Some("alice"), None)
        .await
        .expect("history");
    assert_eq!(page[0].restrictions, entry.restrictions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_new_chats_is_asked_for_at_login() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    let limit = |status: &str, used| ChatLimit {
        status: status.to_owned(),
        total: 50,
        used,
        begins: in_seconds(0),
        ends: in_seconds(3600),
    };
    let near = Some(limit("SECOND_WARNING", 45));
    stage.sim.set_chat_limit(PHONE, near).await.expect("set");
    let status = restricted(&mut stage, |s| !s.warnings.is_empty()).await;
    assert_eq!(status.warnings[0].kind, WarningKind::NewChatLimitNear);
    assert!(status.restrictions.is_empty());

    // Nobody tells it while the session is away.
    let stopped = stage.client.disconnect("alice").await;
    stopped.expect("disconnected");
    let reached = Some(limit("CAPPED", 50));
    stage.sim.set_chat_limit(PHONE, reached).await.expect("set");
    stage.connect("alice").await;
    let status = restricted(&mut stage, |s| !s.restrictions.is_empty()).await;
    assert_eq!(status.phase, Phase::Online);
    assert_eq!(status.restrictions[0].kind, RestrictionKind::NewChatLimit);
    let detail = status.restrictions[0].detail.as_deref();
    assert_eq!(detail, Some("CAPPED, 50 of 50 used"));
    let linked = stage.sim.devices(PHONE).await.expect("devices");
    assert_eq!(linked.len(), 1, "{device}");
}

/// WhatsApp says weeks before when it will refuse a version, to every session.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_this_version_is_one_warning_for_the_daemon() {
    let mut stage = Stage::set().await;
    let day = in_seconds(30 * 24 * 3600);
    let mut devices = Vec::new();
    for (user, phone) in [("alice", PHONE), ("bob", "15550001002")] {
        devices.push(stage.pair(user, phone).await);
    }
    let before = stage.client.info().await.expect("info");
    assert_eq!(before.warnings, []);
    for device in &devices {
        let expires = Stanza::new("client_expiration").attr("t", &day.to_string());
        let ib = Stanza::new("ib")
            .attr("from", "s.whatsapp.net")
            .child(expires);
        for _ in 0..2 {
            stage.sim.send_raw(device, ib.clone()).await.expect("sent");
        }
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let warnings = loop {
        let info = stage.client.info().await.expect("info");
        if !info.warnings.is_empty() || tokio::time::Instant::now() > deadline {
            break info.warnings;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert_eq!(warning.kind, WarningKind::ClientExpires);
    let due = warning.due.expect("a day").as_second();
    assert_eq!(u64::try_from(due).expect("after 1970"), day);
    for user in ["alice", "bob"] {
        let status = stage.client.status(user).await.expect("status");
        assert_eq!(status.phase, Phase::Online);
        assert_eq!(status.warnings, [], "it concerns the daemon");
    }
    stage.stop();
    let told = stage.log().matches("warnings: from").count();
    assert_eq!(told, 1, "{}", stage.log());
}
