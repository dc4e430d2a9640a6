//! What cannot be broken off, and who waits for it.
//!
//! A task can be ended by force at any await, and it can panic. A call to the disk that it was waiting
//! for goes on all the same: half a second later it makes a file, takes a lock, renames a directory.
//! Whoever comes after must not meet it. So such work is counted here, and seen through even when nobody
//! waits for it any more.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The work of one user that cannot be broken off. Clones are the same; it outlives the session's task.
#[derive(Debug, Clone)]
pub struct Remains {
    work: TaskTracker,
}

impl Default for Remains {
    fn default() -> Self {
        let work = TaskTracker::new();
        // It can be waited for at any time; what is begun later counts all the same.
        work.close();
        Self { work }
    }
}

impl Remains {
    /// Waits for some work, which goes on when this future is dropped.
    pub(super) async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (done, result) = oneshot::channel();
        let task = self.work.spawn(async move {
            // What nobody takes any more (an open database) is dropped here, before it counts as over.
            let _ = done.send(work.await);
        });
        match (result.await, task.await) {
            (Ok(result), _) => result,
            (Err(_), Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            // Only the end of the runtime cancels it, which ends whoever waits too.
            (Err(_), _) => std::future::pending().await,
        }
    }

    /// Runs a blocking call that goes on when nobody waits for it any more.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.work.spawn_blocking(call)
    }

    /// Leaves some work to itself. Does nothing where the runtime has ended.
    pub fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.work.spawn_on(work, &runtime);
        }
    }

    /// Waits until nothing of it is left.
    pub async fn gone(&self) {
        self.work.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_is_seen_through() {
        let remains = Remains::default();
        remains.gone().await;
        let (go, wait) = oneshot::channel::<()>();
        let work = remains.see_through(wait);
        assert!(timeout(A_MOMENT, work).await.is_err());
        assert!(timeout(A_MOMENT, remains.gone()).await.is_err());
        go.send(()).expect("it still waits");
        remains.gone().await;
        assert_eq!(remains.see_through(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn a_panic_is_for_whoever_waits() {
        let remains = Remains::default();
        let theirs = remains.clone();
        let waits = tokio::spawn(async move {
            theirs
                .see_through(async { assert_eq!(1, 2, "it fails") })
                .await;
        });
        assert!(waits.await.expect_err("a panic").is_panic());
        remains.gone().await;
    }
}
