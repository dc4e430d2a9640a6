//! A disk that refuses in the middle of a logout: it is told truthfully, tried again, and finished when
//! the obstacle goes. And a disk that refuses never costs credentials.

use std::fs;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use tokio::time::timeout;
use wasessiond::client::{Client, ClientError, Options, WatchItem};
use wasessiond::protocol::{Cause, FailureCode, Phase, Unlink};
use wasessiond::store::Step;

use crate::daemon::failing;
use crate::skipped::skipped;
use crate::stage::{PATIENCE, PHONE, Stage};

/// A disconnect that is answered holds over a restart; one that could not be written is told, and is
/// written by the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_that_cannot_be_written_is_no_success() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    stage.stop();
    let no_room = failing("record_write:before=1*return(ENOSPC)");
    stage.start_by(no_room).await;
    stage.until("alice", Phase::Online).await;
    let refused = stage.client.disconnect("alice").await;
    assert_eq!(Stage::code(refused), FailureCode::StoreFailed);
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Disconnected);
    stage.client.disconnect("alice").await.expect("disconnect");
    stage.kill();
    stage.start().await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Disconnected);
}

// ---- every step, made to fail ---------------------------------------------------------------------

/// What a step that fails once means for a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// It goes on: what failed is not needed, or there is another way.
    GoesOn,
    /// `purge_failed`, and the next try finishes it.
    Fails,
}

const fn meaning(step: Step) -> Means {
    match step {
        // The intent is for a crash; without room for it, the rename is still made.
        // What could not be emptied is emptied by the next.
        Step::IntentSyncDir | Step::IntentWrite | Step::IntentSync | Step::IntentsEmpty => {
            Means::GoesOn
        }
        // Erasing makes room, and it is written again. What is too long is shortened the next time. What cannot be
        // overwritten is removed all the same.
        Step::Shred
        | Step::HistorySyncDir
        | Step::HistoryWrite
        | Step::HistorySync
        | Step::ShortenWrite
        | Step::ShortenSync
        | Step::ShortenRename
        | Step::ShortenSyncDir => Means::GoesOn,
        _ => Means::Fails,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_that_fails_is_told_and_done_again() {
    let mut stage = Stage::with("[logout]\nhistory_limit = 1\n").await;
    let errors = [
        ("EACCES", "Permission denied"),
        ("EROFS", "Read-only file system"),
        ("EIO", "Input/output error"),
        ("ENOSPC", "No space left"),
    ];
    let mut failed = 0;
    for (n, step) in Step::LOGOUT.iter().copied().enumerate() {
        let (errno, words) = errors[n % errors.len()];
        let device = stage.pair("alice", PHONE).await;
        stage.stop();
        if step == Step::HistorySyncDir {
            fs::remove_file(stage.state().join("history.jsonl")).expect("remove the history");
        }
        if step == Step::IntentSyncDir {
            let _ = fs::remove_file(stage.state().join("intents.jsonl"));
        }
        let points = format!("{}:before=1*return({errno})", step.as_str());
        stage.start_by(failing(&points)).await;
        stage.until("alice", Phase::Online).await;
        stage.sim.replace(&device).await.expect("replace");
        if meaning(step) == Means::Fails {
            let status = stage.phase("alice", Phase::PurgeFailed).await;
            let error = status.error.expect("an error");
            assert!(error.contains(words), "{step:?}: {error}");
            let path = stage.state().display().to_string();
            assert!(error.contains(&path), "{step:?} names no path: {error}");
            assert!(status.retry_at.is_some(), "{step:?}");
            assert_eq!(status.reason, Some(Cause::Replaced), "{step:?}");
            failed += 1;
        }
        stage.ended("alice").await;
        stage
            .assert_gone("alice", Cause::Replaced, Unlink::NotAsked)
            .await;
    }
    assert_eq!(failed, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn force_logout_tries_at_once_and_says_what_is_left() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.stop();
    // It fails by itself, then for the first that asks, and then no more.
    let points = "erase_file:before=2*return(EIO)";
    stage.start_by(failing(points)).await;
    stage.until("alice", Phase::Online).await;
    stage.sim.replace(&device).await.expect("replace");
    stage.phase("alice", Phase::PurgeFailed).await;
    let refused = stage.client.force_logout("alice").await;
    match refused {
        Err(ClientError::Failure(failure)) => {
            assert_eq!(failure.code, FailureCode::PurgeFailed);
            for part in ["alice", "is left", "Input/output error", "trash"] {
                assert!(
                    failure.message.contains(part),
                    "{part}: {}",
                    failure.message
                );
            }
        }
        other => panic!("{other:?}"),
    }
    stage
        .client
        .force_logout("alice")
        .await
        .expect("the obstacle is gone");
    let line = stage
        .assert_gone("alice", Cause::Replaced, Unlink::NotAsked)
        .await;
    assert_eq!(line.requested_by, None, "WhatsApp ended it");
    assert!(line.removed.files >= 2, "{:?}", line.removed);
}

/// The daemon died in alice's logout, and the next start finds that, but cannot write the history, with
/// room or without. Bob is online.
async fn a_logout_that_the_start_cannot_finish() -> Stage {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.stop();
    let dies = "trash_sync_to:after=return(kill)";
    stage.start_by(failing(dies)).await;
    stage.until("alice", Phase::Online).await;
    stage.sim.replace(&device).await.expect("replace");
    stage.died();
    let full = "history_write:before=2*return(ENOSPC)";
    stage.start_by(failing(full)).await;
    stage.until("bob", Phase::Online).await;
    assert_eq!(stage.of_user_on_disk("alice").len(), 1);
    assert!(!stage.session_dir("alice").exists(), "it came back");
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_cannot_finish_is_told_when_it_is_finished() {
    let stage = a_logout_that_the_start_cannot_finish().await;
    let mut watch = stage.client.watch(["alice"], None).await.expect("watch");
    let event = match timeout(PATIENCE, watch.next()).await {
        Ok(Ok(WatchItem::Event(event))) => event,
        other => panic!("{other:?}"),
    };
    let entry = event.kind.ended().expect("an end");
    assert_eq!((entry.cause, &event.status), (Cause::Replaced, &None));
    // As with every end: when it is told, nothing is left, and the history has it.
    assert_eq!(stage.of_user_on_disk("alice").len(), 0);
    let history = stage.client.history(Some("alice"), None).await;
    assert_eq!(history.expect("history"), std::slice::from_ref(entry));
    let info = stage.client.info().await.expect("info");
    assert_eq!(info.logouts.iter().map(|l| l.count).sum::<u64>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_cannot_finish_is_finished_later_and_stops_nobody() {
    let mut stage = a_logout_that_the_start_cannot_finish().await;
    // On a connection of its own: the stage watches on its.
    let socket = stage.daemon.as_ref().expect("it runs").socket.clone();
    let client = Client::connect(&socket, Options::default()).await;
    let client = client.expect("connect");
    let mut watch = client.watch(["alice"], None).await.expect("watch");
    // Meanwhile she can begin anew.
    stage.connect("alice").await;
    stage.qr("alice").await;
    let trash = stage.state().join("trash");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while fs::read_dir(&trash).expect("read").count() > 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it is never finished"
        );
        // Nobody is told of it: they would take it for the end of her new session.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let history = stage.client.history(Some("alice"), None).await;
    assert_eq!(history.expect("history")[0].cause, Cause::Replaced);
    stage.client.disconnect("alice").await.expect("disconnect");
    loop {
        match timeout(PATIENCE, watch.next()).await {
            Ok(Ok(WatchItem::Event(event))) => match event.kind.ended() {
                Some(entry) => break assert_eq!(entry.cause, Cause::PairingAbandoned),
                None => assert!(event.status.is_some(), "{event:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_whose_disk_hangs_keeps_nobody_waiting_who_only_reads() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.stop();
    stage.start_by(failing("history_sync:before=pause")).await;
    stage.until("alice", Phase::Online).await;
    stage.until("bob", Phase::Online).await;
    stage.sim.replace(&device).await.expect("replace");
    // Her line is written, and is being synced for ever: then nothing of the history is free that
    // waits for the disk.
    let history = stage.state().join("history.jsonl");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while fs::metadata(&history).map_or(0, |file| file.len()) == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no line is written");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let socket = stage.daemon.as_ref().expect("it runs").socket.clone();
    // More of them than the daemon has threads.
    for _ in 0..8 {
        let client = Client::connect(&socket, Options::default()).await;
        let client = client.expect("join");
        let refused = client.status("nobody").await;
        assert_eq!(Stage::code(refused), FailureCode::NotFound);
        let lines = client.history(None, None).await.expect("history");
        assert_eq!(lines.len(), 0, "it is not durable yet");
        client.ping().await.expect("ping");
    }
    let status = stage.client.status("bob").await.expect("status");
    assert_eq!(status.phase, Phase::Online);
    stage.kill();
}

// ---- real obstacles -------------------------------------------------------------------------------

/// Root can put these in the way; others skip what needs them.
fn without(what: &str, why: &dyn std::fmt::Display) {
    skipped(&format!(
        "{what}: {why}. It needs root, and a file system that can do it"
    ));
}

/// A small disk of its own under the state directory.
struct Disk<'a>(&'a Path);

const DISK: &str = "size=8m,mode=0700";

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> nix::Result<Self> {
        let flags = MsFlags::empty();
        mount(Some("none"), at, Some("tmpfs"), flags, Some(DISK)).map(|()| Self(at))
    }

    fn remount(&self, flags: MsFlags) {
        let flags = MsFlags::MS_REMOUNT | flags;
        mount(None::<&str>, self.0, None::<&str>, flags, Some(DISK)).expect("remount");
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let filler = self.0.join("filler");
        let full = fs::write(&filler, vec![7; 9 << 20]).expect_err("the disk takes all");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).expect("remove the filler");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// The obstacle is in the way of a logout, told, and goes.
async fn until_it_goes(stage: &mut Stage, left: &str, why: &str, go: impl FnOnce()) {
    let refused = stage.client.force_logout("alice").await;
    match refused {
        Err(ClientError::Failure(failure)) => {
            assert_eq!(failure.code, FailureCode::PurgeFailed);
            assert!(failure.message.contains(left), "{}", failure.message);
            assert!(failure.message.contains(why), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
    let status = stage.until("alice", Phase::PurgeFailed).await;
    assert!(status.retry_at.is_some());
    go();
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
}

fn set_immutable(dir: &Path, on: bool) -> rustix::io::Result<()> {
    let dir = fs::File::open(dir).expect("open the directory");
    let mut flags = ioctl_getflags(&dir)?;
    flags.set(IFlags::IMMUTABLE, on);
    ioctl_setflags(&dir, flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_directory_is_told_and_waited_for() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let dir = stage.session_dir("alice");
    if let Err(e) = set_immutable(&dir, true) {
        return without("an immutable directory", &e);
    }
    until_it_goes(&mut stage, "sessions/alice", "not permitted", || {
        set_immutable(&dir, false).expect("let it go");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_mounted_in_a_directory_is_told_and_waited_for() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let inside = stage.session_dir("alice").join("mounted");
    fs::create_dir(&inside).expect("mkdir");
    let disk = match Disk::mount(&inside) {
        Ok(disk) => disk,
        Err(e) => return without("a mount", &e),
    };
    // The mount moves with the directory: the session is gone, its erasing is not finished.
    let refused = stage.client.force_logout("alice").await;
    assert_eq!(Stage::code(refused), FailureCode::PurgeFailed);
    assert!(!stage.session_dir("alice").exists());
    let status = stage.until("alice", Phase::PurgeFailed).await;
    let error = status.error.expect("an error");
    assert!(error.contains("trash") && error.contains("busy"), "{error}");
    let moved = stage.of_user_on_disk("alice").remove(0);
    let at = stage.state().join("trash").join(moved).join("mounted");
    umount2(&at, MntFlags::MNT_DETACH).expect("unmount");
    stage
        .client
        .force_logout("alice")
        .await
        .expect("now it goes");
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_holds_open_is_no_obstacle() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let held = fs::File::open(stage.session_dir("alice").join("vault.db")).expect("open");
    stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    stage.ended("alice").await;
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_read_only_stops_no_start_and_costs_nothing() {
    let mut stage = Stage::set().await;
    stage.stop();
    let root = stage.state();
    let disk = match Disk::mount(&root) {
        Ok(disk) => disk,
        Err(e) => return without("a read-only disk", &e),
    };
    stage.start().await;
    let device = stage.pair("alice", PHONE).await;
    stage.stop();
    disk.remount(MsFlags::MS_RDONLY);
    stage.start().await;
    // What needs the disk is refused, and what is there is kept.
    let status = stage.until("alice", Phase::BackingOff).await;
    assert_eq!(status.reason, Some(Cause::StoreFailed), "{status:?}");
    let refused = stage.client.connect_session("bob", None).await;
    assert_eq!(Stage::code(refused), FailureCode::StoreFailed);
    disk.remount(MsFlags::empty());
    let status = stage.until("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    stage.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_no_credentials_and_stops_no_logout() {
    let mut stage = Stage::set().await;
    stage.stop();
    let root = stage.state();
    let disk = match Disk::mount(&root) {
        Ok(disk) => disk,
        Err(e) => return without("a full disk", &e),
    };
    stage.start().await;
    let alice = stage.pair("alice", PHONE).await;
    let bob = stage.pair("bob", "15550001002").await;

    // Full while they are online, lost and back, over a stop, a start and a kill. A start needs no room, not
    // even for the daemon's pid.
    disk.fill();
    // What cannot be stored is not received.
    stage.sim.drop_connection(&alice).await.expect("drop");
    loop {
        let status = stage.phase("alice", Phase::BackingOff).await;
        if status.reason == Some(Cause::StoreFailed) {
            break;
        }
    }
    stage.stop();
    fs::remove_file(stage.state().join("lock")).expect("remove the pid");
    disk.fill();
    stage.start().await;
    stage.kill();
    stage.start().await;
    for user in ["alice", "bob"] {
        assert!(stage.session_dir(user).join("vault.db").exists());
        stage.client.status(user).await.expect("it is there");
    }

    // A new session is refused with the reason, and leaves nothing.
    let refused = stage.client.connect_session("carol", None).await;
    assert_eq!(Stage::code(refused), FailureCode::StoreFailed);
    assert_eq!(stage.of_user_on_disk("carol"), Vec::<String>::new());

    // A logout needs no room, its unlink neither, and its line is there.
    let report = stage.client.force_logout("alice").await;
    let entry = report.expect("force-logout").entry;
    assert_eq!(entry.unlink, Unlink::Confirmed);
    assert_eq!(stage.of_user_on_disk("alice"), Vec::<String>::new());
    let history = stage.client.history(Some("alice"), None).await;
    assert_eq!(history.expect("history")[0].cause, Cause::ForceLogout);

    // With room again, everything is as it was.
    disk.make_room();
    stage.stop();
    stage.start().await;
    let status = stage.until("bob", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, bob);
    stage.stop();
}

/// The first logout of a state directory needs a key for its line, and makes it in the room that it has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_hides_nothing_of_a_logout() {
    let mut stage = Stage::set().await;
    stage.stop();
    let root = stage.state();
    let disk = match Disk::mount(&root) {
        Ok(disk) => disk,
        Err(e) => return without("a full disk", &e),
    };
    stage.start().await;
    let device = stage.pair("alice", PHONE).await;
    disk.fill();
    let report = stage.client.force_logout("alice").await;
    let account = report.expect("force-logout").entry.account;
    assert_eq!(account.map(|account| account.jid), Some(device.clone()));
    assert_eq!(stage.of_user_on_disk("alice"), Vec::<String>::new());
    stage.stop();
    stage.start().await;
    let history = stage.client.history(Some("alice"), None).await;
    let account = history.expect("history").remove(0).account;
    assert_eq!(account.map(|account| account.jid), Some(device));
    stage.stop();
}
