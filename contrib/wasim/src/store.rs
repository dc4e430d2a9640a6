//! Keeps the state file up to date. There is one writer, and many changes at once share one write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// How long a change waits for others to share a write with when nobody waits for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Counts changes and writes. Without a file it does neither.
#[derive(Debug)]
pub(crate) struct Store {
    path: Option<PathBuf>,
    wanted: AtomicU64,
    written: watch::Sender<u64>,
    wake: Notify,
    /// Wakes the writer after a while.
    wished: Notify,
}

impl Store {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            wanted: AtomicU64::new(0),
            written: watch::Sender::new(0),
            wake: Notify::new(),
            wished: Notify::new(),
        }
    }

    /// Returns once a change made before the call is in the file, or could not be written.
    pub(crate) async fn persist(&self) {
        if self.path.is_none() {
            return;
        }
        let wanted = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut written = self.written.subscribe();
        self.wake.notify_one();
        // The writer is gone only when the server stops, and then writes once more itself.
        let _ = written.wait_for(|written| *written >= wanted).await;
    }

    /// Has a change written made before the call, and does not wait for it.
    pub(crate) fn wish(&self) {
        if self.path.is_some() {
            self.wanted.fetch_add(1, Ordering::SeqCst);
            self.wished.notify_one();
        }
    }

    /// Writes whenever something has changed. `encode` gives the file's text.
    pub(crate) async fn run(&self, encode: impl Fn() -> Vec<u8>) {
        loop {
            let some_time = async {
                self.wished.notified().await;
                tokio::time::sleep(PATIENCE).await;
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = some_time => {}
            }
            self.write(&encode).await;
        }
    }

    /// Writes now, if there is a file.
    pub(crate) async fn write(&self, encode: impl Fn() -> Vec<u8>) {
        let Some(path) = self.path.clone() else {
            return;
        };
        let wanted = self.wanted.load(Ordering::SeqCst);
        let text = encode();
        let result = tokio::task::spawn_blocking(move || crate::state::write(&path, &text)).await;
        if let Ok(Err(error)) = result {
            tracing::error!("not saved: {error}");
        }
        self.written.send_replace(wanted);
    }
}
