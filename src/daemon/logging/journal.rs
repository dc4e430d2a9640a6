//! The journal, with the fields as [the head of `logging`](super) promises them.
//!
//! `tracing_journald` prefixes every field or none, so `WASESSION_USER` and `MESSAGE_ID` cannot come
//! from one of its layers. Here each message id has a layer of its own, which adds `MESSAGE_ID` to
//! all it writes; an event goes to the layer of its id. There are few ids, and each is met soon.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The field that becomes `MESSAGE_ID`.
const MESSAGE_ID: &str = "message_id";

/// More ids than this are not ours: each costs a descriptor.
const MAX_IDS: usize = 64;

pub(super) struct Journal {
    plain: tracing_journald::Layer,
    by_id: RwLock<HashMap<String, Arc<tracing_journald::Layer>>>,
}

impl Journal {
    /// Fails when the journal's socket is not there.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            plain: layer()?,
            by_id: RwLock::default(),
        })
    }

    /// The layer for an id. `None`: it cannot be had, and the entry goes without its `MESSAGE_ID`.
    fn with_id(&self, id: &str) -> Option<Arc<tracing_journald::Layer>> {
        // A panic elsewhere leaves the map as whole as it was: inserting is its only change.
        let known = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = known.get(id) {
            return Some(layer.clone());
        }
        drop(known);
        let mut known = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_IDS {
            return None;
        }
        let layer = Arc::new(layer().ok()?.with_custom_fields([("MESSAGE_ID", id)]));
        known.insert(id.to_owned(), layer.clone());
        Some(layer)
    }
}

fn layer() -> io::Result<tracing_journald::Layer> {
    let layer = tracing_journald::layer()?
        .with_field_prefix(Some("WASESSION".to_owned()))
        .with_syslog_identifier("wasessiond".to_owned())
        .with_priority_mappings(PriorityMappings {
            // Everyday news is not a notice.
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        });
    Ok(layer)
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // What a layer notes about a span is the same for all of them, so one notes it.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.plain.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.plain.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut found = FindId(None);
        event.record(&mut found);
        match found.0.and_then(|id| self.with_id(&id)) {
            Some(layer) => layer.on_event(event, context),
            None => self.plain.on_event(event, context),
        }
    }
}

/// Finds the message id among an event's fields.
struct FindId(Option<String>);

impl FindId {
    fn take(&mut self, field: &Field, value: impl FnOnce() -> String) {
        if field.name() == MESSAGE_ID {
            let id = value();
            let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            self.0 = is_id.then_some(id);
        }
    }
}

impl Visit for FindId {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, || value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, || format!("{value:?}"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Last(Arc<Mutex<Option<String>>>);

    impl<S: Subscriber> Layer<S> for Last {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut found = FindId(None);
            event.record(&mut found);
            *self.0.lock().expect("the last id") = found.0;
        }
    }

    /// The id of the last event of these.
    pub(in crate::daemon::logging) fn id_of(events: impl FnOnce()) -> Option<String> {
        let last = Last::default();
        let subscriber = tracing_subscriber::registry().with(last.clone());
        tracing::subscriber::with_default(subscriber, events);
        last.0.lock().expect("the last id").take()
    }
}
