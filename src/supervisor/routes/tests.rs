//! Commands to tasks that do not do what they should. The tasks are played by the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{SetOnce, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{AfterTask, COMMANDS, Handed, Order, Route, Routes};
use crate::deadline::Deadline;
use crate::protocol::fixtures::{bare_entry, bare_status};
use crate::protocol::{Cause, FailureCode, HistoryEntry, Phase, UserId};
use crate::session::{PairOptions, SessionCommand, Settings, report};
use crate::store::Store;
use crate::supervisor::Caller;

const SOMEBODY: Caller = Caller {
    uid: 4711,
    sees_all: false,
};
const ROOT: Caller = Caller {
    uid: 0,
    sees_all: true,
};

/// Routes to nobody, and the orders that the registry would get.
fn routes() -> (TempDir, Routes, mpsc::Receiver<Order>) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    let history = Arc::new(store.history(10).expect("a history"));
    let (orders, asked) = mpsc::channel(8);
    let settings = watch::channel(Settings::default()).1;
    let routes = Routes::new(orders, history, settings, CancellationToken::new());
    (directory, routes, asked)
}

/// A task that does nothing, and what it is asked.
fn task(owner: u32) -> (Arc<Route>, mpsc::Receiver<SessionCommand>, JoinHandle<()>) {
    let (commands, asked) = mpsc::channel(COMMANDS);
    let task = tokio::spawn(std::future::pending());
    let route = Route {
        owner: Arc::new(AtomicU32::new(owner)),
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
        deadline: Deadline::within(Duration::ZERO),
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

#[tokio::test(start_paused = true)]
async fn a_force_logout_is_not_refused_because_much_else_waits() {
    let (_directory, routes, _orders) = routes();
    let (route, mut asked, _task) = task(SOMEBODY.uid);
    routes.insert(alice(), Arc::clone(&route));
    for _ in 0..COMMANDS {
        route.commands.try_send(groups()).expect("there is room");
    }
    let refused = routes.groups(SOMEBODY, &alice()).await;
    assert_eq!(refused.expect_err("full").code, FailureCode::QuotaExceeded);
    let forced = routes.force_logout(SOMEBODY, alice());
    let (forced, ()) = tokio::join!(forced, log_out(&mut asked));
    assert_eq!(forced.expect("it is done").entry, end());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_answer_is_ended_by_force_and_the_next_one_is_asked() {
    let (_directory, routes, _orders) = routes();
    let (silent, _asked, task_of_it) = task(SOMEBODY.uid);
    routes.insert(alice(), Arc::clone(&silent));
    let (next, mut asked, _task) = task(SOMEBODY.uid);
    let begin = Instant::now();
    let forced = routes.force_logout(SOMEBODY, alice());
    let reaped = async {
        let ended = task_of_it.await.expect_err("it would run for ever");
        assert!(ended.is_cancelled());
        let took = begin.elapsed();
        assert!(silent.end.set(AfterTask::Failed(next)).is_ok());
        log_out(&mut asked).await;
        took
    };
    let (forced, took) = tokio::join!(forced, reaped);
    assert_eq!(forced.expect("it is done").entry, end());
    // A second after its deadline.
    let (least, most) = (Duration::from_secs(11), Duration::from_millis(11_100));
    assert!((least..most).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn that_the_session_ended_meanwhile_is_an_answer_to_a_force_logout_and_to_nothing_else() {
    let (_directory, routes, mut orders) = routes();
    let user = alice();
    let (route, asked, _task) = task(SOMEBODY.uid);
    routes.insert(alice(), Arc::clone(&route));
    let ends = async {
        // It takes no more, and all three wait for what becomes of it.
        drop(asked);
        tokio::task::yield_now().await;
        routes.remove(&user);
        let gone = AfterTask::Gone(Some(Arc::new(end())));
        assert!(route.end.set(gone).is_ok());
    };
    // The registry begins a session for whoever asks.
    let begins = async {
        let Some(Order::Begin(begin)) = orders.recv().await else {
            panic!("nobody asks for a session");
        };
        assert_eq!((begin.caller, &begin.user), (ROOT, &user));
        let (route, _asked, _task) = task(ROOT.uid);
        let SessionCommand::Connect { reply, .. } = begin.command else {
            panic!("it begins with {:?}", begin.command);
        };
        assert!(begin.reply.send(Handed::Taken(route)).is_ok());
        let status = bare_status("alice", Phase::Connecting);
        reply.send(Ok(status)).expect("it is waited for");
    };
    let (forced, groups, connected, (), ()) = tokio::join!(
        routes.force_logout(SOMEBODY, alice()),
        routes.groups(SOMEBODY, &user),
        routes.connect(ROOT, &user, PairOptions::default()),
        ends,
        begins,
    );
    assert_eq!(forced.expect("it is gone").entry, end());
    assert_eq!(groups.expect_err("none").code, FailureCode::NotFound);
    assert!(connected.expect("a session").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_record_could_not_be_read_becomes_its_owners_again() {
    let (_directory, routes, _orders) = routes();
    let (route, _asked, _task) = task(0);
    routes.insert(alice(), Arc::clone(&route));
    let handed = routes.give(SOMEBODY, &alice(), groups());
    assert!(matches!(handed, Handed::Nobody(_)));
    route.owner.store(SOMEBODY.uid, Ordering::Relaxed);
    let handed = routes.give(SOMEBODY, &alice(), groups());
    assert!(matches!(handed, Handed::Taken(_)));
}
