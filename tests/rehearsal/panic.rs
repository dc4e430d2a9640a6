//! A panic in one session's task is that session's failure, and nobody else's. The supervisor runs in
//! this process: no client can ask a daemon to fail.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use tokio::time::timeout;
use wasessiond::protocol::{
    Answer, Cause, Command, Event, EventKind, FailureCode, Message, Phase, Status, Unlink,
};
use wasessiond::store::Store;
use wasessiond::supervisor::{Caller, Settings, Supervisor, Watcher};
use wasessiond::whatsapp::{Gateway, GatewaySettings};

use crate::stage::PATIENCE;

const ROOT: Caller = Caller {
    uid: 0,
    sees_all: true,
};

async fn event(watcher: &mut Watcher, fits: impl Fn(&Event) -> bool) -> Event {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(Message::Event(event)) = watcher.next().await
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
    let gateway = Gateway::new(&GatewaySettings {
        endpoint: Some(sim.url()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    })
    .expect("a gateway");
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
        supervisor
            .inject_panic("alice".parse().expect("an id"))
            .await;
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

/// The files of the state directory that this process has open.
fn open_files(dir: &Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("read /proc");
    let files = files
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok());
    files.filter(|file| file.starts_with(dir)).count()
}

/// An opening of a database cannot be broken off. Half of one would be taken for a broken file.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_is_waited_out_by_the_task_after_one_that_was_ended_by_force() {
    let (sim, dir, supervisor) = stage_with(Settings {
        logout_deadline: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    pair(&supervisor, &sim, &mut watcher, "alice", "15550001001").await;
    let alice = || "alice".to_owned();
    let disconnect = Command::Disconnect { user: alice() };
    supervisor
        .execute(ROOT, disconnect)
        .await
        .expect("disconnect");

    // Somebody holds the file, so that it cannot be opened at once.
    let session = dir
        .path()
        .canonicalize()
        .expect("path")
        .join("sessions/alice");
    let url = session.join("auth.db");
    let mut other = SqliteConnection::establish(url.to_str().expect("UTF-8")).expect("open");
    let locked = diesel::sql_query("BEGIN IMMEDIATE").execute(&mut other);
    locked.expect("lock it");
    let before = open_files(&session);
    let connect = Command::Connect {
        user: alice(),
        phone: None,
    };
    supervisor.execute(ROOT, connect).await.expect("connect");
    let opening = timeout(PATIENCE, async {
        while open_files(&session) == before {
            tokio::task::yield_now().await;
        }
    });
    opening.await.expect("it is being opened");

    // The logout waits for it, and its task is ended by force for that.
    let supervisor = Arc::new(supervisor);
    let force = Command::ForceLogout { user: alice() };
    let theirs = Arc::clone(&supervisor);
    let forced = tokio::spawn(async move { theirs.execute(ROOT, force).await });
    let began_again = |e: &Event| is(e, "alice", Phase::BackingOff);
    let early = timeout(Duration::from_millis(500), event(&mut watcher, began_again)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn in_a_session_that_is_gone_ends_it_for_everybody() {
    let (sim, dir, supervisor) = stage().await;
    let (_, mut watcher) = supervisor.watch(ROOT, Vec::new(), None).expect("watch");
    pair(&supervisor, &sim, &mut watcher, "alice", "15550001001").await;
    // As if the task had failed right after its purge.
    std::fs::remove_dir_all(dir.path().join("sessions/alice")).expect("remove");
    supervisor
        .inject_panic("alice".parse().expect("an id"))
        .await;
    let ended = event(&mut watcher, |e| e.kind.ended().is_some()).await;
    assert_eq!(ended.status, None);
    let command = Command::Status {
        user: "alice".to_owned(),
    };
    let gone = supervisor
        .execute(ROOT, command)
        .await
        .expect_err("it is gone");
    assert_eq!(gone.code, FailureCode::NotFound);
    pair(&supervisor, &sim, &mut watcher, "alice", "15550001001").await;
    supervisor.stop(Duration::from_secs(10)).await;
}
