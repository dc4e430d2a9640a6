//! WhatsApp Web's current version, which a client must name. Fetched once for all sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use whatsapp_rust::http::HttpClient;

use super::ending::Ending;
use crate::protocol::Cause;

/// A version: primary, secondary, tertiary.
pub(super) type Version = (u32, u32, u32);

/// WhatsApp publishes a version every few days; a day old one is accepted.
const FRESH_FOR: Duration = Duration::from_hours(24);
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Knows the version, or fetches it.
#[derive(Debug)]
pub(super) struct Versions {
    fixed: Option<Version>,
    // Held over the fetch, so that a thousand sessions that start at once make one request.
    fetched: Mutex<Option<(Version, Instant)>>,
}

impl Versions {
    pub(super) fn new(fixed: Option<Version>) -> Self {
        Self {
            fixed,
            fetched: Mutex::new(None),
        }
    }

    /// The version to name.
    ///
    /// # Errors
    /// How the link ended, when it could not be fetched and none is known.
    pub(super) async fn get(&self, http: &Arc<dyn HttpClient>) -> Result<Version, Ending> {
        if let Some(version) = self.fixed {
            return Ok(version);
        }
        let mut fetched = self.fetched.lock().await;
        if let Some((version, at)) = *fetched
            && at.elapsed() < FRESH_FOR
        {
            return Ok(version);
        }
        let fetch = whatsapp_rust::version::fetch_latest_app_version(http);
        let failed = match timeout(FETCH_TIMEOUT, fetch).await {
            Ok(Ok(version)) => {
                *fetched = Some((version, Instant::now()));
                return Ok(version);
            }
            Ok(Err(e)) => format!("{e:#}"),
            Err(_) => format!("no answer within {} s", FETCH_TIMEOUT.as_secs()),
        };
        // An old version is better than none: the server says when it is too old.
        if let Some((version, _)) = *fetched {
            tracing::warn!(
                "WhatsApp's current version could not be fetched, the last one is used: {failed}"
            );
            return Ok(version);
        }
        Err(Ending::retry(
            Cause::Unreachable,
            format!("WhatsApp's current version could not be fetched: {failed}"),
        ))
    }
}
