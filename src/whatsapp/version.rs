//! WhatsApp Web's current version, which a client must name. Known once for all sessions.
//!
//! It is fetched from WhatsApp's web page and kept on the disk, for starts without access to that page. When
//! WhatsApp refuses a login for it, it is fetched again. Whoever waits for another version learns of it.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};
use whatsapp_rust::http::HttpClient;

use super::ending::Ending;
use super::warnings::DaemonWarnings;
use crate::blocking::Room;
use crate::protocol::Cause;
use crate::store::{ClientVersion, Store};

/// A version: primary, secondary, tertiary (the revision).
pub(super) type Version = (u32, u32, u32);

/// How long a fetched version is used. WhatsApp publishes one every few days, and accepts older ones.
const FRESH_FOR: Duration = Duration::from_hours(24);
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long no fetch is tried after one that failed, where an older version can be named meanwhile.
const FETCH_AGAIN: Duration = Duration::from_mins(10);
/// How often WhatsApp is asked for another version after it refused the present one; it doubles.
const FIRST_LOOK: Duration = Duration::from_mins(10);
const LONGEST_LOOK: Duration = Duration::from_hours(1);
/// How often sessions are told that WhatsApp accepts a version again that it had refused.
const ACCEPTANCE_TOLD_EVERY: Duration = Duration::from_mins(10);
/// So many logins in a row must have been refused for a version before that is certain: one answer may be
/// wrong.
const CERTAIN: u32 = 2;
/// What a client names to a simulator, which does not say what it wants.
const FOR_A_SIMULATOR: Version = (2, 3000, 1);

/// Knows the version, or fetches it.
#[derive(Debug)]
pub(super) struct Versions {
    /// Whether the version is fetched. A simulator has no page for that.
    fetches: bool,
    web: Room,
    /// Where the last fetched version is kept.
    kept: OnceLock<Store>,
    // The lock is held during the fetch, so that a thousand sessions that start at once make one request.
    last: Mutex<Last>,
    // Held for moments.
    standing: StdMutex<Standing>,
    warnings: DaemonWarnings,
    news: watch::Sender<u64>,
}

/// The results of the last fetches.
#[derive(Debug, Default)]
struct Last {
    good: Option<Known>,
    /// The last failed fetch, and when it failed.
    failed: Option<(String, Instant)>,
    /// Whether what the disk knows was read.
    is_read: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    version: Version,
    /// Until when it need not be fetched again.
    fresh_until: Instant,
}

/// What WhatsApp says to the version.
#[derive(Debug, Default)]
struct Standing {
    /// The version to name at least.
    floor: Option<Version>,
    /// The version that was named last.
    named: Option<Version>,
    /// The version that was refused last, and how often without an accepted login between.
    refused: Option<(Version, u32)>,
    /// Whether a task looks for a newer one.
    is_looking: bool,
    /// When it was told last that WhatsApp accepts a version that it had refused.
    acceptance_told: Option<Instant>,
    /// The newest version with which WhatsApp has accepted a login.
    accepted: Option<Version>,
    /// The version that WhatsApp will refuse, and from when on.
    expires: Option<(Version, Timestamp)>,
}

impl Versions {
    pub(super) fn new(
        floor: Option<Version>,
        fetches: bool,
        web: Room,
        warnings: DaemonWarnings,
    ) -> Self {
        let standing = Standing {
            floor,
            ..Standing::default()
        };
        Self {
            fetches,
            web,
            kept: OnceLock::new(),
            last: Mutex::default(),
            standing: StdMutex::new(standing),
            warnings,
            news: watch::Sender::new(0),
        }
    }

    /// Keeps fetched versions in this state directory, and begins with the one that is there.
    pub(super) fn keep_in(&self, store: Store) {
        let _ = self.kept.set(store);
    }

    /// Ticks when it makes sense to try again after a login was refused for the version: there is another
    /// one, or WhatsApp accepts this one again.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Changes the version to name at least.
    pub(super) fn set_floor(&self, floor: Option<Version>) {
        let mut standing = self.standing();
        let differs = standing.floor != floor;
        standing.floor = floor;
        drop(standing);
        if differs {
            self.tell_news();
        }
    }

    /// The version to name.
    ///
    /// # Errors
    /// How the link ended, when it could not be fetched and none is known.
    pub(super) async fn get(&self, http: &Arc<dyn HttpClient>) -> Result<Version, Ending> {
        let version = self.find(http).await?;
        self.standing().named = Some(version);
        Ok(version)
    }

    async fn find(&self, http: &Arc<dyn HttpClient>) -> Result<Version, Ending> {
        let floor = self.standing().floor;
        if !self.fetches {
            return Ok(floor.unwrap_or(FOR_A_SIMULATOR));
        }
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        self.read_disk(&mut last).await;
        let named = |known: &Known| floor.map_or(known.version, |floor| known.version.max(floor));
        if let Some(known) = last.good.filter(|known| known.fresh_until > Instant::now()) {
            return Ok(named(&known));
        }
        let fallback = last.good.as_ref().map(named).or(floor);
        // Whoever waited for one that failed shares that: one after the other they would wait for ever. And a
        // page that cannot be reached must not hold up every link.
        let shared = last
            .failed
            .as_ref()
            .filter(|(_, at)| *at >= asked || (fallback.is_some() && at.elapsed() < FETCH_AGAIN));
        let failed = match shared.map(|(why, _)| why.clone()) {
            Some(why) => why,
            None => match self.fetch(&mut last, http).await {
                Ok(known) => return Ok(named(&known)),
                Err(why) => why,
            },
        };
        // An old version is better than none: the server says when it is too old.
        fallback.ok_or_else(|| {
            Ending::retry(
                Cause::Unreachable,
                format!("WhatsApp's current version could not be fetched: {failed}"),
            )
        })
    }

    /// Notes that WhatsApp accepted a login with this version.
    pub(super) fn accepted(&self, version: Version) {
        let mut standing = self.standing();
        standing.accepted = standing.accepted.max(Some(version));
        let now = Timestamp::now();
        // A newer version has a date of its own, and a date that has passed was none.
        if standing
            .expires
            .is_some_and(|(old, at)| version > old || now > at)
        {
            standing.expires = None;
            self.warnings.client_goes_on();
        }
        // A login with an older version than the refused one says nothing about that: only one that names what
        // those who wait would name, or the refused version itself, or a newer one, helps them.
        let is_older = |(refused, _): (Version, u32)| version < refused;
        if standing.refused.is_some_and(is_older) && standing.named != Some(version) {
            return;
        }
        standing.refused = None;
        if !self.warnings.client_accepted() {
            return;
        }
        // Where WhatsApp accepts the version for some accounts and not for others, one login after the other
        // would send all who were refused to try again.
        let now = Instant::now();
        let told = standing.acceptance_told;
        if told.is_none_or(|told| now >= told + ACCEPTANCE_TOLD_EVERY) {
            standing.acceptance_told = Some(now);
            drop(standing);
            self.tell_news();
        }
    }

    /// Notes from when on WhatsApp will refuse this version, to which a link logged in; `None`: it takes that
    /// back.
    pub(super) fn expires(&self, version: Version, at: Option<Timestamp>) {
        let mut standing = self.standing();
        if standing.accepted.is_some_and(|accepted| version < accepted) {
            // No new link names that version.
            return;
        }
        standing.expires = at.map(|at| (version, at));
        match at {
            Some(at) => self.warnings.client_expires(at),
            None => self.warnings.client_goes_on(),
        }
    }

    /// Notes that WhatsApp refused a login for this version, and looks for a newer one. Returns whether it is
    /// certain that no try with this version helps.
    pub(super) fn refused(self: &Arc<Self>, version: Version, http: &Arc<dyn HttpClient>) -> bool {
        let mut standing = self.standing();
        if standing.named.is_some_and(|named| named > version) {
            // The next login names a newer one.
            return false;
        }
        let before = standing.refused.filter(|(known, _)| *known == version);
        let refusals = before.map_or(1, |(_, refusals)| refusals.saturating_add(1));
        standing.refused = Some((version, refusals));
        let must_look = self.fetches && !std::mem::replace(&mut standing.is_looking, true);
        drop(standing);
        if must_look {
            tokio::spawn(look_for_another(Arc::downgrade(self), Arc::clone(http)));
        }
        let is_certain = refusals >= CERTAIN;
        if is_certain {
            self.warnings.client_outdated(&in_words(version));
        }
        is_certain
    }

    /// Looks for a newer version than the one that was refused. Returns whether the search is over: there is
    /// one, or WhatsApp has accepted the old one.
    async fn look(&self, http: &Arc<dyn HttpClient>) -> bool {
        let Some(refused) = self.still_refused() else {
            return true;
        };
        let mut last = self.last.lock().await;
        self.read_disk(&mut last).await;
        let fetched = self.fetch(&mut last, http).await;
        drop(last);
        match fetched {
            Ok(known) if known.version > refused => self.search_is_over(),
            Ok(_) | Err(_) => self.still_refused().is_none(),
        }
    }

    /// The version that is refused; `None` ends the search.
    fn still_refused(&self) -> Option<Version> {
        let mut standing = self.standing();
        let refused = standing.refused.map(|(version, _)| version);
        standing.is_looking = refused.is_some();
        refused
    }

    fn search_is_over(&self) -> bool {
        self.standing().is_looking = false;
        true
    }

    /// Fetches the version, and takes it in.
    async fn fetch(&self, last: &mut Last, http: &Arc<dyn HttpClient>) -> Result<Known, String> {
        let fetched = fetch(http, &self.web).await;
        let version = fetched.inspect_err(|why| {
            tracing::warn!("WhatsApp's current version could not be fetched: {why}");
            last.failed = Some((why.clone(), Instant::now()));
        })?;
        let known = Known {
            version,
            fresh_until: Instant::now() + FRESH_FOR,
        };
        let before = last.good.replace(known).map(|before| before.version);
        self.write_disk(version).await;
        // Where none was known, the one of the configuration was named.
        if before != Some(version) {
            self.tell_news();
        }
        Ok(known)
    }

    // ---- the disk -------------------------------------------------------------------------------

    /// Takes what an earlier run of the daemon fetched, once.
    async fn read_disk(&self, last: &mut Last) {
        let store = self.kept.get().filter(|_| !last.is_read);
        let Some(store) = store.cloned() else { return };
        last.is_read = true;
        let disk = store.disk().clone();
        match disk.run(move || store.client_version()).await {
            Ok(Some(kept)) if kept.version.2 != 0 => {
                let age = Timestamp::now().duration_since(kept.fetched_at);
                // A time to come is a clock that was wrong.
                let age = Duration::try_from(age).unwrap_or(FRESH_FOR);
                last.good = Some(Known {
                    version: kept.version,
                    fresh_until: Instant::now() + FRESH_FOR.saturating_sub(age),
                });
            }
            Ok(_) => {}
            Err(why) => tracing::warn!("the version that was fetched last cannot be read: {why}"),
        }
    }

    async fn write_disk(&self, version: Version) {
        let Some(store) = self.kept.get().cloned() else {
            return;
        };
        let kept = ClientVersion {
            version,
            fetched_at: Timestamp::now(),
        };
        let disk = store.disk().clone();
        let written = disk.run(move || store.keep_client_version(&kept)).await;
        if let Err(why) = written {
            tracing::warn!("the fetched version cannot be kept for the next start: {why}");
        }
    }

    fn tell_news(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for a newer version, at longer and longer intervals, for as long as the present one is refused and
/// somebody uses it.
async fn look_for_another(versions: Weak<Versions>, http: Arc<dyn HttpClient>) {
    let mut pause = FIRST_LOOK;
    loop {
        match versions.upgrade() {
            Some(versions) if !versions.look(&http).await => {}
            _ => return,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

async fn fetch(http: &Arc<dyn HttpClient>, web: &Room) -> Result<Version, String> {
    let fetch = web.lend(whatsapp_rust::version::fetch_latest_app_version(http));
    match timeout(FETCH_TIMEOUT, fetch).await {
        // No client has it: the page is not what it was, or is another one.
        Ok(Ok((.., 0))) => Err("the page names revision 0, which is no version".to_owned()),
        Ok(Ok(version)) => Ok(version),
        Ok(Err(e)) => Err(format!("{e:#}")),
        Err(_) => Err(format!("no answer within {} s", FETCH_TIMEOUT.as_secs())),
    }
}

fn in_words((primary, secondary, tertiary): Version) -> String {
    format!("{primary}.{secondary}.{tertiary}")
}

#[cfg(test)]
mod tests;
