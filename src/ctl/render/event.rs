//! Events, one a line.

use jiff::Timestamp;

use crate::protocol::{Event, EventKind, HistoryEntry};

use super::cause;
use super::status::gist;
use super::time::absolute;

/// `2026-11-24 09:12:03Z  alice  online  +15550100999 Alice (..)`
pub(crate) fn line(event: &Event, now: Timestamp) -> String {
    let detail = match (event.kind.ended(), &event.status) {
        (Some(entry), _) => end(entry),
        (None, Some(status)) => gist(status, now),
        (None, None) => String::new(),
    };
    row(event.at, event.user.as_str(), event.kind.as_str(), &detail)
}

/// The same for an end that was found in the history.
pub(crate) fn missed(entry: &HistoryEntry) -> String {
    let kind = EventKind::from_end(entry.clone());
    row(entry.at, entry.user.as_str(), kind.as_str(), &end(entry))
}

/// One aligned line of a stream.
pub(crate) fn row(at: Timestamp, user: &str, what: &str, detail: &str) -> String {
    let line = format!("{}  {user:<16}  {what:<15}  {detail}", absolute(at));
    line.trim_end().to_owned()
}

fn end(entry: &HistoryEntry) -> String {
    let mut words = format!(
        "{} ({}); unlink {}",
        entry.cause,
        cause::why(entry),
        entry.unlink
    );
    if let Some(said) = cause::said(entry) {
        words = format!("{words}; {said}");
    }
    words
}
