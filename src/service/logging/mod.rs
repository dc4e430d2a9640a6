//! The log: its output, its fields, and its filters.
//!
//! To the journal with fields when stderr is the journal, else to stderr as plain lines. What our
//! libraries write through `log` takes the same way.
//!
//! # Fields
//!
//! A field of a line is a field of the journal's entry, in capitals. Those that are ours alone begin
//! with `wasession_`; on stderr that is left out.
//!
//! | field | what |
//! |---|---|
//! | `wasession_user` | the user whose session the line is about; the span of a session's tasks has it, so all their lines do. In the journal the message begins with it |
//! | `wasession_cause` | why, as in the history |
//! | `wasession_unlink` | how the unlink went |
//! | `peer_uid`, `peer_pid` | who asked: a client, the sender of a signal |
//! | `message_id` | one of [`message_id`]; left out on stderr |
//!
//! So `journalctl WASESSION_USER=alice` shows the lines of one session, with those of the WhatsApp library
//! about it.
//!
//! # Secrets
//!
//! Our own types do not show secrets. The WhatsApp library does: it logs pair codes at `info`, and
//! whole stanzas at `debug`, or at `warn` where it does not expect them: that of a locked account holds
//! the appeal token. So everything that is neither ours nor one of a few libraries that see only
//! ciphertext is held at `error`, whatever the filter says. Of a message that cannot be decrypted even an error
//! names the sender and shows parts of keys: what concerns single messages is not shown at all.

mod fields;
mod filter;
mod journal;
mod limit;
mod lines;
mod prefix;
#[cfg(test)]
pub(crate) mod tests;
mod user;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::environment::Environment;
use crate::message_id;
pub use filter::check_filter;
use filter::may_be_shown;
use limit::Limit;

/// The environment variable that overrides `[log] filter`.
pub const VARIABLE: &str = "WASESSIOND_LOG";

/// Changes the filter of a running daemon.
#[derive(Debug, Clone)]
pub struct FilterHandle {
    // `None`: somebody else set the logging up.
    handle: Option<reload::Handle<EnvFilter, Registry>>,
    // The variable, which wins over the configuration for as long as the daemon runs.
    fixed: bool,
    limit: Limit,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter of the variable cannot be used, and why.
    #[error("{VARIABLE}: {0}")]
    Filter(String),
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
            limit: Limit::default(),
        }
    }

    /// Logs how many repetitive lines were left out, until the stop.
    pub async fn tell_what_was_left_out(&self, stop: CancellationToken) {
        let mut turns = tokio::time::interval(limit::WHILE / 2);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = turns.tick() => {}
            }
            for limit::LeftOut {
                user,
                target,
                lines,
            } in self.limit.left_out(Instant::now())
            {
                tracing::warn!(
                    message_id = message_id::LEFT_OUT,
                    wasession_user = %user,
                    "{lines} more lines like the last ones of {target} about this session were left out"
                );
            }
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
    if let Some(text) = &variable {
        check_filter(text).map_err(LoggingError::Filter)?;
    }
    let text = variable.as_deref().unwrap_or(configured);
    // The filter was checked, here or when the configuration was read.
    let filter = EnvFilter::builder()
        .parse(text)
        .map_err(|e| LoggingError::Filter(e.to_string()))?;
    let (filter, handle) = reload::Layer::new(filter);
    let (output, trouble) = output(environment);
    let limit = Limit::default();
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_shown))
        .with(limit.clone())
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
        limit,
    })
}

/// Sets logging up for an error that came before it could be, if stderr is the journal: there a line
/// has a priority and an id. A person at a terminal wants a plain sentence.
#[must_use]
pub fn start_for_an_error(environment: &Environment) -> bool {
    let mut environment = environment.clone();
    // The variable may be the error.
    environment.variables.remove(OsStr::new(VARIABLE));
    stderr_is_journal(&environment) && start(&environment, "info").is_ok()
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
    (lines::layer(io::stderr, ansi).boxed(), trouble)
}

/// Whether what is logged goes to the journal.
#[must_use]
pub fn goes_to_journal(environment: &Environment) -> bool {
    stderr_is_journal(environment)
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
