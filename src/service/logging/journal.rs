//! The journal, with the fields as [the head of `logging`](super) promises them.

use std::io;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::MESSAGE_ID;

/// Writes to the journal. Everyday news is informational; what has an entry in the catalog is a notice
/// at least, so that `journalctl -p notice` tells what happened without the chatter.
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
    // What a layer notes about a span is the same for both of them, so one notes it.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.everyday.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.everyday.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.layer_for(event).on_event(event, context);
    }
}
