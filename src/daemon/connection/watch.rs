//! The watch of a connection.

use super::requests::Requests;
use crate::protocol::Message;
use crate::supervisor::Watcher;

/// A watch, and who watches. What they may see is judged at each message: a reload may have changed
/// it.
pub(super) struct Watch {
    watcher: Watcher,
    requests: Requests,
}

impl Watch {
    pub(super) fn new(watcher: Watcher, requests: Requests) -> Self {
        Self { watcher, requests }
    }

    /// The next message of it. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Message {
        let message = self.watcher.next().await;
        // If the watch begins anew, the message is in the state that follows.
        let begun_anew = self.watcher.judge(self.requests.caller());
        begun_anew.unwrap_or(message)
    }
}
