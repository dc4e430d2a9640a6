//! A limit for lines of one session that repeat: a session that flaps all night must not push the
//! lines of the others out of the journal.
//!
//! Of each kind of line, that is of each place in the code, a session may write so many in a while.
//! More are counted, and the count is logged when the while is over. Lines outside a session's span are
//! never left out; the lines about the begin and the end of a session are outside. Lines for debugging
//! are never left out either: a person who asks for them wants all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::user;

/// So many lines of a kind a session may write ...
const LINES: u64 = 10;
/// ... in this time.
pub(super) const WHILE: Duration = Duration::from_mins(1);

/// Counts the lines. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Limit {
    counts: Arc<Mutex<HashMap<Kind, Count>>>,
}

/// Lines of one session from one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    user: Arc<str>,
    target: String,
    line: u32,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    lines: u64,
}

/// Lines that were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Whose.
    pub(super) user: String,
    /// Which part wrote them.
    pub(super) target: String,
    /// How many.
    pub(super) lines: u64,
}

impl Limit {
    /// Counts a line, and says whether it may be written.
    fn admits(&self, kind: Kind, now: Instant) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(kind).or_insert(Count {
            since: now,
            lines: 0,
        });
        count.lines += 1;
        count.lines <= LINES
    }

    /// The lines that were left out, of each kind whose time is over. Counting begins anew for those.
    pub(super) fn left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut left_out: Vec<_> = self
            .lock()
            .extract_if(|_, count| now.duration_since(count.since) >= WHILE)
            .filter(|(_, count)| count.lines > LINES)
            .map(|(kind, count)| LeftOut {
                user: kind.user.to_string(),
                target: kind.target,
                lines: count.lines - LINES,
            })
            .collect();
        left_out.sort_by(|a, b| (&a.user, &a.target).cmp(&(&b.user, &b.target)));
        left_out
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Limit
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        user::remember(attributes, id, &context);
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::INFO {
            return true;
        }
        let Some(user) = user::of_span(event, &context) else {
            return true;
        };
        // All lines that come through `log` are from one place otherwise.
        let normal = event.normalized_metadata();
        let about = normal.as_ref().unwrap_or_else(|| event.metadata());
        let kind = Kind {
            user,
            target: about.target().to_owned(),
            line: about.line().unwrap_or_default(),
        };
        self.admits(kind, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(user: &str, line: u32) -> Kind {
        Kind {
            user: user.into(),
            target: "wasessiond::session".to_owned(),
            line,
        }
    }

    #[test]
    fn each_kind_of_line_of_each_session_has_a_limit_of_its_own() {
        let limit = Limit::default();
        let begin = Instant::now();
        let written = |user: &str, line, times| {
            (0..times)
                .filter(|_| limit.admits(kind(user, line), begin))
                .count()
        };
        assert_eq!(written("alice", 1, 500), 10);
        assert_eq!(written("alice", 2, 3), 3);
        assert_eq!(written("bob", 1, 12), 10);
        assert_eq!(limit.left_out(begin + WHILE / 2), []);
        let left_out = limit.left_out(begin + WHILE);
        let lines: Vec<_> = left_out
            .iter()
            .map(|l| (l.user.as_str(), l.lines))
            .collect();
        assert_eq!(lines, [("alice", 490), ("bob", 2)]);
        // It begins anew, and nothing of the past is kept.
        assert!(limit.lock().is_empty());
        assert_eq!(written("alice", 1, 500), 10);
    }
}
