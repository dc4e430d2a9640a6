//! Keeps a thread in a pool for blocking calls.
//!
//! A thread that waits for work ends after a while, and gives back its stack and what the allocator keeps for
//! it. But a pool without a thread panics where the system gives no more threads; a pool with one serves its
//! calls, slowly. So each pool gets an empty call from time to time, and one of its threads always stays.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How long a thread waits for work before it ends.
pub(crate) const KEEP: Duration = Duration::from_secs(20);

/// How often a pool gets an empty call. A machine under load may make one late.
const WAKE: Duration = Duration::from_secs(8);

/// Keeps at least one thread in the pool that `pool` finds, for as long as it finds one.
pub(crate) async fn keep_a_thread(pool: impl Fn() -> Option<Handle>) {
    let mut wakes = interval(WAKE);
    wakes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<JoinHandle<()>> = None;
    loop {
        wakes.tick().await;
        let Some(pool) = pool() else { return };
        // Where all threads hang, empty calls must not pile up.
        if last.as_ref().is_none_or(JoinHandle::is_finished) {
            last = Some(pool.spawn_blocking(|| ()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_pool() {
        keep_a_thread(|| None).await;
    }

    #[tokio::test]
    async fn empty_calls_do_not_pile_up_behind_one_that_hangs() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let pool = runtime.handle().clone();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        pool.spawn_blocking(move || wait.recv());
        tokio::time::pause();
        let looks = AtomicUsize::new(0);
        keep_a_thread(|| {
            let enough = looks.fetch_add(1, Ordering::Relaxed) == 5;
            (!enough).then(|| pool.clone())
        })
        .await;
        let waiting = runtime.metrics().num_alive_tasks();
        drop(go);
        runtime.shutdown_background();
        assert!(waiting <= 2, "{waiting} calls wait");
    }
}
