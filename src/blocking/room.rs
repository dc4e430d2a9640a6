//! Threads for one kind of blocking call.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

use super::pool;
use super::turns::Turns;

/// Threads for one kind of blocking call. Clones share the threads.
///
/// At most as many calls are under way as the room has threads; the others wait, in order. In a room with
/// [spares](Room::with_spares) a call that hangs does not count, up to a limit. A room is a tokio runtime of
/// which only the pool for blocking calls is used.
#[derive(Clone)]
pub struct Room {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    /// The threads that calls take in turn; `None`: the runtime's own limit is the only one.
    turns: Option<Turns>,
    /// `None` where the runtime could not be made: then the calls run on the caller's own runtime.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").field(&self.inner.name).finish()
    }
}

impl Drop for Inner {
    /// A call that hangs must not hold up whoever drops the room.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A call that is under way, or waits for a thread. When this is dropped, a call that has not begun is
/// not made; a call that has begun goes on, and its result is dropped.
struct Call<T>(JoinHandle<T>);

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Room {
    /// A room with so many threads. Threads that have nothing to do end after a while; of a room that is made
    /// within a runtime, one always stays.
    #[must_use]
    pub fn new(name: &'static str, threads: usize) -> Self {
        Self::with_turns(name, threads, None)
    }

    /// A room with so many threads, and with so many spare ones: while calls wait, a spare thread takes the
    /// place of each one whose call has been under way for a second. So it takes `threads + spares` calls that
    /// hang to hold up the others.
    #[must_use]
    pub fn with_spares(name: &'static str, threads: usize, spares: usize) -> Self {
        let turns = Turns::new(threads, spares);
        Self::with_turns(name, threads + spares, Some(turns))
    }

    fn with_turns(name: &'static str, threads: usize, turns: Option<Turns>) -> Self {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads)
            .thread_name(name)
            .thread_keep_alive(pool::KEEP)
            .build();
        if let Ok(runtime) = &runtime {
            runtime.spawn_blocking(|| ());
        }
        if let Err(error) = &runtime {
            tracing::warn!(
                "the room for {name} cannot be made, so its calls share threads with others: {error}"
            );
        }
        let inner = Arc::new(Inner {
            name,
            turns,
            runtime: runtime.ok(),
        });
        if let Ok(daemon) = Handle::try_current() {
            let room = Arc::downgrade(&inner);
            daemon.spawn(pool::keep_a_thread(move || {
                let room = room.upgrade()?;
                room.runtime.as_ref().map(|own| own.handle().clone())
            }));
        }
        Self { inner }
    }

    /// For tests with a paused clock: a room whose calls run on the caller's runtime. A paused clock waits
    /// only for the calls of its own runtime.
    #[cfg(test)]
    pub(crate) fn of_the_caller(name: &'static str) -> Self {
        let inner = Inner {
            name,
            turns: None,
            runtime: None,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn handle(&self) -> Handle {
        let own = self.inner.runtime.as_ref();
        own.map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Makes a blocking call, and waits for it. A panic of the call is a panic here.
    pub async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = match &self.inner.turns {
            Some(turns) => Some(turns.take().await),
            None => None,
        };
        let mut call = Call(self.handle().spawn_blocking(move || {
            let _turn = turn;
            call()
        }));
        match (&mut call.0).await {
            Ok(result) => result,
            Err(error) => broken_off(error).await,
        }
    }

    /// Runs a future, and makes its blocking calls in this room: those that the future, or a library in it,
    /// makes with tokio's `spawn_blocking`.
    pub async fn lend<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let handle = self.handle();
            let _inside = handle.enter();
            work.as_mut().poll(context)
        })
        .await
    }
}

/// Handles a call without a result: the call panicked, or the room was closed at the end of the process.
async fn broken_off<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(20);

    /// A call that has begun, and hangs until the sender is dropped.
    async fn hang(room: &Room) -> (mpsc::Sender<()>, JoinHandle<()>) {
        let (go, wait) = mpsc::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let room = room.clone();
        let hangs = tokio::spawn(async move {
            let call = move || {
                let _ = begins.send(());
                let _ = wait.recv();
            };
            room.run(call).await;
        });
        begun.await.expect("it begins");
        (go, hangs)
    }

    #[tokio::test]
    async fn a_room_that_hangs_holds_up_no_other() {
        let (full, other) = (Room::new("full", 2), Room::new("other", 1));
        let hanging = [hang(&full).await, hang(&full).await];
        assert!(timeout(A_MOMENT, full.run(|| 1)).await.is_err());
        assert_eq!(other.run(|| 2).await, 2);
        for (go, call) in hanging {
            drop(go);
            call.await.expect("it goes on");
        }
        assert_eq!(full.run(|| 3).await, 3);
    }

    #[tokio::test]
    async fn calls_that_hang_give_their_threads_to_spares_up_to_the_limit() {
        let room = Room::with_spares("spares", 2, 2);
        let mut hanging = vec![hang(&room).await, hang(&room).await];
        // Nothing hangs for long enough yet, and then it does.
        assert!(timeout(A_MOMENT, room.run(|| 1)).await.is_err());
        assert_eq!(room.run(|| 2).await, 2);
        hanging.push(hang(&room).await);
        assert_eq!(room.run(|| 3).await, 3);
        hanging.push(hang(&room).await);
        let long = Duration::from_millis(2500);
        assert!(timeout(long, room.run(|| 4)).await.is_err(), "the limit");
        // Threads that come back are the room's again, and no more than it had.
        for (go, call) in hanging.drain(..) {
            drop(go);
            call.await.expect("it goes on");
        }
        let _again = [hang(&room).await, hang(&room).await];
        assert!(timeout(A_MOMENT, room.run(|| 5)).await.is_err());
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_is_not_begun() {
        let room = Room::new("one", 1);
        let (go, first) = hang(&room).await;
        let (tell, told) = mpsc::channel();
        let waiting = room.run(move || tell.send(()));
        assert!(timeout(A_MOMENT, waiting).await.is_err());
        drop(go);
        first.await.expect("it ends");
        room.run(|| ()).await;
        assert!(told.try_recv().is_err(), "it was made all the same");
    }

    #[tokio::test]
    async fn calls_of_a_library_are_made_in_the_room() {
        let room = Room::new("lent", 1);
        let name = || std::thread::current().name().map(str::to_owned);
        let made = room.lend(async { tokio::task::spawn_blocking(name).await });
        assert_eq!(made.await.expect("it ends").as_deref(), Some("lent"));
    }

    #[tokio::test]
    #[should_panic(expected = "it fails")]
    async fn a_panic_is_for_whoever_waits() {
        Room::new("panic", 1)
            .run(|| assert_eq!(1, 2, "it fails"))
            .await;
    }
}
