//! For tests: sessions that no task runs.

use super::Supervisor;
use crate::protocol::{EventKind, HistoryEntry, Status};

impl Supervisor {
    /// As if a session had published this.
    pub(crate) fn pretend(&self, status: Status) {
        self.shared.board.changed_to(EventKind::Updated, status);
    }

    /// As if this session had ended.
    pub(crate) async fn pretend_ended(&self, id: &str, entry: &HistoryEntry) {
        let appended = self.shared.history.append(id, entry).await;
        appended.expect("it is written");
    }
}
