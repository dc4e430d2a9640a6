//! Group commit: changes that come together share one write and one sync.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, oneshot};

use super::StoreError;
use crate::blocking::Room;

type Result = std::result::Result<(), StoreError>;

/// Makes changes durable together. Items that come while a commit is under way wait for the next one, and
/// the first of them makes it for all.
///
/// `S` is the state that only the present commit may touch.
#[derive(Debug)]
pub(super) struct GroupCommit<T, S> {
    room: Room,
    waiting: Arc<Mutex<Vec<Waiting<T>>>>,
    turn: Arc<Turn<S>>,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    reply: oneshot::Sender<Result>,
}

impl<T: Send + 'static, S: Send + 'static> GroupCommit<T, S> {
    /// A group whose commits are made in this room, one at a time.
    pub(super) fn new(room: Room, state: S) -> Self {
        Self {
            room,
            waiting: Arc::default(),
            turn: Arc::new(Turn::new(state)),
        }
    }

    /// Commits an item together with those of others, and returns when it is durable. `commit` gets all
    /// items that wait when it begins. `afterwards` runs when they have their results, and before the next
    /// commit.
    pub(super) async fn commit(
        &self,
        item: T,
        commit: impl FnOnce(&mut S, Vec<T>) -> Result + Send + 'static,
        afterwards: impl FnOnce(&mut S) + Send + 'static,
    ) -> Result {
        let (reply, mut result) = oneshot::channel();
        lock(&self.waiting).push(Waiting { item, reply });
        let mut state = tokio::select! {
            biased;
            done = &mut result => return outcome_of(done),
            state = Arc::clone(&self.turn).lock_owned() => state,
        };
        // No commit is under way now. The one before may have taken this item along.
        if let Ok(done) = result.try_recv() {
            return done;
        }
        let waiting = Arc::clone(&self.waiting);
        let call = self.room.run(move || {
            let taken = std::mem::take(&mut *lock(&waiting));
            let (items, replies): (Vec<_>, Vec<_>) =
                taken.into_iter().map(|w| (w.item, w.reply)).unzip();
            let done = commit(&mut state, items);
            for reply in replies {
                let _ = reply.send(done.as_ref().copied().map_err(StoreError::again));
            }
            afterwards(&mut state);
        });
        // Dropping a call that has begun does not cancel it.
        tokio::select! {
            biased;
            done = &mut result => return outcome_of(done),
            () = call => {}
        }
        outcome_of(result.await)
    }
}

fn outcome_of(result: std::result::Result<Result, oneshot::error::RecvError>) -> Result {
    result.unwrap_or(Err(StoreError::Interrupted))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    type Numbers = GroupCommit<u32, Vec<Vec<u32>>>;

    fn numbers() -> Arc<Numbers> {
        Arc::new(Numbers::new(Room::new("commit", 1), Vec::new()))
    }

    async fn put(to: Arc<Numbers>, number: u32) -> Result {
        let write = move |written: &mut Vec<Vec<u32>>, all| {
            written.push(all);
            Ok(())
        };
        to.commit(number, write, |_| ()).await
    }

    /// Begins a commit that hangs until the sender is dropped.
    async fn hang(to: &Arc<Numbers>, fails: bool) -> (mpsc::Sender<()>, JoinSet<Result>) {
        let (go, wait) = mpsc::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let to = Arc::clone(to);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let write = move |written: &mut Vec<Vec<u32>>, all| {
                let _ = begins.send(());
                let _ = wait.recv();
                written.push(all);
                let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
                let failed = StoreError::unavailable("write", Path::new("x"), full);
                if fails { Err(failed) } else { Ok(()) }
            };
            to.commit(0, write, |_| ()).await
        });
        begun.await.expect("it begins");
        (go, task)
    }

    #[tokio::test]
    async fn who_comes_while_one_commits_is_in_the_next() {
        let numbers = numbers();
        let (go, first) = hang(&numbers, false).await;
        let mut others = JoinSet::new();
        for n in 1..=100 {
            others.spawn(put(Arc::clone(&numbers), n));
        }
        while lock(&numbers.waiting).len() < 100 {
            tokio::task::yield_now().await;
        }
        drop(go);
        for done in first
            .join_all()
            .await
            .into_iter()
            .chain(others.join_all().await)
        {
            done.expect("it is durable");
        }
        let written = numbers.turn.lock().await;
        assert_eq!(written[0], [0]);
        assert_eq!(written[1].len(), 100);
        assert_eq!(written.len(), 2, "two commits for a hundred and one");
    }

    #[tokio::test]
    async fn a_commit_that_fails_fails_for_those_in_it_only() {
        let numbers = numbers();
        let (go, first) = hang(&numbers, true).await;
        let second = tokio::spawn(put(Arc::clone(&numbers), 1));
        drop(go);
        let failed = first.join_all().await.remove(0).expect_err("no room");
        assert!(failed.to_string().contains("No space left"), "{failed}");
        second.await.expect("no panic").expect("the next one works");
    }

    #[tokio::test]
    async fn one_that_is_dropped_while_it_waits_holds_up_nobody() {
        let numbers = numbers();
        let (go, first) = hang(&numbers, false).await;
        let dropped = tokio::spawn(put(Arc::clone(&numbers), 1));
        while lock(&numbers.waiting).is_empty() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn(put(Arc::clone(&numbers), 2));
        while lock(&numbers.waiting).len() < 2 {
            tokio::task::yield_now().await;
        }
        dropped.abort();
        drop(go);
        first.join_all().await.remove(0).expect("the first");
        second.await.expect("no panic").expect("the second");
    }
}
