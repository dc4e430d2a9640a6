//! A panic in one session's task is that session's failure, and nobody else's. The supervisor runs in
//! this process, and each test has users of its own: it tells those to fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use tokio::time::timeout;
use wasessiond::blocking::Rooms;
use wasessiond::protocol::{
    Answer, Cause, Command, Event, EventKind, FailureCode, HistoryEntry, Message, Phase, ProxyEdit,
    Redacted, Status, TargetEdit, Unlink,
};
use wasessiond::store::Store;
use wasessiond::supervisor::{Caller, Clock, Settings, Supervisor, Watcher};
use wasessiond::whatsapp::{Gateway, GatewaySettings};
use wasim::Failure;

use crate::skipped::skipped;
use crate::stage::PATIENCE;

const ROOT: Caller = Caller {
    uid: 0,
    sees_all: true,
};

/// The task of this user's session panics at its next command.
fn fail_at_next_command(user: &str) {
    let point = format!("session_command:{user}");
    fail::cfg(point, "1*panic(this session was asked to fail)").expect("a failpoint");
}

/// Lets the task of this user's session panic.
async fn fail_now(supervisor: &Supervisor, user: &str) {
    fail_at_next_command(user);
    let command = Command::Targets {
        user: user.to_owned(),
        edit: TargetEdit::Show,
    };
    let failed = supervisor.execute(ROOT, command).await;
    assert_eq!(failed.expect_err("it failed").code, FailureCode::Internal);
}

async fn force_logout(supervisor: &Supervisor, user: &str) -> HistoryEntry {
    let command = Command::ForceLogout {
        user: user.to_owned(),
    };
    match supervisor.execute(ROOT, command).await {
        Ok(Answer::LoggedOut(report)) => report.entry,
        other => panic!("{other:?}"),
    }
}

async fn history(supervisor: &Supervisor, user: &str) -> Vec<HistoryEntry> {
    let command = Command::History {
        user: Some(user.to_owned()),
        limit: None,
        before: None,
    };
    match supervisor.execute(ROOT, command).await {
        Ok(Answer::History(page)) => page.entries,
        other => panic!("{other:?}"),
    }
}

async fn event(watcher: &mut Watcher, fits: impl Fn(&Event) -> bool) -> Event {
    let found = timeout(PATIENCE, async {
        loop {
            if let Message::Event(event) = watcher.next().await
                && fits(&event)
            {
                return *event;
            }
        }
    });
    found.await.expect("it happens in time")
}

async fn pair(
    supervisor: &Supervisor,
    sim: &wasim::Server,
    watcher: &mut Watcher,
    user: &str,
    phone: &str,
) {
    let connect = Command::Connect {
        user: user.to_owned(),
        phone: None,
        expect: None,
        proxy: None,
    };
    supervisor.execute(ROOT, connect).await.expect("connect");
    let shown = event(watcher, |e| {
        matches!(e.kind, EventKind::Qr) && e.user.as_str() == user
    })
    .await;
    let qr = shown
        .status
        .and_then(|s| s.qr)
        .and_then(|qr| qr.code)
        .expect("a code");
    sim.scan(qr.reveal(), phone).await.expect("scan");
    event(watcher, |e| is(e, user, Phase::Online)).await;
}

fn is(event: &Event, user: &str, phase: Phase) -> bool {
    event.user.as_str() == user && event.status.as_ref().is_some_and(|s| s.phase == phase)
}

async fn status(supervisor: &Supervisor, user: &str) -> Status {
    let command = Command::Status {
        user: user.to_owned(),
    };
    match supervisor.execute(ROOT, command).await.expect("status") {
        Answer::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

async fn stage() -> (wasim::Server, tempfile::TempDir, Supervisor) {
    stage_with(Settings::default()).await
}

async fn stage_with(settings: Settings) -> (wasim::Server, tempfile::TempDir, Supervisor) {
    let sim = wasim::Server::start(wasim::Options::default())
        .await
        .expect("simulator");
    let dir = tempfile::tempdir().expect("a directory");
    let to_simulator = GatewaySettings {
        endpoint: Some(sim.url()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::new(&to_simulator, &Rooms::new()).expect("a gateway");
    let store = Store::open(dir.path()).expect("a store");
    let supervisor = Supervisor::start(store, gateway, settings)
        .await
        .expect("start");
    (sim, dir, supervisor)
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_in_its_session() {
    let (sim, _dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    pair(&supervisor, &sim, &mut watcher, "alice", "15550001001").await;
    pair(&supervisor, &sim, &mut watcher, "bob", "15550001002").await;
    let bob = status(&supervisor, "bob").await;
    let device = status(&supervisor, "alice")
        .await
        .account
        .expect("an account")
        .jid;

    for _ in 0..2 {
        fail_now(&supervisor, "alice").await;
        let failed = event(&mut watcher, |e| is(e, "alice", Phase::BackingOff)).await;
        let failed = failed.status.expect("a status");
        assert_eq!(failed.reason, Some(Cause::TaskFailed));
        assert!(failed.error.is_some_and(|e| e.contains("asked to fail")));
        // It comes back by itself, as the same device, without a QR code.
        event(&mut watcher, |e| {
            assert!(!matches!(e.kind, EventKind::Qr));
            is(e, "alice", Phase::Online)
        })
        .await;
        let account = status(&supervisor, "alice")
            .await
            .account
            .expect("an account");
        assert_eq!(account.jid, device);
    }
    assert_eq!(
        status(&supervisor, "bob").await.since,
        bob.since,
        "bob missed a beat"
    );
    supervisor.stop(Duration::from_secs(10)).await;
}

/// How often this process has this file open.
fn opened(path: &Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("read /proc");
    let files = files
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok());
    files.filter(|file| file == path).count()
}

/// The session of a user that is being opened, which somebody who holds its file keeps from coming to an
/// end; and its directory.
async fn opening_that_hangs(
    supervisor: &Supervisor,
    dir: &Path,
    user: &str,
) -> (SqliteConnection, PathBuf) {
    let disconnect = Command::Disconnect {
        user: user.to_owned(),
    };
    let disconnected = supervisor.execute(ROOT, disconnect).await;
    disconnected.expect("disconnect");
    let session = dir.canonicalize().expect("path").join("sessions");
    let session = session.join(user);
    let url = session.join("vault.db");
    let mut other = SqliteConnection::establish(url.to_str().expect("UTF-8")).expect("open");
    let locked = diesel::sql_query("BEGIN IMMEDIATE").execute(&mut other);
    locked.expect("lock it");
    let before = opened(&url);
    let connect = Command::Connect {
        user: user.to_owned(),
        phone: None,
        expect: None,
        proxy: None,
    };
    supervisor.execute(ROOT, connect).await.expect("connect");
    let opening = timeout(PATIENCE, async {
        while opened(&url) == before {
            tokio::task::yield_now().await;
        }
    });
    opening.await.expect("it is being opened");
    (other, session)
}

/// An opening of a database cannot be broken off. A task that waits for it answers all the same, by its
/// deadline, and the logout goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_hangs_keeps_no_logout_from_its_answer() {
    let (sim, dir, supervisor) = stage_with(Settings {
        logout_deadline: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    pair(&supervisor, &sim, &mut watcher, "erin", "15550001005").await;
    let (other, session) = opening_that_hangs(&supervisor, dir.path(), "erin").await;
    let force = Command::ForceLogout {
        user: "erin".to_owned(),
    };
    let failure = supervisor.execute(ROOT, force).await.expect_err("not yet");
    assert_eq!(failure.code, FailureCode::PurgeFailed, "{failure}");
    assert!(session.exists());
    drop(other);
    event(&mut watcher, |e| e.kind.ended().is_some()).await;
    assert!(!session.exists());
    supervisor.stop(Duration::from_secs(10)).await;
}

/// Half of an opening would be taken for a broken file, or meet the next one.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_is_waited_out_by_the_task_after_one_that_failed() {
    let (sim, dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    pair(&supervisor, &sim, &mut watcher, "carol", "15550001003").await;
    let (other, session) = opening_that_hangs(&supervisor, dir.path(), "carol").await;

    // The task fails with the command in its hands; the next one has to wait.
    fail_at_next_command("carol");
    let supervisor = Arc::new(supervisor);
    let force = Command::ForceLogout {
        user: "carol".to_owned(),
    };
    let theirs = Arc::clone(&supervisor);
    let forced = tokio::spawn(async move { theirs.execute(ROOT, force).await });
    let began_again = |e: &Event| is(e, "carol", Phase::BackingOff);
    let early = timeout(Duration::from_secs(2), event(&mut watcher, began_again)).await;
    assert!(early.is_err(), "the next task did not wait: {early:?}");
    drop(other);
    event(&mut watcher, began_again).await;
    match forced.await.expect("no panic").expect("force-logout") {
        Answer::LoggedOut(report) => assert_eq!(report.entry.unlink, Unlink::Confirmed),
        other => panic!("{other:?}"),
    }
    event(&mut watcher, |e| {
        assert!(!matches!(e.kind, EventKind::StoreCorrupt | EventKind::Qr));
        e.kind.ended().is_some()
    })
    .await;
    assert!(!session.exists());
    supervisor.stop(Duration::from_secs(10)).await;
}

/// Somebody removes the session's directory, and then its task fails. That is no end that the user had
/// before, and it is told as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_session_whose_directory_vanished_ends_it_with_a_line_of_its_own() {
    let (sim, dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    let (user, phone) = ("dora", "15550001004");
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    let before = force_logout(&supervisor, user).await;
    assert_eq!(before.cause, Cause::ForceLogout);
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    let account = status(&supervisor, user).await.account;
    std::fs::remove_dir_all(dir.path().join("sessions").join(user)).expect("remove");

    // Its task fails with the command in its hands, and the next one finds nothing.
    fail_at_next_command(user);
    let vanished = force_logout(&supervisor, user).await;
    assert_eq!(
        (vanished.cause, vanished.unlink, vanished.requested_by),
        (Cause::TaskFailed, Unlink::Unreachable, None)
    );
    assert_eq!((&vanished.account, vanished.owner), (&account, ROOT.uid));
    let ended = event(&mut watcher, |e| {
        e.kind.ended().is_some_and(|entry| *entry != before)
    });
    let ended = ended.await;
    assert!(matches!(ended.kind, EventKind::LoggedOut(_)), "{ended:?}");
    assert_eq!((ended.kind.ended(), ended.status), (Some(&vanished), None));

    let told = history(&supervisor, user).await;
    assert_eq!(told, [vanished.clone(), before]);
    let command = Command::Status {
        user: user.to_owned(),
    };
    let gone = supervisor.execute(ROOT, command).await;
    let gone = gone.expect_err("it is gone");
    assert_eq!(gone.code, FailureCode::NotFound);
    assert_eq!(gone.last_logout.as_deref(), Some(&vanished));
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    supervisor.stop(Duration::from_secs(10)).await;
}

/// WhatsApp sends the token to appeal with once: it is in the line of a locked session that vanished.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_locked_session_whose_directory_vanished_loses_no_token() {
    const TOKEN: &str = "appeal-once-4711";
    let (sim, dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    let (user, phone) = ("fay", "15550001006");
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    let locked = sim.fail_next_login(phone, Failure::account_locked(TOKEN));
    locked.await.expect("fail");
    sim.drop_connection(phone).await.expect("drop");
    event(&mut watcher, |e| is(e, user, Phase::Held)).await;
    // A change is answered when what was to be written before is written.
    let change = Command::Proxy {
        user: user.to_owned(),
        edit: ProxyEdit::Clear,
    };
    supervisor.execute(ROOT, change).await.expect("written");
    std::fs::remove_dir_all(dir.path().join("sessions").join(user)).expect("remove");
    fail_at_next_command(user);
    let vanished = force_logout(&supervisor, user).await;
    assert_eq!(vanished.cause, Cause::TaskFailed);
    let token = vanished.appeal_token.as_ref().map(Redacted::reveal);
    assert_eq!(token, Some(TOKEN));
    assert_eq!(history(&supervisor, user).await, [vanished]);
    supervisor.stop(Duration::from_secs(10)).await;
}

/// The same without a failure: the task goes on, and ends what is left.
#[tokio::test(flavor = "multi_thread")]
async fn is_not_needed_to_end_a_session_whose_directory_vanished() {
    let (sim, dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    let (user, phone) = ("erin", "15550001005");
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    let before = force_logout(&supervisor, user).await;
    pair(&supervisor, &sim, &mut watcher, user, phone).await;
    std::fs::remove_dir_all(dir.path().join("sessions").join(user)).expect("remove");
    let ended = force_logout(&supervisor, user).await;
    assert_ne!(ended, before);
    assert_eq!(
        (ended.cause, ended.unlink),
        (Cause::ForceLogout, Unlink::Confirmed)
    );
    assert_eq!(history(&supervisor, user).await, [ended, before]);
    supervisor.stop(Duration::from_secs(10)).await;
}

/// The supervisor's own loop is nobody's session: when it ends, the daemon must.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_loop_itself_is_told_and_holds_up_no_stop() {
    let dir = tempfile::tempdir().expect("a directory");
    let to_nobody = GatewaySettings {
        endpoint: Some("ws://127.0.0.1:9/ws/chat".to_owned()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let (settings, rooms) = (Settings::default(), Rooms::new());
    let gateway = Gateway::new(&to_nobody, &rooms).expect("a gateway");
    let store = Store::open(dir.path()).expect("a store");
    let begun = Supervisor::begin(store, gateway, settings, Clock::system(), &rooms).await;
    let mut begun = begun.expect("begin");
    let quiet = timeout(Duration::from_millis(50), begun.loop_end.fault()).await;
    assert!(quiet.is_err(), "{quiet:?}");

    // Only its own process has a loop that fails here: all tests of one process have the same name for it.
    if std::env::var_os("NEXTEST").is_none() {
        skipped("a loop that fails would be that of other tests of this process, too");
        return;
    }
    fail::cfg("supervisor", "1*panic").expect("a failpoint");
    assert!(!begun.supervisor.beats(PATIENCE).await);
    let fault = timeout(PATIENCE, begun.loop_end.fault()).await;
    assert!(fault.expect("in time").contains("panicked"));
    let connect = Command::Connect {
        user: "alice".to_owned(),
        phone: None,
        expect: None,
        proxy: None,
    };
    let refused = begun.supervisor.execute(ROOT, connect).await;
    assert_eq!(refused.expect_err("no loop").code, FailureCode::Stopping);
    let stop = begun.supervisor.stop(PATIENCE);
    timeout(PATIENCE, stop).await.expect("it stops in time");
}
