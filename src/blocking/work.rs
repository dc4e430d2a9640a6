//! The work of one user that cannot be cancelled.
//!
//! A task can be ended by force at any await, and a task can panic. A call to the disk that the task
//! was waiting for goes on: half a second later the call makes a file, takes a lock, renames a directory.
//! The user's next task must not run at the same time as such a call. So the calls are counted here, and
//! the next task waits until all of them have ended.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Room;

/// The work of one user that cannot be cancelled. Clones share it. It outlives the session's task.
#[derive(Debug, Clone)]
pub struct UncancellableWork {
    tracker: TaskTracker,
    disk: Room,
    /// One call to the disk at a time: a file that hangs takes one thread of the room, not all.
    queue: Arc<Queue>,
    pieces: Arc<tokio::sync::Mutex<()>>,
}

impl UncancellableWork {
    /// Begins with no work. Its calls to the disk are made in this room.
    #[must_use]
    pub fn new(disk: Room) -> Self {
        let tracker = TaskTracker::new();
        // A closed tracker can be waited for, and still takes new work.
        tracker.close();
        Self {
            tracker,
            disk,
            queue: Arc::default(),
            pieces: Arc::default(),
        }
    }

    /// Runs some work and waits for it. The work goes on when this future is dropped. A panic of the work
    /// is a panic here.
    pub async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (done, result) = oneshot::channel();
        let task = self.tracker.spawn(async move {
            // A result that nobody takes any more, such as an open database, is dropped inside this task,
            // which is counted.
            let _ = done.send(work.await);
        });
        match (result.await, task.await) {
            (Ok(result), _) => result,
            (Err(_), Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            // Only the end of the runtime cancels the task, and that ends the waiting caller, too.
            (Err(_), _) => std::future::pending().await,
        }
    }

    /// Sees some work of several calls through, when other such work of the user is over: what it found out stays
    /// true until it is done.
    pub async fn in_one_piece<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let pieces = Arc::clone(&self.pieces);
        self.see_through(async move {
            let _piece = pieces.lock().await;
            work.await
        })
        .await
    }

    /// Makes a call to the disk after the user's earlier ones, and waits for it. The call is made even when
    /// this future is dropped. It takes its place among the calls when this future is first polled: a call that
    /// is given up is over before the next one of the same caller begins.
    pub async fn on_disk<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        let (disk, place) = (self.disk.clone(), self.queue.join());
        self.see_through(async move {
            let _turn = place.turn().await;
            disk.run(call).await
        })
        .await
    }

    /// Begins some work without waiting for it. Does nothing where the runtime has ended.
    pub fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tracker.spawn_on(work, &runtime);
        }
    }

    /// Something that counts as work until it is dropped: an open file.
    pub fn hold(&self) -> TaskTrackerToken {
        self.tracker.token()
    }

    /// How many pieces of work are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether all work is over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Waits until all work is over.
    pub async fn gone(&self) {
        self.tracker.wait().await;
    }
}

/// A queue in which a place is taken at once, before anybody waits.
#[derive(Debug, Default)]
struct Queue {
    /// Ends with the turn of the last one in the queue.
    last: Mutex<Option<oneshot::Receiver<()>>>,
}

/// A place in a [`Queue`].
struct InQueue {
    before: Option<oneshot::Receiver<()>>,
    turn: oneshot::Sender<()>,
}

impl Queue {
    fn join(&self) -> InQueue {
        let (turn, ends) = oneshot::channel();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        InQueue {
            before: last.replace(ends),
            turn,
        }
    }
}

impl InQueue {
    /// Waits for the turn, which lasts until what this returns is dropped.
    async fn turn(self) -> oneshot::Sender<()> {
        if let Some(before) = self.before {
            // The turn before ends when its sender is dropped.
            let _ = before.await;
        }
        self.turn
    }
}

#[cfg(test)]
impl Default for UncancellableWork {
    /// Work with a room of its own.
    fn default() -> Self {
        Self::new(Room::new("disk", 2))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_is_seen_through() {
        let work = UncancellableWork::default();
        work.gone().await;
        let (go, wait) = oneshot::channel::<()>();
        let waits = work.see_through(wait);
        assert!(timeout(A_MOMENT, waits).await.is_err());
        assert!(timeout(A_MOMENT, work.gone()).await.is_err());
        go.send(()).expect("it still waits");
        work.gone().await;
        assert_eq!(work.see_through(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn a_panic_is_for_whoever_waits() {
        let work = UncancellableWork::default();
        let theirs = work.clone();
        let waits = tokio::spawn(async move {
            theirs
                .see_through(async { assert_eq!(1, 2, "it fails") })
                .await;
        });
        assert!(waits.await.expect_err("a panic").is_panic());
        work.gone().await;
    }

    #[tokio::test]
    async fn what_is_held_counts_until_it_is_dropped() {
        let work = UncancellableWork::default();
        let file = work.hold();
        assert_eq!(work.len(), 1);
        assert!(timeout(A_MOMENT, work.gone()).await.is_err());
        drop(file);
        work.gone().await;
        assert!(work.is_empty());
    }

    #[tokio::test]
    async fn a_piece_that_is_given_up_is_over_before_the_next() {
        let work = UncancellableWork::default();
        let (go, wait) = oneshot::channel::<()>();
        let own = work.clone();
        let first = work.in_one_piece(async move {
            own.on_disk(|| ()).await;
            let _ = wait.await;
        });
        assert!(timeout(A_MOMENT, first).await.is_err());
        let mut second = Box::pin(work.in_one_piece(async { 7 }));
        assert!(timeout(A_MOMENT, &mut second).await.is_err());
        go.send(()).expect("it still waits");
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_keeps_its_place() {
        let work = UncancellableWork::default();
        let made = Arc::new(Mutex::new(Vec::new()));
        let call = |number: u32| {
            let made = Arc::clone(&made);
            move || made.lock().expect("no panic").push(number)
        };
        for round in 0..50 {
            // Polled once, and dropped before the task of the call has run.
            assert!(work.on_disk(call(2 * round)).now_or_never().is_none());
            work.on_disk(call(2 * round + 1)).await;
        }
        let made = made.lock().expect("no panic").clone();
        assert_eq!(made, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_file_that_hangs_takes_one_thread() {
        let (room, (go, wait)) = (Room::new("disk", 2), std::sync::mpsc::channel::<()>());
        let (hangs, other) = (
            UncancellableWork::new(room.clone()),
            UncancellableWork::new(room),
        );
        let first = hangs.on_disk(move || wait.recv());
        assert!(timeout(A_MOMENT, first).await.is_err());
        for _ in 0..8 {
            assert!(timeout(A_MOMENT, hangs.on_disk(|| ())).await.is_err());
        }
        assert_eq!(other.on_disk(|| 7).await, 7);
        drop(go);
        hangs.gone().await;
    }
}
