//! What is shown, and how.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, trace, warn};

use super::*;

/// What a log is written on.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    /// What writes lines on it, until it is dropped.
    pub(crate) fn lines(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let lines = lines::layer(move || writer.clone(), false);
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines))
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().expect("the paper").clone();
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the paper").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_is_told_when_the_while_is_over() {
    let paper = Paper::default();
    let writer = paper.clone();
    let told = FilterHandle::detached();
    let subscriber = tracing_subscriber::registry()
        .with(told.limit.clone())
        .with(lines::layer(move || writer.clone(), false));
    let _until_the_end = tracing::subscriber::set_default(subscriber);
    let span = tracing::error_span!(target: "wasessiond", "session", wasession_user = %"alice");
    span.in_scope(|| (0..25).for_each(|n| info!(target: "wasessiond", "try {n}")));
    let telling = told.tell_what_was_left_out(CancellationToken::new());
    let ended = tokio::time::timeout(limit::WHILE * 10, telling).await;
    assert!(ended.is_err(), "it ended by itself");
    let shown = paper.text();
    let line = "15 more lines like the last ones of wasessiond about this session were left out user=alice";
    assert_eq!(shown.matches(line).count(), 1, "{shown}");
    assert_eq!(shown.lines().count(), 11, "{shown}");
}

/// What is written while this runs.
fn written(filter: &str, events: impl FnOnce()) -> String {
    let paper = Paper::default();
    let writer = paper.clone();
    let filter = EnvFilter::builder().parse(filter).expect("a filter");
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_shown))
        .with(Limit::default())
        .with(lines::layer(move || writer.clone(), false));
    tracing::subscriber::with_default(subscriber, events);
    paper.text()
}

#[test]
fn no_filter_raises_what_knows_secrets() {
    let shown = written("trace", || {
        trace!(target: "wasessiond::session", "shown 1");
        debug!(target: "rustls::client", "shown 2");
        error!(target: "Client/Recv", "shown 3");
        // It shows the whole stanza of a refused login, appeal token and all.
        warn!(target: "whatsapp_rust::client::node_io", "hidden 0");
        info!(target: "Bot/PairCode", "hidden 1");
        debug!(target: "Client/Recv", "hidden 2");
        info!(target: "whatsapp_rust::pair", "hidden 3");
        info!(target: "wacore", "hidden 4");
        info!(target: "wasessiondx", "hidden 5");
        info!(target: "tokio_websockets", "hidden 6");
        // It names who wrote, and shows both identity keys.
        error!(target: "wacore_libsignal::protocol::session_cipher", "hidden 7");
        error!(target: "whatsapp_rust::message::receive", "hidden 8");
        error!(target: "whatsapp_rust::message", "hidden 9");
        error!(target: "whatsapp_rust::messages", "shown 4");
    });
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(shown.lines().count(), 4, "{shown}");
}

#[test]
fn a_filter_quietens_what_it_names() {
    let shown = written("info,wasessiond::session=error", || {
        info!(target: "wasessiond::daemon", "shown");
        debug!(target: "wasessiond::daemon", "hidden 1");
        warn!(target: "wasessiond::session", "hidden 2");
    });
    assert!(
        !shown.contains("hidden") && shown.contains("shown"),
        "{shown}"
    );
}

#[test]
fn lines_have_the_fields_but_not_the_journals_id() {
    let shown = written("info", || {
        let message_id = "0123456789abcdef0123456789abcdef";
        info!(target: "wasessiond", message_id, wasession_user = %"alice", "it ended");
    });
    assert!(shown.ends_with("it ended user=alice\n"), "{shown}");
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}

#[test]
fn a_session_that_repeats_itself_is_cut_short_and_its_library_too() {
    let shown = written("debug", || {
        let span = tracing::error_span!(target: "wasessiond", "session", wasession_user = %"alice");
        for n in 0..100 {
            span.in_scope(|| info!(target: "wasessiond", "try {n}"));
            span.in_scope(|| error!(target: "Client", "it failed {n}"));
            span.in_scope(|| debug!(target: "wasessiond", "a detail {n}"));
            info!(target: "wasessiond", wasession_user = %"alice", "an end {n}");
        }
        span.in_scope(|| info!(target: "wasessiond", "something else"));
    });
    let lines = |text: &str| shown.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("try"), lines("it failed")), (10, 10), "{shown}");
    assert_eq!((lines("an end"), lines("a detail")), (100, 100), "{shown}");
    assert_eq!(lines("something else"), 1, "{shown}");
    assert!(
        shown.contains("session{user=alice}: Client: it failed 9"),
        "{shown}"
    );
}

/// A layer that writes lines as the journal gets them.
struct AsInTheJournal<L>(L);

impl<S, L> Layer<S> for AsInTheJournal<L>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        user::remember(attributes, id, &context);
        self.0.on_new_span(attributes, id, context);
    }

    fn on_event(
        &self,
        event: &tracing::Event<'_>,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let user = user::of_event(event, &context).expect("a user");
        prefix::with_user(event, &user, |event| self.0.on_event(event, context));
    }
}

#[test]
fn in_the_journal_a_line_of_a_session_begins_with_its_user_and_has_all_its_fields() {
    let paper = Paper::default();
    let writer = paper.clone();
    let lines = AsInTheJournal(lines::layer(move || writer.clone(), false));
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::error_span!(target: "wasessiond", "session", wasession_user = %"alice");
        span.in_scope(|| {
            info!(target: "wasessiond", n = 7, good = true, why = %"so", who = ?Some("x"), "it ends");
            info!(target: "wasessiond", "alice is online");
            info!(target: "wasessiond", "alicent is somebody else");
        });
        warn!(target: "wasessiond", wasession_user = "bob", left = -1, "it began");
    });
    let shown = paper.text();
    let shown: Vec<_> = shown.lines().collect();
    for (line, end) in shown.iter().zip([
        "alice: it ends n=7 good=true why=so who=Some(\"x\")",
        "wasessiond: alice is online",
        "alice: alicent is somebody else",
        "bob: it began user=bob left=-1",
    ]) {
        assert!(line.ends_with(end), "{line}");
    }
    assert_eq!(shown.len(), 4, "{shown:?}");
}
