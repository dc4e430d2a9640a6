//! The watch of a connection.

use super::requester::Requester;
use crate::protocol::Message;
use crate::supervisor::Watcher;

/// A watch, and its client. The client's rights are judged at each message: a reload may have changed
/// them.
pub(super) struct Watch {
    watcher: Watcher,
    requester: Requester,
}

impl Watch {
    pub(super) fn new(watcher: Watcher, requester: Requester) -> Self {
        Self { watcher, requester }
    }

    /// The next message of the watch. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Message {
        let message = self.watcher.next().await;
        // If the watch begins anew, the message is in the state that follows.
        let begun_anew = self.watcher.judge(self.requester.caller());
        begun_anew.unwrap_or(message)
    }
}
