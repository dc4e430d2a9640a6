//! Where log lines go, and which ones.
//!
//! To the journal with fields when stderr is the journal, else to stderr as plain lines. What our
//! libraries write through `log` takes the same way.
//!
//! # Fields
//!
//! Code writes plain names: `tracing::info!(user = %user, cause = %cause, "..")`. In the journal
//! each gets the prefix `WASESSION_`: `user` is `WASESSION_USER`, `peer_uid` is
//! `WASESSION_PEER_UID`. The field `message_id`, 32 hexadecimal digits as `systemd-id128 new` makes
//! them, becomes the journal's `MESSAGE_ID`, to which a catalog entry can belong. On stderr it is
//! left out.
//!
//! # Secrets
//!
//! Our own types do not show secrets. The WhatsApp library does: it logs pair codes at `info`, and
//! whole stanzas at `debug`, or at `warn` where it does not expect them: that of a locked account holds
//! the appeal token. So everything that is neither ours nor one of a few libraries that see only
//! ciphertext is held at `error`, whatever the filter says.

mod journal;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;

use tracing::{Level, Metadata};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::environment::Environment;

/// The environment variable that overrides `[log] filter`.
pub const VARIABLE: &str = "WASESSIOND_LOG";

/// Targets that a filter may raise above `error`: this program, and libraries that see nothing of
/// WhatsApp but ciphertext.
const OPEN: [&str; 4] = ["wasessiond", "rustls", "mio", "tokio"];

/// Changes the filter of a running daemon.
#[derive(Debug, Clone)]
pub struct FilterHandle {
    // `None`: somebody else set the logging up.
    handle: Option<reload::Handle<EnvFilter, Registry>>,
    // The variable, which wins over the configuration for as long as the daemon runs.
    fixed: bool,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "the filter {filter:?} from {VARIABLE} cannot be read: {why}. Write a level, like \"info\", or parts and their levels, like \"info,wasessiond::session=debug\""
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// Something else in this process logs already.
    #[error("logging is set up already in this process: {0}")]
    Twice(String),
}

impl FilterHandle {
    /// For a daemon whose process set its logging up itself.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            handle: None,
            fixed: false,
        }
    }

    /// Puts another filter in force. Says whether it did: the variable wins over the configuration.
    #[must_use]
    pub fn set(&self, filter: &str) -> bool {
        let Some(handle) = self.handle.as_ref().filter(|_| !self.fixed) else {
            return false;
        };
        // The configuration was checked when it was read.
        let parsed = EnvFilter::builder().parse(filter);
        parsed.is_ok_and(|filter| handle.reload(filter).is_ok())
    }
}

/// Sets up logging for this process.
///
/// # Errors
/// [`LoggingError`] when the variable's filter is wrong, or it was set up before.
pub fn start(environment: &Environment, configured: &str) -> Result<FilterHandle, LoggingError> {
    let variable = environment
        .get(VARIABLE)
        .map(|v| v.to_string_lossy().into_owned());
    let text = variable.as_deref().unwrap_or(configured);
    let filter = EnvFilter::builder()
        .parse(text)
        .map_err(|e| LoggingError::Filter {
            filter: text.to_owned(),
            why: e.to_string(),
        })?;
    let (filter, handle) = reload::Layer::new(filter);
    let (output, trouble) = output(environment);
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_shown))
        .with(output)
        .try_init()
        .map_err(|e| LoggingError::Twice(e.to_string()))?;
    if let Some(error) = trouble {
        tracing::warn!(
            "stderr is the journal, but it takes no entries ({error}): logging plain lines"
        );
    }
    Ok(FilterHandle {
        handle: Some(handle),
        fixed: variable.is_some(),
    })
}

/// Whether something may be shown at its level: see the head of this file.
fn may_be_shown(about: &Metadata<'_>) -> bool {
    let target = about.target();
    let open = OPEN.iter().any(|name| {
        target
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    // A record of `log` is asked about under its own target too.
    open || *about.level() <= Level::ERROR
}

/// The layer that writes, and why it is not the journal although it should be.
fn output<S>(environment: &Environment) -> (Box<dyn Layer<S> + Send + Sync>, Option<io::Error>)
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let mut trouble = None;
    if stderr_is_journal(environment) {
        match journal::Journal::open() {
            Ok(journal) => return (journal.boxed(), None),
            Err(error) => trouble = Some(error),
        }
    }
    let ansi = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    (lines(io::stderr, ansi).boxed(), trouble)
}

/// Plain lines.
fn lines<S, W>(writer: W, ansi: bool) -> impl Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        // The first is for the journal's catalog; the others repeat what the line says anyway.
        "message_id" | "log.target" | "log.module_path" | "log.file" | "log.line" => Ok(()),
        name => write!(writer, "{name}={value:?}"),
    });
    tracing_subscriber::fmt::layer()
        .fmt_fields(fields.delimited(" "))
        .with_writer(writer)
        .with_ansi(ansi)
}

/// Whether stderr is connected to the journal, as systemd says it connected it.
fn stderr_is_journal(environment: &Environment) -> bool {
    let Some(named) = environment.get("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(io::stderr()).is_ok_and(|stderr| {
        let stream = format!("{}:{}", stderr.st_dev, stderr.st_ino);
        named.as_bytes() == stream.as_bytes()
    })
}
