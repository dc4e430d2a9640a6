//! Whose session a line is about.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// The field that names the user.
const USER: &str = "wasession_user";

/// The user a span belongs to.
struct SpanUser(Arc<str>);

/// Remembers whom a new span names.
pub(super) fn remember<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut found = FindUser(None);
    attributes.record(&mut found);
    if let (Some(user), Some(span)) = (found.0, context.span(id)) {
        span.extensions_mut().replace(SpanUser(user));
    }
}

/// The user of the span that a line is in.
pub(super) fn of_span<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<Arc<str>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut spans = context.event_scope(event)?;
    spans.find_map(|span| remembered(&span))
}

/// The user that a line names, or that of the span that it is in.
pub(super) fn of_event<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<Arc<str>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut found = FindUser(None);
    event.record(&mut found);
    found.0.or_else(|| of_span(event, context))
}

fn remembered<'a, S>(span: &SpanRef<'a, S>) -> Option<Arc<str>>
where
    S: LookupSpan<'a>,
{
    let extensions = span.extensions();
    let user = extensions.get::<SpanUser>();
    user.map(|SpanUser(user)| Arc::clone(user))
}

struct FindUser(Option<Arc<str>>);

impl Visit for FindUser {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == USER {
            self.0 = Some(value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == USER {
            self.0 = Some(format!("{value:?}").into());
        }
    }
}
