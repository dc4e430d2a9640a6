//! Every task of a link, so that all of them can be ended and awaited.
//!
//! The library's own `disconnect` ends its main loop, but timers of minutes go on behind it (the
//! rotation of QR codes, grace periods), with the database open. So a link gives the library this
//! runtime: each spawn is raced against a token and counted, blocking calls are counted too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};
use whatsapp_rust::wacore::runtime::{AbortHandle, Runtime};

use super::presence::{Announcements, Presence};
use super::signal::{Signal, Signals};
use crate::blocking::{Room, UncancellableWork};
use crate::store::Vault;

tokio::task_local! {
    /// Ends the library's task that runs now.
    static OWN: CancellationToken;
}

/// What ends the library's task that calls this; `None`: it is none of the library's.
pub(super) fn own_task() -> Option<CancellationToken> {
    OWN.try_with(Clone::clone).ok()
}

type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// The tasks of one link.
#[derive(Debug, Clone)]
pub struct Scope {
    token: CancellationToken,
    tracker: TaskTracker,
    span: Span,
    work: UncancellableWork,
    announcements: Announcements,
}

impl Scope {
    /// A scope whose tasks log within `span`. Its calls that cannot be cancelled are counted in `work`.
    #[must_use]
    pub fn new(span: Span, work: UncancellableWork) -> Self {
        let scope = Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            span,
            work,
            announcements: Announcements::default(),
        };
        // The user's work is not over before this scope has ended, however it ends.
        let (token, tracker) = (scope.token.clone(), scope.tracker.clone());
        scope.work.leave(async move {
            token.cancelled().await;
            tracker.close();
            tracker.wait().await;
        });
        scope
    }

    /// The same scope, for a link that says this of itself.
    #[must_use]
    pub fn announces(self, presence: Presence) -> Self {
        self.announcements.set(presence);
        self
    }

    /// The user's work, in which the scope's uncancellable calls are counted.
    #[must_use]
    pub fn work(&self) -> &UncancellableWork {
        &self.work
    }

    /// Closes a vault for good when the scope has ended. Whoever still has it cannot write into it any more.
    pub(super) fn closes(&self, vault: Arc<Vault>) {
        let (token, tracker) = (self.token.clone(), self.tracker.clone());
        self.work.leave(async move {
            token.cancelled().await;
            tracker.close();
            tracker.wait().await;
            vault.close().await;
        });
    }

    /// Runs a task until it is done or the scope ends.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        let task = self.announcements.clone().scope(task);
        let until = self.token.clone().run_until_cancelled_owned(task);
        let logged = async move {
            until.await;
        };
        self.tracker
            .spawn(logged.instrument(self.span.clone()))
            .abort_handle()
    }

    /// Runs a request until it is answered or the scope ends. `None`: the scope ended.
    pub(super) fn ask<T: Send + 'static, Q: Future<Output = T> + Send + 'static>(
        &self,
        question: Q,
    ) -> impl Future<Output = Option<T>> + Send + use<T, Q> {
        let (reply, answer) = oneshot::channel();
        self.run(async move {
            // The caller may have given up.
            let _ = reply.send(question.await);
        });
        async move { answer.await.ok() }
    }

    /// What may leave the link.
    pub(super) fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// Returns a guard that ends every task when it is dropped, unless it is disarmed.
    pub(super) fn cancel_on_drop(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    /// Ends every task at its next await. Blocking calls cannot be ended, only awaited.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Waits until no task and no blocking call is left. Call [`Scope::cancel`] first.
    #[cfg(test)]
    async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How many tasks and blocking calls there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// After this long without the critical part of the account's settings the library breaks the link, to try
/// again. It would do so for ever, over restarts too, and nothing else in the library sleeps as long.
const SETTINGS_WATCHDOG: Duration = Duration::from_mins(3);

/// The scope as the library's runtime.
pub(super) struct ScopedRuntime {
    pub(super) scope: Scope,
    pub(super) signals: Signals,
    /// Where the library's blocking calls are made.
    pub(super) room: Room,
    /// The runtime of the link's tasks.
    pub(super) runtime: Handle,
}

impl ScopedRuntime {
    /// Runs a task that can be ended by [`own_task`].
    fn run(&self, task: Task) -> tokio::task::AbortHandle {
        let own = CancellationToken::new();
        let until = own.clone().run_until_cancelled_owned(task);
        self.scope.run(OWN.scope(own, async move {
            until.await;
        }))
    }
}

impl Runtime for ScopedRuntime {
    fn spawn(&self, task: Task) -> AbortHandle {
        let handle = self.run(task);
        AbortHandle::new(move || handle.abort())
    }

    fn spawn_detached(&self, task: Task) {
        self.run(task);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if duration != SETTINGS_WATCHDOG {
            return Box::pin(tokio::time::sleep(duration));
        }
        // The link works without these settings, so it stays: the watchdog says that they are missing, and
        // never wakes.
        let signals = self.signals.clone();
        Box::pin(async move {
            tokio::time::sleep(duration).await;
            signals.send(Signal::SettingsMissing);
            std::future::pending::<()>().await;
        })
    }

    fn spawn_blocking(
        &self,
        call: Box<dyn FnOnce() + Send + 'static>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let span = self.scope.span.clone();
        let (room, runtime) = (self.room.clone(), self.runtime.clone());
        let made = async move {
            room.run(move || {
                // What the call spawns is the link's, not the room's.
                let _inside = runtime.enter();
                span.in_scope(call);
            })
            .await;
        };
        let handle = self.scope.tracker.spawn_on(made, &self.runtime);
        Box::pin(async move {
            // A panic of the call has been reported by the panic hook; its caller sees no result.
            let _ = handle.await;
        })
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kind, Place, Record, Space as _, Store};
    use tokio::sync::mpsc;

    fn runtime(scope: &Scope) -> (ScopedRuntime, mpsc::Receiver<Signal>) {
        let (signals, received) = Signals::channel();
        let runtime = ScopedRuntime {
            scope: scope.clone(),
            signals,
            room: Room::of_the_caller("library"),
            runtime: Handle::current(),
        };
        (runtime, received)
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_of_the_settings_says_so_and_never_wakes() {
        let scope = Scope::new(Span::none(), UncancellableWork::default());
        let (runtime, mut signals) = runtime(&scope);
        runtime.sleep(Duration::from_secs(179)).await;
        runtime.sleep(Duration::from_secs(181)).await;
        assert!(signals.try_recv().is_err());
        let watchdog = runtime.sleep(SETTINGS_WATCHDOG);
        let woke = tokio::time::timeout(SETTINGS_WATCHDOG * 10, watchdog).await;
        assert!(woke.is_err(), "it would break the link");
        assert!(matches!(signals.try_recv(), Ok(Signal::SettingsMissing)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_scope_leaves_no_task() {
        let scope = Scope::new(Span::none(), UncancellableWork::default());
        let (runtime, _signals) = runtime(&scope);
        runtime.spawn_detached(Box::pin(std::future::pending()));
        runtime.spawn(Box::pin(std::future::pending())).detach();
        runtime.spawn_detached(Box::pin(tokio::time::sleep(Duration::from_secs(160))));
        assert_eq!(scope.len(), 3);
        scope.cancel();
        scope.ended().await;
        assert!(scope.is_empty());
        // A straggler that is spawned later ends at once.
        runtime.spawn_detached(Box::pin(std::future::pending()));
        scope.ended().await;
    }

    #[tokio::test]
    async fn a_vault_is_closed_last_whoever_still_has_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("a store");
        let (alice, work) = ("alice".parse().expect("an id"), store.work());
        store.create(&alice, &Record::new(0)).expect("a session");
        let vault = store.credentials(&alice).create(&work).await;
        let vault = Arc::new(vault.expect("a vault"));
        let scope = Scope::new(Span::none(), work.clone());
        scope.closes(Arc::clone(&vault));
        let (go, wait) = oneshot::channel::<()>();
        let call = scope.tracker.spawn(wait);
        scope.cancel();
        let place = Place::new(Kind(1), "", "");
        vault.get(&place).await.expect("the scope has not ended");
        go.send(()).expect("it waits");
        call.await.expect("no panic").expect("told");
        work.gone().await;
        let closed = vault.get(&place).await.expect_err("closed for good");
        assert!(closed.to_string().contains("closed"), "{closed}");
    }

    #[tokio::test]
    async fn a_task_of_the_library_can_be_ended_alone() {
        let scope = Scope::new(Span::none(), UncancellableWork::default());
        let (runtime, _signals) = runtime(&scope);
        assert!(own_task().is_none(), "this is none of the library's");
        runtime.spawn_detached(Box::pin(std::future::pending()));
        let (tell, told) = oneshot::channel();
        runtime.spawn_detached(Box::pin(async move {
            let _ = tell.send(own_task());
            std::future::pending::<()>().await;
        }));
        let own = told.await.expect("told").expect("a token");
        assert_eq!(scope.len(), 2);
        own.cancel();
        while scope.len() > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn blocking_calls_are_awaited() {
        let scope = Scope::new(Span::none(), UncancellableWork::default());
        let (runtime, _signals) = runtime(&scope);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let call = runtime.spawn_blocking(Box::new(move || {
            let _ = wait.recv();
        }));
        drop(call);
        scope.cancel();
        let ended = tokio::time::timeout(Duration::from_millis(20), scope.ended()).await;
        assert!(ended.is_err(), "it did not wait for the blocking call");
        drop(go);
        scope.ended().await;
    }
}
