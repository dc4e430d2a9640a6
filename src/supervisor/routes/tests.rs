//! Commands to tasks that do not do what they should. The tasks are played by the tests.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{SetOnce, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, pause};

use super::{COMMANDS, Route, TaskEnd};
use crate::protocol::fixtures::bare_entry;
use crate::protocol::{Cause, FailureCode, HistoryEntry, UserId};
use crate::session::{SessionCommand, Settings, report};
use crate::store::Store;
use crate::supervisor::{Caller, Supervisor};
use crate::whatsapp::{Gateway, GatewaySettings};

const SOMEBODY: Caller = Caller {
    uid: 4711,
    sees_all: false,
};
const ROOT: Caller = Caller {
    uid: 0,
    sees_all: true,
};

/// A supervisor without a session. Where one connects, the port is closed.
async fn supervisor() -> (TempDir, Supervisor) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    let settings = GatewaySettings {
        endpoint: cfg!(feature = "simulator").then(|| "ws://127.0.0.1:9/ws/chat".to_owned()),
        version: cfg!(feature = "simulator").then_some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::new(&settings).expect("a gateway");
    let supervisor = Supervisor::start(store, gateway, Settings::default()).await;
    (directory, supervisor.expect("a supervisor"))
}

/// A task that does nothing, and what it is asked.
fn task(owner: u32) -> (Arc<Route>, mpsc::Receiver<SessionCommand>, JoinHandle<()>) {
    let (commands, asked) = mpsc::channel(COMMANDS);
    let task = tokio::spawn(std::future::pending());
    let route = Route {
        owner,
        commands,
        task: task.abort_handle(),
        end: SetOnce::new(),
    };
    (Arc::new(route), asked, task)
}

fn alice() -> UserId {
    "alice".parse().expect("a user id")
}

fn end() -> HistoryEntry {
    HistoryEntry {
        owner: SOMEBODY.uid,
        ..bare_entry("alice", Cause::Unlinked)
    }
}

fn groups() -> SessionCommand {
    SessionCommand::Groups {
        deadline: crate::deadline::Deadline::within(Duration::ZERO),
        reply: oneshot::channel().0,
    }
}

/// Answers the next force-logout among what is asked.
async fn log_out(asked: &mut mpsc::Receiver<SessionCommand>) {
    while let Some(command) = asked.recv().await {
        if let SessionCommand::ForceLogout { reply, .. } = command {
            reply.send(Ok(report(end()))).expect("it is waited for");
            return;
        }
    }
    panic!("nobody asks for it any more");
}

#[tokio::test]
async fn a_force_logout_is_not_refused_because_much_else_waits() {
    let (_directory, supervisor) = supervisor().await;
    let (route, mut asked, _task) = task(SOMEBODY.uid);
    supervisor.shared.routes.insert(alice(), Arc::clone(&route));
    for _ in 0..COMMANDS {
        route.commands.try_send(groups()).expect("there is room");
    }
    let refused = supervisor.groups(SOMEBODY, &alice()).await;
    assert_eq!(refused.expect_err("full").code, FailureCode::QuotaExceeded);
    let forced = supervisor.force_logout(SOMEBODY, alice());
    let (forced, ()) = tokio::join!(forced, log_out(&mut asked));
    assert_eq!(forced.expect("it is done").entry, end());
}

#[tokio::test]
async fn a_task_that_does_not_answer_is_ended_by_force_and_the_next_one_is_asked() {
    let (_directory, supervisor) = supervisor().await;
    let (silent, _asked, task_of_it) = task(SOMEBODY.uid);
    supervisor
        .shared
        .routes
        .insert(alice(), Arc::clone(&silent));
    let (next, mut asked, _task) = task(SOMEBODY.uid);
    pause();
    let begin = Instant::now();
    let forced = supervisor.force_logout(SOMEBODY, alice());
    let reaped = async {
        let ended = task_of_it.await.expect_err("it would run for ever");
        assert!(ended.is_cancelled());
        let took = begin.elapsed();
        assert!(silent.end.set(TaskEnd::Failed(next)).is_ok());
        log_out(&mut asked).await;
        took
    };
    let (forced, took) = tokio::join!(forced, reaped);
    assert_eq!(forced.expect("it is done").entry, end());
    // A second after its deadline.
    let (least, most) = (Duration::from_secs(11), Duration::from_millis(11_100));
    assert!((least..most).contains(&took), "{took:?}");
}

#[tokio::test]
async fn that_the_session_ended_meanwhile_is_an_answer_to_a_force_logout_and_to_nothing_else() {
    let (_directory, supervisor) = supervisor().await;
    let user = alice();
    let (route, asked, _task) = task(SOMEBODY.uid);
    supervisor.shared.routes.insert(alice(), Arc::clone(&route));
    let ends = async {
        // It takes no more, and all three wait for what becomes of it.
        drop(asked);
        tokio::task::yield_now().await;
        supervisor.shared.routes.remove(&alice());
        let gone = TaskEnd::Gone(Some(Arc::new(end())));
        assert!(route.end.set(gone).is_ok());
    };
    let (forced, groups, connected, ()) = tokio::join!(
        supervisor.force_logout(SOMEBODY, alice()),
        supervisor.groups(SOMEBODY, &user),
        supervisor.connect(ROOT, alice(), None),
        ends,
    );
    assert_eq!(forced.expect("it is gone").entry, end());
    assert_eq!(
        groups.expect_err("none of theirs").code,
        FailureCode::NotFound
    );
    // A connect begins anew, and the session is whose connect it was.
    assert_eq!(connected.expect("a session").owner, ROOT.uid);
    supervisor.stop(Duration::from_secs(10)).await;
}
