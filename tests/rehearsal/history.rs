//! What is known of sessions that are gone: the history, and the counters of the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wasessiond::protocol::{Cause, Count, HistoryEntry, Phase, Redacted, TargetEdit, Unlink};
use wasim::Failure;

use crate::stage::{PATIENCE, PHONE, Stage};

fn wactl(home: &Path, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wactl"))
        .arg("--socket")
        .arg(home.join("control.sock"))
        .args(words)
        .output()
        .expect("run wactl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The history as `wactl --json` has it.
fn entries(home: &Path, words: &[&str]) -> Vec<HistoryEntry> {
    #[derive(serde::Deserialize)]
    struct Answer {
        schema: u32,
        entries: Vec<HistoryEntry>,
    }
    let text = wactl(home, &[&["--json", "history"], words].concat());
    let answer: Answer = serde_json::from_str(&text).expect("an object");
    assert_eq!(answer.schema, 1);
    answer.entries
}

fn lines(home: &Path) -> usize {
    let text = fs::read_to_string(home.join("state/history.jsonl")).expect("the history");
    text.lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_who_when_why_and_what_of_every_end() {
    let mut stage = Stage::with("[sessions]\non_locked = \"logout\"\n").await;
    let began = jiff::Timestamp::now();
    let device = stage.pair("alice", PHONE).await;
    let groups = stage.client.groups("alice").await.expect("groups");
    let chosen = TargetEdit::Set(groups.iter().map(|g| g.jid.to_string()).collect());
    stage
        .client
        .targets("alice", chosen)
        .await
        .expect("targets");
    let locked = stage
        .sim
        .fail_next_login(&device, Failure::account_locked("token-4711"));
    locked.await.expect("fail");
    stage.sim.drop_connection(&device).await.expect("drop");
    stage.ended("alice").await;
    stage.pair("bob", "15550001002").await;
    stage
        .client
        .force_logout("bob")
        .await
        .expect("force-logout");
    stage.ended("bob").await;

    let home = stage.dir.path();
    let kept = entries(home, &[]);
    let [bob, alice] = kept.as_slice() else {
        panic!("the newest first, and no more than two: {kept:#?}");
    };
    let uid = nix::unistd::geteuid().as_raw();
    assert_eq!(
        (bob.cause, bob.unlink),
        (Cause::ForceLogout, Unlink::Confirmed)
    );
    assert_eq!((bob.requested_by, bob.owner), (Some(uid), uid));
    assert_eq!((bob.text.as_ref(), bob.appeal_token.as_ref()), (None, None));

    assert_eq!(
        (alice.cause, alice.unlink),
        (Cause::AccountLocked, Unlink::NotKnown)
    );
    assert_eq!((alice.requested_by, alice.owner), (None, uid));
    let account = alice.account.as_ref().expect("an account");
    assert_eq!(
        (account.jid.as_str(), account.phone.as_str()),
        (device.as_str(), "+15550001001")
    );
    assert!(
        alice.removed.files >= 2 && alice.removed.bytes > 1000,
        "{alice:#?}"
    );
    assert_eq!(alice.removed.targets, 2);
    let text = alice.text.as_deref().expect("what WhatsApp said");
    assert_eq!(
        text,
        "You have been logged out Open WhatsApp on your phone for details"
    );
    let token = alice.appeal_token.as_ref().expect("a token");
    assert_eq!(token.reveal(), "token-4711");
    assert!(began <= alice.at && alice.at <= bob.at && bob.at <= jiff::Timestamp::now());

    assert_eq!(entries(home, &["alice"]), std::slice::from_ref(alice));
    let shown = wactl(home, &["history"]);
    for word in [
        "account_locked",
        "force_logout",
        &format!("uid {uid}"),
        "confirmed",
        "+15550001001",
        "2 targets",
        "You have been logged out",
        "wactl --json history alice",
    ] {
        assert!(shown.contains(word), "{word:?} is not in\n{shown}");
    }
    assert!(!shown.contains("token-4711"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_a_kill_right_after_logged_out() {
    let mut stage = Stage::set().await;
    for round in 1..=3 {
        let device = stage.pair("alice", PHONE).await;
        stage.sim.unlink(&device).await.expect("unlink");
        let told = stage.ended("alice").await;
        stage.kill();
        stage.start().await;
        let kept = entries(stage.dir.path(), &["alice"]);
        assert_eq!(kept.len(), round);
        assert_eq!(kept[0], told);
        stage
            .assert_gone("alice", Cause::Unlinked, Unlink::NotLinked)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn has_what_happened_while_nobody_watched() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    // Nobody is connected to the daemon any more, so nobody can be told: the disk is looked at.
    let Stage {
        sim, daemon, dir, ..
    } = stage;
    sim.unlink(&device).await.expect("unlink");
    let deadline = Instant::now() + PATIENCE;
    for part in ["sessions", "trash"] {
        let part = dir.path().join("state").join(part);
        while fs::read_dir(&part).expect("read").count() > 0 {
            assert!(Instant::now() < deadline, "{} is not empty", part.display());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let kept = entries(dir.path(), &[]);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].user.as_str(), kept[0].cause),
        ("alice", Cause::Unlinked)
    );
    assert_eq!(kept[0].account.as_ref().expect("an account").jid, device);
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn has_what_happened_while_the_daemon_was_down() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.kill();
    stage.sim.unlink(&device).await.expect("unlink");
    stage.start().await;
    if stage.client.status("alice").await.is_ok() {
        stage.ended("alice").await;
    }
    let kept = entries(stage.dir.path(), &[]);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].cause, kept[0].requested_by),
        (Cause::LoggedOut, None)
    );
    assert_eq!(kept[0].account.as_ref().expect("an account").jid, device);
}

#[tokio::test(flavor = "multi_thread")]
async fn is_bounded_over_restarts_too() {
    let mut stage = Stage::with("[logout]\nhistory_limit = 3\n").await;
    for n in 0..8 {
        let user = format!("user{n}");
        let begun = stage.client.connect_session(&user, None).await;
        begun.expect("connect");
        stage
            .client
            .force_logout(&user)
            .await
            .expect("force-logout");
        stage.ended(&user).await;
        assert!(lines(stage.dir.path()) <= 6, "it is cut back");
    }
    for _ in 0..2 {
        let kept = entries(stage.dir.path(), &[]);
        let users: Vec<_> = kept.iter().map(|entry| entry.user.as_str()).collect();
        assert_eq!(users, ["user7", "user6", "user5"]);
        stage.kill();
        stage.start().await;
    }
}

/// The account was locked while the session was closed: WhatsApp says so, once, to the login that is
/// made for the unlink.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_token_that_comes_instead_of_an_answer_to_the_unlink() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.client.disconnect("alice").await.expect("disconnect");
    let locked = stage
        .sim
        .fail_next_login(&device, Failure::account_locked("token-4711"));
    locked.await.expect("fail");
    let report = stage.client.force_logout("alice").await;
    let entry = report.expect("force-logout").entry;
    assert_eq!(
        (entry.cause, entry.unlink),
        (Cause::ForceLogout, Unlink::Unreachable)
    );
    let kept = entries(stage.dir.path(), &["alice"]);
    assert_eq!(kept, [entry]);
    let token = kept[0].appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!(token, Some("token-4711"));
    let text = kept[0].text.as_deref().expect("what WhatsApp said");
    assert!(text.starts_with("You have been logged out"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logouts_purges_and_failures_are_counted() {
    let mut stage = Stage::set().await;
    let info = stage.client.info().await.expect("info");
    assert_eq!(
        (info.logouts, info.purges, info.purge_failures),
        (vec![], 0, 0)
    );
    assert_eq!((info.purge_total_ms, info.purge_longest_ms), (0, None));
    for _ in 0..2 {
        let device = stage.pair("alice", PHONE).await;
        stage.sim.unlink(&device).await.expect("unlink");
        stage.ended("alice").await;
    }
    stage.pair("alice", PHONE).await;
    // Something in the way of the rename, for root too.
    let trash = stage.state().join("trash");
    fs::remove_dir(&trash).expect("remove");
    fs::write(&trash, "in the way").expect("write");
    let failed = stage.client.force_logout("alice").await;
    let failed = failed.expect_err("there is something in the way");
    assert!(failed.to_string().contains("alice"), "{failed}");
    stage.phase("alice", Phase::PurgeFailed).await;
    fs::remove_file(&trash).expect("remove");
    fs::create_dir(&trash).expect("make");
    stage.ended("alice").await;

    let info = stage.client.info().await.expect("info");
    let counted: BTreeMap<_, _> = info
        .logouts
        .iter()
        .map(|c| (c.name.as_str(), c.count))
        .collect();
    assert_eq!(
        counted,
        BTreeMap::from([("force_logout", 1), ("unlinked", 2)])
    );
    assert_eq!(info.phases, Vec::<Count>::new());
    assert_eq!((info.purges, info.purge_failures), (3, 1));
    let longest = info.purge_longest_ms.expect("a time");
    let median = info.purge_median_ms.expect("a time");
    assert!(
        longest >= 2000,
        "the failed one waited two seconds: {longest} ms"
    );
    assert!(
        median < longest && longest <= info.purge_total_ms,
        "{info:#?}"
    );
    assert!(info.purge_total_ms <= 3 * longest, "{info:#?}");
    let shown = wactl(stage.dir.path(), &["daemon", "info"]);
    for word in [
        "2 unlinked",
        "1 force_logout",
        "purges",
        "failed purges",
        &format!("longest {longest} ms"),
    ] {
        assert!(shown.contains(word), "{word:?} is not in\n{shown}");
    }
    let object = wactl(stage.dir.path(), &["--json", "daemon", "info"]);
    assert!(object.contains("\"purges\":3"), "{object}");
}
