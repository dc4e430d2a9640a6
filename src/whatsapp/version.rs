//! WhatsApp Web's current version, which a client must name. Fetched once for all sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use whatsapp_rust::http::HttpClient;

use super::ending::Ending;
use crate::blocking::Room;
use crate::protocol::Cause;

/// A version: primary, secondary, tertiary.
pub(super) type Version = (u32, u32, u32);

/// How long a fetched version is used. WhatsApp publishes one every few days, and accepts older ones.
const FRESH_FOR: Duration = Duration::from_hours(24);
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Knows the version, or fetches it.
#[derive(Debug)]
pub(super) struct Versions {
    fixed: Option<Version>,
    web: Room,
    // The lock is held during the fetch, so that a thousand sessions that start at once make one request.
    last: Mutex<Last>,
}

/// The results of the last fetches.
#[derive(Debug, Default)]
struct Last {
    good: Option<(Version, Instant)>,
    /// The last failed fetch, and when it failed.
    failed: Option<(String, Instant)>,
}

impl Versions {
    pub(super) fn new(fixed: Option<Version>, web: Room) -> Self {
        Self {
            fixed,
            web,
            last: Mutex::default(),
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
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((version, at)) = last.good
            && at.elapsed() < FRESH_FOR
        {
            return Ok(version);
        }
        // Whoever waited for one that failed shares that: one after the other they would wait for ever.
        let shared = last.failed.as_ref().filter(|(_, at)| *at >= asked);
        let failed = match shared.map(|(why, _)| why.clone()) {
            Some(why) => why,
            None => match fetch(http, &self.web).await {
                Ok(version) => {
                    last.good = Some((version, Instant::now()));
                    return Ok(version);
                }
                Err(why) => {
                    last.failed = Some((why.clone(), Instant::now()));
                    why
                }
            },
        };
        // An old version is better than none: the server says when it is too old.
        if let Some((version, _)) = last.good {
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

async fn fetch(http: &Arc<dyn HttpClient>, web: &Room) -> Result<Version, String> {
    let fetch = web.lend(whatsapp_rust::version::fetch_latest_app_version(http));
    match timeout(FETCH_TIMEOUT, fetch).await {
        Ok(Ok(version)) => Ok(version),
        Ok(Err(e)) => Err(format!("{e:#}")),
        Err(_) => Err(format!("no answer within {} s", FETCH_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::advance;
    use whatsapp_rust::anyhow;
    use whatsapp_rust::http::{HttpRequest, HttpResponse};

    use super::*;

    /// A network that swallows everything, and counts it.
    #[derive(Default)]
    struct Swallows(AtomicUsize);

    #[async_trait::async_trait]
    impl HttpClient for Swallows {
        async fn execute(&self, _: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_for_a_dead_network_wait_together() {
        let network = Arc::new(Swallows::default());
        let http = Arc::clone(&network) as Arc<dyn HttpClient>;
        let versions = Arc::new(Versions::new(None, Room::new("web", 1)));
        let began = Instant::now();
        let mut asked = JoinSet::new();
        for _ in 0..100 {
            let (versions, http) = (Arc::clone(&versions), Arc::clone(&http));
            asked.spawn(async move { versions.get(&http).await });
        }
        while let Some(answer) = asked.join_next().await {
            let ending = answer.expect("no panic").expect_err("no network");
            assert!(ending.error.contains("no answer"), "{}", ending.error);
        }
        assert_eq!(began.elapsed(), FETCH_TIMEOUT);
        assert_eq!(network.0.load(Ordering::SeqCst), 1);
        // Whoever asks later tries anew.
        advance(Duration::from_secs(1)).await;
        versions.get(&http).await.expect_err("still none");
        assert_eq!(network.0.load(Ordering::SeqCst), 2);
    }
}
