//! Plain lines, for people.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::fields::MESSAGE_ID;

/// Fields that repeat the text of the line, or are for the journal's catalog.
const LEFT_OUT: [&str; 5] = [
    MESSAGE_ID,
    "log.target",
    "log.module_path",
    "log.file",
    "log.line",
];

/// A layer that writes plain lines.
pub(super) fn layer<S, W>(writer: W, ansi: bool) -> impl Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(Plain)
        .with_writer(writer)
        .with_ansi(ansi)
}

/// The message, then the fields under their short names.
struct Plain;

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            begun: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if LEFT_OUT.contains(&name) || self.result.is_err() {
            return;
        }
        let space = if self.begun { " " } else { "" };
        self.begun = true;
        self.result = match name.strip_prefix("wasession_").unwrap_or(name) {
            "message" => write!(self.writer, "{space}{value:?}"),
            short => write!(self.writer, "{space}{short}={value:?}"),
        };
    }
}
