use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::advance;
use whatsapp_rust::anyhow;
use whatsapp_rust::http::{HttpRequest, HttpResponse};

use super::*;
use crate::protocol::WarningKind;

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

/// A page that names this revision; `u32::MAX`: it cannot be reached. With how often it was asked.
struct Page {
    revision: AtomicU32,
    asked: AtomicUsize,
}

const AWAY: u32 = u32::MAX;

impl Page {
    fn naming(revision: u32) -> Arc<Self> {
        Arc::new(Self {
            revision: AtomicU32::new(revision),
            asked: AtomicUsize::new(0),
        })
    }

    fn name(&self, revision: u32) {
        self.revision.store(revision, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl HttpClient for Page {
    async fn execute(&self, _: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.revision.load(Ordering::SeqCst) {
            AWAY => Err(anyhow::anyhow!("no route to host")),
            revision => Ok(HttpResponse {
                status_code: 200,
                body: format!("\"client_revision\":{revision},").into_bytes(),
            }),
        }
    }
}

fn versions(floor: Option<Version>) -> Arc<Versions> {
    Arc::new(Versions::new(
        floor,
        true,
        Room::new("web", 1),
        DaemonWarnings::default(),
    ))
}

fn http(page: &Arc<Page>) -> Arc<dyn HttpClient> {
    Arc::clone(page) as Arc<dyn HttpClient>
}

const OLD: Version = (2, 3000, 100);
const NEW: Version = (2, 3000, 200);

#[tokio::test(start_paused = true)]
async fn many_that_wait_for_a_dead_network_wait_together() {
    let network = Arc::new(Swallows::default());
    let http = Arc::clone(&network) as Arc<dyn HttpClient>;
    let versions = versions(None);
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

#[tokio::test(start_paused = true)]
async fn revision_0_is_no_version() {
    let page = Page::naming(0);
    let ending = versions(None).get(&http(&page)).await.expect_err("none");
    assert!(ending.error.contains("revision 0"), "{}", ending.error);
    assert_eq!(versions(Some(OLD)).get(&http(&page)).await, Ok(OLD));
}

#[tokio::test(start_paused = true)]
async fn the_configured_version_is_a_floor() {
    let page = Page::naming(200);
    assert_eq!(versions(Some(OLD)).get(&http(&page)).await, Ok(NEW));
    page.name(100);
    let versions = versions(Some(NEW));
    assert_eq!(versions.get(&http(&page)).await, Ok(NEW));
    // It can be changed, and whoever waits for that learns of it.
    let mut news = versions.news();
    versions.set_floor(None);
    assert!(news.has_changed().expect("alive"));
    assert_eq!(versions.get(&http(&page)).await, Ok(OLD));
    news.mark_unchanged();
    versions.set_floor(None);
    assert!(!news.has_changed().expect("alive"));
}

#[tokio::test(start_paused = true)]
async fn an_old_version_is_named_while_the_page_is_away_and_the_page_is_not_asked_for_each_link() {
    let page = Page::naming(100);
    let (versions, http) = (versions(None), http(&page));
    assert_eq!(versions.get(&http).await, Ok(OLD));
    page.name(AWAY);
    advance(FRESH_FOR + Duration::from_secs(1)).await;
    for _ in 0..100 {
        assert_eq!(versions.get(&http).await, Ok(OLD));
    }
    assert_eq!(page.asked(), 2);
    page.name(200);
    advance(FETCH_AGAIN).await;
    assert_eq!(versions.get(&http).await, Ok(NEW));
}

#[tokio::test(start_paused = true)]
async fn one_refusal_is_not_certain_two_are_and_a_login_between_them_takes_it_back() {
    let page = Page::naming(100);
    let (versions, http) = (versions(None), http(&page));
    versions.get(&http).await.expect("a version");
    assert!(!versions.refused(OLD, &http));
    versions.accepted(OLD);
    assert!(!versions.refused(OLD, &http));
    assert_eq!(versions.warnings.standing(), []);
    assert!(versions.refused(OLD, &http));
    let warnings = versions.warnings.standing();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert_eq!(warning.kind, WarningKind::ClientOutdated);
    assert!(warning.text.contains("2.3000.100"), "{}", warning.text);
    // Twenty sessions are one warning.
    for _ in 0..20 {
        assert!(versions.refused(OLD, &http));
    }
    assert_eq!(versions.warnings.standing(), warnings);
    // A login ends it, and whoever waits for that learns of it.
    let news = versions.news();
    versions.accepted(OLD);
    assert_eq!(versions.warnings.standing(), []);
    assert!(news.has_changed().expect("alive"));
    assert!(!versions.refused(OLD, &http));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_fetched_again_until_there_is_another_one() {
    let page = Page::naming(100);
    let (versions, http) = (versions(None), http(&page));
    versions.get(&http).await.expect("a version");
    let mut news = versions.news();
    for _ in 0..10 {
        versions.refused(OLD, &http);
    }
    // Each look is one fetch, however many were refused.
    sleep(FIRST_LOOK / 2).await;
    assert_eq!(page.asked(), 2);
    assert!(!news.has_changed().expect("alive"));
    page.name(AWAY);
    sleep(FIRST_LOOK).await;
    page.name(200);
    let began = Instant::now();
    news.changed().await.expect("news");
    assert!(began.elapsed() <= LONGEST_LOOK, "{:?}", began.elapsed());
    assert_eq!(versions.get(&http).await, Ok(NEW));
    let asked = page.asked();
    sleep(LONGEST_LOOK * 3).await;
    assert_eq!(page.asked(), asked, "the search is over");
    // The newer one may be refused in its turn. A late refusal of the old one says nothing about it.
    assert!(!versions.refused(OLD, &http));
    assert!(!versions.refused(NEW, &http));
    assert!(versions.refused(NEW, &http));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(page.asked(), asked + 1);
    // Without anybody who uses it nobody looks.
    drop(versions);
    sleep(LONGEST_LOOK * 3).await;
    assert_eq!(page.asked(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_version_that_is_found_after_a_refusal_is_told() {
    let page = Page::naming(AWAY);
    let (versions, http) = (versions(Some(OLD)), http(&page));
    assert_eq!(versions.get(&http).await, Ok(OLD), "the configuration's");
    assert!(!versions.refused(OLD, &http));
    assert!(versions.refused(OLD, &http));
    let mut news = versions.news();
    page.name(200);
    let told = timeout(LONGEST_LOOK * 2, news.changed()).await;
    told.expect("it is told").expect("alive");
    assert_eq!(versions.get(&http).await, Ok(NEW));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_some_accept_sends_nobody_to_try_all_the_time() {
    let page = Page::naming(100);
    let (versions, http) = (versions(None), http(&page));
    versions.get(&http).await.expect("a version");
    let mut news = versions.news();
    let mut told = 0;
    for _ in 0..60 {
        versions.refused(OLD, &http);
        versions.refused(OLD, &http);
        versions.accepted(OLD);
        told += u32::from(news.has_changed().expect("alive"));
        news.mark_unchanged();
        advance(Duration::from_mins(1)).await;
    }
    assert_eq!(told, 6, "in an hour");
}

#[tokio::test]
async fn a_fetched_version_is_kept_for_a_start_without_access_to_the_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let page = Page::naming(100);
    let first = versions(None);
    first.keep_in(store.clone());
    assert_eq!(first.get(&http(&page)).await, Ok(OLD));
    // It is fresh, so the next start does not even ask.
    let second = versions(None);
    second.keep_in(store.clone());
    assert_eq!(second.get(&http(&page)).await, Ok(OLD));
    assert_eq!(page.asked(), 1);
    // It is old, or of a clock that was wrong: it is fetched again, and named where that fails.
    for days in [-3, 3] {
        let old = ClientVersion {
            version: OLD,
            fetched_at: Timestamp::now() + jiff::SignedDuration::from_hours(24 * days),
        };
        store.keep_client_version(&old).expect("written");
        let third = versions(None);
        third.keep_in(store.clone());
        page.name(AWAY);
        assert_eq!(third.get(&http(&page)).await, Ok(OLD));
        let fourth = versions(None);
        fourth.keep_in(store.clone());
        page.name(200);
        assert_eq!(fourth.get(&http(&page)).await, Ok(NEW));
    }
    // What nobody can read harms nothing.
    std::fs::write(dir.path().join("client-version.toml"), "no TOML").expect("written");
    let fifth = versions(None);
    fifth.keep_in(store);
    assert_eq!(fifth.get(&http(&page)).await, Ok(NEW));
}

#[tokio::test(start_paused = true)]
async fn a_login_with_an_older_version_ends_nobodys_wait() {
    let page = Page::naming(200);
    let (versions, http) = (versions(None), http(&page));
    assert_eq!(versions.get(&http).await, Ok(NEW));
    versions.refused(NEW, &http);
    assert!(versions.refused(NEW, &http));
    let warned = versions.warnings.standing();
    let mut news = versions.news();
    // A link that was dialled before names the old one.
    versions.accepted(OLD);
    assert_eq!(versions.warnings.standing(), warned);
    assert!(!news.has_changed().expect("alive"));
    assert!(versions.refused(NEW, &http), "the count goes on");
    // The same version, or a newer one: whoever waits may try.
    for version in [NEW, (2, 3000, 300)] {
        versions.refused(NEW, &http);
        assert!(versions.refused(NEW, &http));
        advance(ACCEPTANCE_TOLD_EVERY).await;
        versions.accepted(version);
        assert_eq!(versions.warnings.standing(), []);
        assert!(news.has_changed().expect("alive"), "{version:?}");
        news.mark_unchanged();
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_configuration_names_no_more_is_not_waited_for() {
    let page = Page::naming(100);
    let (versions, http) = (versions(Some(NEW)), http(&page));
    assert_eq!(versions.get(&http).await, Ok(NEW));
    versions.refused(NEW, &http);
    assert!(versions.refused(NEW, &http));
    versions.set_floor(None);
    assert_eq!(versions.get(&http).await, Ok(OLD));
    versions.accepted(OLD);
    assert_eq!(versions.warnings.standing(), []);
}

#[tokio::test]
async fn the_warning_of_an_expiry_goes_when_it_is_not_true_any_more() {
    let far = Timestamp::now() + jiff::SignedDuration::from_hours(240);
    let kinds = |versions: &Versions| -> Vec<_> {
        let standing = versions.warnings.standing();
        standing.into_iter().map(|warning| warning.kind).collect()
    };
    let warned = || {
        let versions = versions(None);
        versions.accepted(OLD);
        versions.expires(OLD, Some(far));
        assert_eq!(kinds(&versions), [WarningKind::ClientExpires]);
        // The next login with it does not prove anything.
        versions.accepted(OLD);
        assert_eq!(kinds(&versions), [WarningKind::ClientExpires]);
        versions
    };
    // WhatsApp takes it back.
    let versions = warned();
    versions.expires(OLD, None);
    assert_eq!(kinds(&versions), []);
    // A newer version is in use. What a link with the old one is told then does not count.
    let versions = warned();
    versions.accepted(NEW);
    assert_eq!(kinds(&versions), []);
    versions.expires(OLD, Some(far));
    assert_eq!(kinds(&versions), []);
    versions.expires(NEW, Some(far));
    assert_eq!(kinds(&versions), [WarningKind::ClientExpires]);
    // The day has come, and WhatsApp accepts it all the same.
    let past = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    versions.expires(NEW, Some(past));
    versions.accepted(NEW);
    assert_eq!(kinds(&versions), []);
}
