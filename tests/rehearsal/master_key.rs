//! The master key: its rotation among running sessions, over crashes, and from systemd; a key that is wrong or
//! missing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wasessiond::client::ClientError;
use wasessiond::protocol::{
    EventKind, Failure, FailureCode, KeySource, MasterKey, Phase, RotatedKey,
};
use wasessiond::store::Step;

use crate::daemon::{PROGRAM, failing};
use crate::stage::{PATIENCE, PHONE, Stage};

const OTHER_PHONE: &str = "15550001002";
const THIRD_PHONE: &str = "15550001003";

/// Nobody tells when a rotation is over: it is asked for this often.
const AGAIN: Duration = Duration::from_millis(10);

async fn master_key(stage: &Stage) -> MasterKey {
    let info = stage.client.info().await.expect("information");
    info.master_key.expect("we are an admin")
}

/// Waits until the master key is as this says.
async fn until_key(stage: &Stage, fits: impl Fn(&MasterKey) -> bool) -> MasterKey {
    let end = Instant::now() + PATIENCE;
    loop {
        let key = master_key(stage).await;
        if fits(&key) {
            return key;
        }
        assert!(Instant::now() < end, "{key:?}\n{}", stage.log());
        sleep(AGAIN).await;
    }
}

async fn rotate(stage: &Stage) -> RotatedKey {
    let rotated = stage.client.rotate_key().await;
    rotated.unwrap_or_else(|e| panic!("{e}\n{}", stage.log()))
}

async fn refused(stage: &Stage) -> Failure {
    match stage.client.rotate_key().await {
        Err(ClientError::Failure(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

/// Waits until a session is online again with the credentials it had.
async fn comes_back(stage: &mut Stage, user: &str, device: &str) {
    let mut status = stage.client.status(user).await.expect("a session");
    if status.phase != Phase::Online {
        let event = stage.event(user, |e| {
            let is_new = matches!(e.kind, EventKind::Qr);
            assert!(!is_new, "a QR code over live credentials");
            e.status.as_ref().is_some_and(|s| s.phase == Phase::Online)
        });
        status = event.await.status.expect("a status");
    }
    assert_eq!(status.account.expect("an account").jid, device);
}

/// The files of the state directory that hold master keys, but the one file there is.
fn other_keys(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.state()).expect("the state directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != "key.id")
        .filter(|name| name.starts_with("key.") || name.starts_with(".new-"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_rotated_while_sessions_run_and_one_that_is_damaged_keeps_the_old_one() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    let bob = stage.pair("bob", OTHER_PHONE).await;
    stage.pair("carol", THIRD_PHONE).await;
    stage.client.disconnect("bob").await.expect("disconnect");
    stage.until("bob", Phase::Disconnected).await;
    let before = master_key(&stage).await;
    assert_eq!(
        (before.source, before.rotating),
        (Some(KeySource::File), false)
    );
    let old = fs::read(stage.state().join("key")).expect("the key");

    let rotated = rotate(&stage).await;
    assert!(rotated.begun && rotated.finished, "{rotated:?}");
    assert_eq!((rotated.wrapped, rotated.left_total), (3, 0));
    assert_ne!(Some(&rotated.id), before.id.as_ref());
    assert_eq!(other_keys(&stage), Vec::<String>::new());
    assert_ne!(fs::read(stage.state().join("key")).expect("the key"), old);

    fs::write(stage.session_dir("carol").join("key"), "no key").expect("write");
    let rotated = rotate(&stage).await;
    assert!(rotated.begun && !rotated.finished, "{rotated:?}");
    assert_eq!((rotated.wrapped, rotated.left_total), (2, 1));
    assert_eq!(rotated.left[0].user.as_str(), "carol");
    assert!(
        rotated.left[0].why.contains("the session's key"),
        "{rotated:?}"
    );
    assert!(master_key(&stage).await.rotating);
    // No third key: neither of the two is lost.
    let again = rotate(&stage).await;
    assert!(!again.begun && !again.finished, "{again:?}");
    assert_eq!(again.id, rotated.id);

    stage.stop();
    stage.start().await;
    comes_back(&mut stage, "alice", &alice).await;
    let carol = stage.until("carol", Phase::StoreCorrupt).await;
    let error = carol.error.expect("why");
    assert!(error.contains("the session's key"), "{error}");
    assert!(master_key(&stage).await.rotating);
    stage
        .client
        .force_logout("carol")
        .await
        .expect("force-logout");
    let rotated = rotate(&stage).await;
    assert!(rotated.begun && rotated.finished, "{rotated:?}");
    assert_eq!(other_keys(&stage), Vec::<String>::new());

    stage.stop();
    stage.start().await;
    comes_back(&mut stage, "alice", &alice).await;
    stage.connect("bob").await;
    comes_back(&mut stage, "bob", &bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_rotation_at_a_time_and_nobody_waits_for_it() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    stage.stop();
    let slow = format!("{}:before=sleep(2000)", Step::KeyWrite.as_str());
    stage.start_by(failing(&slow)).await;
    comes_back(&mut stage, "alice", &alice).await;
    let client = stage.client.clone();
    let first = tokio::spawn(async move { client.rotate_key().await });
    until_key(&stage, |key| key.rotating).await;
    let failure = refused(&stage).await;
    assert_eq!(failure.code, FailureCode::NotNow, "{failure}");
    // A session that begins goes through the supervisor's loop.
    stage.connect("bob").await;
    assert!(!first.is_finished(), "it was too fast to see anything");
    let first = first.await.expect("it ends").expect("rotated");
    assert!(first.finished && first.wrapped == 1, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_costs_nobody_a_session_and_the_next_start_goes_on() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    let bob = stage.pair("bob", OTHER_PHONE).await;
    for (step, later) in STEPS {
        for moment in ["before", "after"] {
            stage.stop();
            let skip = if later == 0 {
                String::new()
            } else {
                format!("{later}*off->")
            };
            let point = format!("{}:{moment}={skip}return(kill)", step.as_str());
            stage.start_by(failing(&point)).await;
            comes_back(&mut stage, "alice", &alice).await;
            comes_back(&mut stage, "bob", &bob).await;
            let asked = stage.client.rotate_key().await;
            assert!(asked.is_err(), "{point}: {asked:?}");
            stage.died();
            stage.start().await;
            comes_back(&mut stage, "alice", &alice).await;
            comes_back(&mut stage, "bob", &bob).await;
            let key = until_key(&stage, |key| !key.rotating).await;
            assert_eq!(key.source, Some(KeySource::File), "{point}");
            assert_eq!(other_keys(&stage), Vec::<String>::new(), "{point}");
        }
    }
    let rotated = rotate(&stage).await;
    assert!(rotated.finished && rotated.wrapped == 2, "{rotated:?}");
}

/// The steps of a rotation, and how many of the same name come before.
const STEPS: [(Step, usize); 13] = [
    (Step::MasterWrite, 0),
    (Step::MasterSync, 0),
    (Step::MasterRename, 0),
    (Step::MasterSyncDir, 0),
    (Step::KeyWrite, 0),
    (Step::KeySync, 0),
    (Step::KeyRename, 0),
    (Step::KeySyncDir, 0),
    (Step::KeyRename, 1),
    (Step::MasterInstall, 0),
    (Step::MasterInstall, 1),
    (Step::MasterSyncDir, 1),
    (Step::Shred, 0),
];

/// The files that hold the credentials of these two.
fn credentials(stage: &Stage) -> Vec<(String, Vec<u8>)> {
    let files = ["alice/key", "alice/vault.db", "bob/key", "bob/vault.db"];
    let sessions = stage.state().join("sessions");
    let read = |file: &str| fs::read(sessions.join(file)).expect("read");
    files.map(|file| (file.to_owned(), read(file))).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_missing_or_wrong_is_said_and_heals_when_it_is_back() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    let bob = stage.pair("bob", OTHER_PHONE).await;
    stage.client.disconnect("bob").await.expect("disconnect");
    stage.until("bob", Phase::Disconnected).await;
    stage.stop();
    let file = stage.state().join("key");
    let good = fs::read(&file).expect("the key");
    for (wrong, words) in [
        (None, "is missing: neither the credential"),
        (Some("ab".repeat(32)), "is not the one that was in use"),
        (Some("no key".to_owned()), "the master key in"),
    ] {
        let before = credentials(&stage);
        match &wrong {
            Some(wrong) => fs::write(&file, wrong).expect("write"),
            None => fs::remove_file(&file).expect("remove"),
        }
        stage.start().await;
        let mut told = vec![stage.until("alice", Phase::StoreCorrupt).await];
        stage.connect("bob").await;
        told.push(stage.until("bob", Phase::StoreCorrupt).await);
        for status in told {
            let error = status.error.expect("why");
            assert!(error.contains(words), "{error}");
        }
        let error = master_key(&stage).await.error.expect("why");
        assert!(error.contains(words), "{error}");
        assert_eq!(refused(&stage).await.code, FailureCode::StoreCorrupt);
        stage.stop();
        let now = fs::read(&file).ok();
        assert_eq!(now, wrong.map(String::into_bytes), "it is not made anew");
        let now = credentials(&stage);
        let changed = now.iter().filter(|file| !before.contains(file));
        let changed: Vec<_> = changed.map(|(name, _)| name).collect();
        assert!(changed.is_empty(), "{changed:?}");
        fs::write(&file, &good).expect("write");
        stage.start().await;
        comes_back(&mut stage, "alice", &alice).await;
        // What he wanted could not be written down.
        stage.connect("bob").await;
        comes_back(&mut stage, "bob", &bob).await;
        stage.client.disconnect("bob").await.expect("disconnect");
        stage.stop();
    }
}

/// A daemon to which systemd gives these credentials.
fn given(dir: &Path, keys: &[(&str, u8)]) -> Command {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).expect("a directory");
    for (name, byte) in keys {
        fs::write(dir.join(name), [*byte; 32]).expect("a credential");
    }
    let mut command = Command::new(PROGRAM);
    command.env("CREDENTIALS_DIRECTORY", dir);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn it_moves_into_a_credential_and_on_to_another_one_by_itself() {
    let mut stage = Stage::set().await;
    let alice = stage.pair("alice", PHONE).await;
    let dir = stage.dir.path().join("credentials");
    let is_over = |key: &MasterKey| !key.rotating && key.source == Some(KeySource::Credential);
    let mut ids = Vec::new();
    for keys in [
        &[("wasessiond.key", 1)][..],
        &[("wasessiond.key", 1)],
        &[("wasessiond.key", 2), ("wasessiond.key.old", 1)],
        &[("wasessiond.key", 2)],
    ] {
        stage.stop();
        stage.start_by(given(&dir, keys)).await;
        comes_back(&mut stage, "alice", &alice).await;
        ids.push(until_key(&stage, is_over).await.id);
        assert!(!stage.state().join("key").exists(), "{keys:?}");
        let failure = refused(&stage).await;
        assert_eq!(failure.code, FailureCode::NotNow, "{failure}");
    }
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[1], ids[2]);

    // Without it nobody gets a new key, nor a new identity.
    stage.stop();
    stage.start().await;
    let status = stage.until("alice", Phase::StoreCorrupt).await;
    let error = status.error.expect("why");
    assert!(
        error.contains("is missing: neither the credential"),
        "{error}"
    );
    stage.stop();
    assert!(!stage.state().join("key").exists());
    stage.start_by(given(&dir, &[("wasessiond.key", 2)])).await;
    comes_back(&mut stage, "alice", &alice).await;
}
