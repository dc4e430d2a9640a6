//! `kill -9` at each step of a logout, and at any moment: afterwards the session is whole, or gone.
//! Never half, never back.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use tokio::task::JoinSet;
use wasessiond::client::ClientError;
use wasessiond::protocol::{Cause, EventKind, FailureCode, Phase, Unlink};
use wasessiond::store::Step;
use wasim::Observation;

use crate::daemon::{Daemon, failing};
use crate::stage::{PATIENCE, PHONE, Stage};

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Whole,
    Gone,
}

/// So short a history that every second line shortens it.
const SHORT: &str = "[logout]\nhistory_limit = 1\n";

// ---- at each step ---------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn before_each_step_of_a_logout_leaves_a_session_whole_or_gone() {
    each_step("before", Step::TrashSyncFrom).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_step_of_a_logout_leaves_a_session_whole_or_gone() {
    each_step("after", Step::TrashRename).await;
}

/// Kills at each step. From `gone` on the session is gone.
async fn each_step(moment: &str, gone: Step) {
    let mut stage = Stage::with(SHORT).await;
    let mut device = stage.pair("alice", PHONE).await;
    let mut fates: BTreeMap<Fate, u32> = BTreeMap::new();
    let mut expected = Fate::Whole;
    for &step in Step::LOGOUT {
        if step == gone {
            expected = Fate::Gone;
        }
        die_in_a_logout(&mut stage, &device, step, moment).await;
        stage.start().await;
        let fate = fate(&mut stage, "alice", &device).await;
        assert_eq!(fate, expected, "{moment} {step:?}");
        *fates.entry(fate).or_default() += 1;
        if fate == Fate::Gone {
            device = stage.pair("alice", PHONE).await;
        }
    }
    println!(
        "killed {moment} each of {} steps: {fates:?}, 0 half",
        Step::LOGOUT.len()
    );
}

/// A logout that WhatsApp decides, and that ends the daemon at this step. It is one that does not
/// unlink the device: a session that is whole afterwards must be able to log in.
async fn die_in_a_logout(stage: &mut Stage, device: &str, step: Step, moment: &str) {
    stage.stop();
    let history = stage.state().join("history.jsonl");
    match step {
        // Taken for the first line ever.
        Step::HistorySyncDir => fs::remove_file(&history).expect("remove the history"),
        Step::IntentSyncDir => {
            // Before the first logout it is not there.
            let _ = fs::remove_file(stage.state().join("intents.jsonl"));
        }
        // Taken when the file has grown; what it does not understand counts, too.
        Step::ShortenWrite | Step::ShortenSync | Step::ShortenRename | Step::ShortenSyncDir => {
            fs::write(&history, "strange\n".repeat(3)).expect("write");
        }
        _ => {}
    }
    // After a crash, and for minutes, a conflict may be the ghost of a login that the crash has cut off.
    let record = stage.state().join("sessions/alice/session.toml");
    let record = fs::read_to_string(record).expect("her record");
    let points = format!("{}:{moment}=return(kill)", step.as_str());
    stage.start_by(failing(&points)).await;
    stage.until("alice", Phase::Online).await;
    if record.contains("login_open_until") {
        is_forgiven(stage, "alice", device).await;
    }
    stage.sim.replace(device).await.expect("replace");
    stage.died();
}

/// A conflict that costs one more try, and not the credentials.
async fn is_forgiven(stage: &mut Stage, user: &str, device: &str) {
    let position = stage.sim.position();
    stage.sim.replace(device).await.expect("replace");
    let login = |o: &Observation| matches!(o, Observation::Login { jid, .. } if jid == device);
    let seen = stage.sim.wait_after(position, login, PATIENCE).await;
    seen.expect("one more try");
    stage.until(user, Phase::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_start_finishes_a_logout_does_not_bring_it_back() {
    let mut stage = Stage::set().await;
    for step in [
        Step::HistorySyncDir,
        Step::HistoryWrite,
        Step::HistorySync,
        Step::EraseFile,
        Step::EraseDir,
        Step::EraseSync,
        Step::IntentsEmpty,
    ] {
        for moment in ["before", "after"] {
            let device = stage.pair("alice", PHONE).await;
            die_in_a_logout(&mut stage, &device, Step::TrashSyncTo, "after").await;
            let history = stage.state().join("history.jsonl");
            let _ = fs::remove_file(history);
            let points = format!("{}:{moment}=return(kill)", step.as_str());
            let ended = Daemon::attempt(stage.dir.path(), failing(&points));
            assert!(ended.is_err(), "{moment} {step:?}: it was to die");
            stage.start().await;
            let fate = fate(&mut stage, "alice", &device).await;
            assert_eq!(fate, Fate::Gone, "{moment} {step:?}");
            assert_eq!(stage.on_disk(), BTreeMap::new(), "{moment} {step:?}");
            let history = stage.client.history(Some("alice"), None).await;
            let causes: Vec<Cause> = history.expect("history").iter().map(|e| e.cause).collect();
            assert_eq!(
                causes,
                [Cause::Replaced],
                "one logout, one line: {moment} {step:?}"
            );
        }
    }
}

/// Alice's logout is not finished for long, and there have been so many others that the intents are written
/// anew in bob's: hers, with the token in it, stays.
#[tokio::test(flavor = "multi_thread")]
async fn while_intents_are_written_anew_loses_none_that_is_needed() {
    let mut stage = Stage::set().await;
    let bobs = "15550001002";
    let mut bob = None;
    for &step in Step::REWRITE {
        for moment in ["before", "after"] {
            let alice = stage.pair("alice", PHONE).await;
            let device = match bob.take() {
                Some(device) => device,
                None => stage.pair("bob", bobs).await,
            };
            die_in_a_logout(&mut stage, &alice, Step::TrashSyncTo, "after").await;
            let intents = stage.state().join("intents.jsonl");
            let mut text = fs::read_to_string(&intents).expect("her intent");
            text.push_str(&"of a logout long ago\n".repeat(60_000));
            fs::write(&intents, text).expect("write");
            let points = format!(
                "history_write:before=return(EIO);erase_file:before=return(EIO);{}:{moment}=return(kill)",
                step.as_str()
            );
            stage.start_by(failing(&points)).await;
            stage.until("bob", Phase::Online).await;
            is_forgiven(&mut stage, "bob", &device).await;
            stage.sim.replace(&device).await.expect("replace");
            stage.died();
            stage.start().await;
            let fate = fate(&mut stage, "alice", &alice).await;
            assert_eq!(fate, Fate::Gone, "{moment} {step:?}");
            let history = stage.client.history(Some("alice"), None).await;
            let newest = history.expect("history").remove(0);
            // From her intent: the name and the record could not tell how the unlink went.
            assert_eq!(newest.cause, Cause::Replaced);
            assert_eq!(newest.unlink, Unlink::NotAsked, "{moment} {step:?}");
            let fate = self::fate(&mut stage, "bob", &device).await;
            assert_eq!(fate, Fate::Whole, "{moment} {step:?}");
            bob = Some(device);
        }
    }
    let lines = stage.client.history(Some("alice"), None).await;
    assert_eq!(lines.expect("history").len(), 2 * Step::REWRITE.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_step_of_a_new_session_leaves_none_or_a_pairing_that_is_cleared_away() {
    let mut stage = Stage::set().await;
    for &step in Step::BIRTH {
        for moment in ["before", "after"] {
            stage.stop();
            let points = format!("{}:{moment}=return(kill)", step.as_str());
            stage.start_by(failing(&points)).await;
            let asked = stage.client.connect_session("alice", None).await;
            assert!(asked.is_err(), "{moment} {step:?}: {asked:?}");
            stage.died();
            stage.start().await;
            if stage.client.status("alice").await.is_ok() {
                stage.ended("alice").await;
            }
            assert_eq!(stage.on_disk(), BTreeMap::new(), "{moment} {step:?}");
        }
    }
    stage.pair("alice", PHONE).await;
}

// ---- at any moment --------------------------------------------------------------------------------

const USERS: usize = 25;
const LOGOUTS: u32 = 500;

/// The kills of a round come up to this much after the logouts began: into the first of them, among
/// them, after the last.
const SPREAD: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn at_any_moment_of_many_logouts_leaves_each_session_whole_or_gone() {
    let mut stage = Stage::set().await;
    let people: Vec<(String, String)> = (0..USERS)
        .map(|n| (format!("u{n}"), format!("1555000{n:04}")))
        .collect();
    let mut devices: BTreeMap<String, String> = BTreeMap::new();
    let mut fates: BTreeMap<Fate, u32> = BTreeMap::new();
    let (mut logouts, mut kills) = (0, 0);
    while logouts < LOGOUTS {
        let mut to_pair = people.clone();
        to_pair.retain(|(user, _)| !devices.contains_key(user));
        let paired = stage.pair_all(&to_pair).await;
        devices.extend(to_pair.into_iter().map(|(user, _)| user).zip(paired));
        for (user, _) in &people {
            stage.until(user, Phase::Online).await;
        }
        // The moment is the point: there is no event to wait for.
        let kill_at = tokio::time::sleep(SPREAD.mul_f64(rand()));
        let mut asked = JoinSet::new();
        for (n, (user, device)) in devices.iter().enumerate() {
            if n % 2 == 0 {
                let (client, user) = (stage.client.clone(), user.clone());
                asked
                    .spawn(async move { client.force_logout(&user).await.is_ok().then_some(user) });
            } else {
                stage.sim.replace(device).await.expect("replace");
            }
            logouts += 1;
        }
        kill_at.await;
        stage.kill();
        kills += 1;
        let acknowledged: Vec<String> = asked.join_all().await.into_iter().flatten().collect();
        stage.start().await;
        for (user, device) in std::mem::take(&mut devices) {
            let fate = fate(&mut stage, &user, &device).await;
            *fates.entry(fate).or_default() += 1;
            if fate == Fate::Whole {
                assert!(
                    !acknowledged.contains(&user),
                    "an acknowledged logout came back"
                );
                devices.insert(user, device);
            }
        }
    }
    println!("{logouts} logouts, {kills} kills among them: {fates:?}, 0 half");
    assert_eq!(fates.len(), 2, "the kills came too early or too late");
}

/// From 0 to 1, by the clock: the kills need not be repeatable, only spread.
fn rand() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .subsec_nanos();
    f64::from(nanos % 1_000_003) / 1_000_003.0
}

// ---- what became of it ----------------------------------------------------------------------------

async fn fate(stage: &mut Stage, user: &str, device: &str) -> Fate {
    match stage.client.status(user).await {
        Ok(_) => whole(stage, user, device).await,
        Err(ClientError::Failure(failure)) if failure.code == FailureCode::NotFound => {
            assert!(
                failure.last_logout.is_some(),
                "{user} is gone without a line in the history"
            );
            assert_eq!(
                stage.of_user_on_disk(user),
                Vec::<String>::new(),
                "{user} is gone, but not from the disk"
            );
            Fate::Gone
        }
        Err(e) => panic!("{e}"),
    }
}

/// It is there: then it logs in without a QR code, or WhatsApp had confirmed the unlink before the kill
/// and it ends by itself.
async fn whole(stage: &mut Stage, user: &str, device: &str) -> Fate {
    let phone = device.split([':', '@']).next().expect("a phone");
    let linked = stage.sim.devices(phone).await.expect("devices");
    if linked.iter().all(|d| d.jid != device) {
        if stage.client.status(user).await.is_ok() {
            stage.ended(user).await;
        }
        return Fate::Gone;
    }
    let mut status = stage.client.status(user).await.expect("status");
    if status.phase != Phase::Online {
        let event = stage.event(user, |e| {
            assert!(
                !matches!(e.kind, EventKind::Qr),
                "a QR code over live credentials"
            );
            e.status.as_ref().is_some_and(|s| s.phase == Phase::Online)
        });
        status = event.await.status.expect("a status");
    }
    assert_eq!(status.account.expect("an account").jid, device);
    Fate::Whole
}
