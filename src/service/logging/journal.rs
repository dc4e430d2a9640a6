//! The journal, with the fields as [the head of `logging`](super) promises them.

use std::io;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::MESSAGE_ID;
use super::prefix::with_user;
use super::user;

/// Writes to the journal. Everyday news is informational; a line that has an entry in the catalog is a
/// notice at least, so that `journalctl -p notice` shows the events without the chatter. A line about a
/// session begins with its user.
pub(super) struct Journal {
    everyday: tracing_journald::Layer,
    notable: tracing_journald::Layer,
}

impl Journal {
    /// Fails when the journal's socket is not there.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            everyday: layer(Priority::Informational)?,
            notable: layer(Priority::Notice)?,
        })
    }

    fn layer_for(&self, event: &Event<'_>) -> &tracing_journald::Layer {
        match event.metadata().fields().field(MESSAGE_ID) {
            Some(_) => &self.notable,
            None => &self.everyday,
        }
    }
}

fn layer(info: Priority) -> io::Result<tracing_journald::Layer> {
    let layer = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_syslog_identifier("wasessiond".to_owned())
        .with_priority_mappings(PriorityMappings {
            info,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        });
    Ok(layer)
}

impl<S> Layer<S> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Both layers would note the same about a span, so one notes it.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.everyday.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.everyday.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let layer = self.layer_for(event);
        match user::of_event(event, &context) {
            // The layer of the limit has remembered the users of the spans.
            Some(user) => with_user(event, &user, |event| layer.on_event(event, context)),
            None => layer.on_event(event, context),
        }
    }
}
