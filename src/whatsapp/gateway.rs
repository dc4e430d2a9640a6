//! What all links share: where WhatsApp is, TLS, the HTTP client, the version.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_websockets::Connector;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL;

use super::dial::{Route, Target};
use super::endpoint::check_endpoint;
use super::presence::watch_stanzas;
use super::proxy::{Proxy, ProxyError};
use super::resolver::Resolver;
use super::version::Versions;
use super::warnings::DaemonWarnings;
use super::web;
use crate::blocking::Rooms;
use crate::protocol::{ProxySource, SessionProxy};
use crate::store::{ProxyChoice, Store};

/// How to reach WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Another endpoint than WhatsApp's: only in simulator builds, only on loopback.
    pub endpoint: Option<String>,
    /// The version of WhatsApp Web to name at least. WhatsApp is asked for a newer one, but no simulator is.
    pub version: Option<(u32, u32, u32)>,
    /// The name under which the device stands in the phone's list.
    pub device_name: String,
    /// The proxy of all sessions that have none of their own.
    pub proxy: Option<Proxy>,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            version: None,
            device_name: "wasessiond".to_owned(),
            proxy: None,
        }
    }
}

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// This build speaks to WhatsApp only.
    #[error(
        "the endpoint {0:?} is refused: this daemon speaks to WhatsApp only. To rehearse against a simulator, build it with --features simulator"
    )]
    NotASimulator(String),
    /// A simulator build must not reach beyond this machine.
    #[error(
        "the endpoint {0:?} is refused: a simulator build does not check WhatsApp's certificate, so it speaks to a loopback address only, like ws://127.0.0.1:8430/ws/chat"
    )]
    NotLoopback(String),
    /// Not a WebSocket URL.
    #[error("the endpoint {0:?} is not a WebSocket URL like ws://127.0.0.1:8430/ws/chat")]
    NotAUrl(String),
}

/// What all links share.
#[derive(Clone)]
pub struct Gateway {
    pub(super) target: Target,
    pub(super) connector: Arc<Connector>,
    /// For what concerns all sessions. It goes through the configuration's proxy.
    pub(super) http: Arc<dyn HttpClient>,
    /// For what concerns one session. It goes through that session's proxy.
    pub(super) session_http: Arc<dyn HttpClient>,
    pub(super) versions: Arc<Versions>,
    pub(super) device_name: Arc<str>,
    pub(super) warnings: DaemonWarnings,
    pub(super) rooms: Rooms,
    /// The runtime of the links, where the calls of the rooms make their connections.
    pub(super) runtime: Handle,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("uri", &self.target.uri)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway to WhatsApp, or in a simulator build to the endpoint of the settings. The calls that block
    /// (names of hosts, WhatsApp's web page, media) are made in these rooms, and connections on the runtime
    /// within which this is called.
    ///
    /// # Errors
    /// [`GatewayError`] says which setting cannot be used.
    pub fn new(settings: &GatewaySettings, rooms: &Rooms) -> Result<Self, GatewayError> {
        let endpoint = match &settings.endpoint {
            None => WHATSAPP_WEB_WS_URL
                .parse()
                .map_err(|_| GatewayError::NotAUrl(WHATSAPP_WEB_WS_URL.to_owned()))?,
            Some(endpoint) if cfg!(feature = "simulator") => check_endpoint(endpoint)?,
            Some(endpoint) => return Err(GatewayError::NotASimulator(endpoint.clone())),
        };
        Ok(Self::to(endpoint, settings, rooms))
    }

    pub(super) fn to(uri: http::Uri, settings: &GatewaySettings, rooms: &Rooms) -> Self {
        let route = settings.proxy.clone().map_or(Route::Direct, Route::Proxy);
        let resolver = Resolver::new(rooms.resolver.clone());
        let runtime = Handle::current();
        let http = web::client(route.clone(), resolver.clone(), runtime.clone());
        if !watch_stanzas() {
            // Only where this process has spoken to WhatsApp before.
            tracing::warn!("the sessions' presence cannot be watched: phones may stay silent");
        }
        let warnings = DaemonWarnings::default();
        Self {
            target: Target {
                uri,
                route,
                resolver,
            },
            connector: Arc::new(whatsapp_rust::transport::default_tls_connector()),
            session_http: Arc::clone(&http),
            http,
            versions: Arc::new(Versions::new(
                settings.version,
                !cfg!(feature = "simulator"),
                rooms.web.clone(),
                warnings.clone(),
            )),
            device_name: settings.device_name.as_str().into(),
            warnings,
            rooms: rooms.clone(),
            runtime,
        }
    }

    /// Keeps the versions that are fetched from WhatsApp in this state directory, for starts that cannot fetch
    /// one.
    pub fn keep_versions_in(&self, store: Store) {
        self.versions.keep_in(store);
    }

    /// Changes the version of WhatsApp Web to name at least.
    pub fn set_version(&self, version: Option<(u32, u32, u32)>) {
        self.versions.set_floor(version);
    }

    /// Ticks when sessions that WhatsApp refused for their version may try again.
    #[must_use]
    pub fn version_news(&self) -> watch::Receiver<u64> {
        self.versions.news()
    }

    /// What concerns the daemon and all its sessions.
    #[must_use]
    pub fn warnings(&self) -> &DaemonWarnings {
        &self.warnings
    }

    /// The same gateway through the proxy that was chosen for a session; `None`: the configuration's.
    #[must_use]
    pub fn through(&self, choice: Option<&ProxyChoice>) -> Self {
        let Some(choice) = choice else {
            return self.clone();
        };
        let route = match chosen(choice) {
            Ok(proxy) => proxy.map_or(Route::Direct, Route::Proxy),
            Err(why) => Route::Closed(format!(
                "the proxy in the session's record cannot be used: {why}. `wactl proxy` changes it"
            )),
        };
        let mut gateway = self.clone();
        let resolver = gateway.target.resolver.clone();
        gateway.session_http = web::client(route.clone(), resolver, gateway.runtime.clone());
        gateway.target.route = route;
        gateway
    }

    /// The proxy of all sessions that have none of their own.
    fn default_proxy(&self) -> Option<Proxy> {
        match &self.target.route {
            Route::Proxy(proxy) => Some(proxy.clone()),
            Route::Direct | Route::Closed(_) => None,
        }
    }

    /// The proxy through which a session goes for which this was chosen, as everybody may see it.
    #[must_use]
    pub fn proxy_of(&self, choice: Option<&ProxyChoice>) -> SessionProxy {
        let (source, proxy) = match choice {
            Some(choice) => (ProxySource::Session, chosen(choice)),
            None => (ProxySource::Default, Ok(self.default_proxy())),
        };
        let (proxy, error) = match proxy {
            Ok(proxy) => (proxy, None),
            Err(why) => (None, Some(why.to_string())),
        };
        SessionProxy {
            source,
            authenticated: proxy.as_ref().is_some_and(Proxy::has_user),
            url: proxy.map(|proxy| proxy.to_string()),
            error,
        }
    }
}

/// The proxy that was chosen for a session; `None`: none.
fn chosen(choice: &ProxyChoice) -> Result<Option<Proxy>, ProxyError> {
    match choice {
        ProxyChoice::Direct => Ok(None),
        ProxyChoice::Url(url) => Proxy::parse(url.reveal()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_endpoint(endpoint: &str) -> Result<(), GatewayError> {
        let settings = GatewaySettings {
            endpoint: Some(endpoint.to_owned()),
            ..GatewaySettings::default()
        };
        Gateway::new(&settings, &Rooms::new()).map(|_| ())
    }

    #[tokio::test]
    #[cfg(not(feature = "simulator"))]
    async fn a_real_build_refuses_every_endpoint() {
        for endpoint in [
            "ws://127.0.0.1:1/ws/chat",
            "wss://web.whatsapp.com/ws/chat",
            "",
        ] {
            assert!(matches!(
                with_endpoint(endpoint),
                Err(GatewayError::NotASimulator(_))
            ));
        }
    }

    #[tokio::test]
    #[cfg(feature = "simulator")]
    async fn a_simulator_build_refuses_what_is_not_loopback() {
        assert_eq!(with_endpoint("ws://127.0.0.1:8430/ws/chat"), Ok(()));
        for endpoint in ["wss://web.whatsapp.com/ws/chat", "ws://localhost:1/ws/chat"] {
            assert!(
                matches!(with_endpoint(endpoint), Err(GatewayError::NotLoopback(_))),
                "{endpoint}"
            );
        }
    }

    fn shown(source: ProxySource, url: Option<&str>, authenticated: bool) -> SessionProxy {
        SessionProxy {
            source,
            url: url.map(str::to_owned),
            authenticated,
            error: None,
        }
    }

    #[tokio::test]
    async fn a_sessions_own_proxy_comes_before_the_configurations() {
        let settings = GatewaySettings {
            proxy: Some(Proxy::parse("http://me:pw@localhost:3128").expect("a proxy")),
            ..GatewaySettings::default()
        };
        let uri = "ws://127.0.0.1:1/".parse().expect("a URL");
        let gateway = Gateway::to(uri, &settings, &Rooms::new());
        let own = ProxyChoice::Url("socks5h://[::1]:9".into());
        let broken = ProxyChoice::Url("http://me:pw@localhost:x".into());
        for (choice, proxy) in [
            (
                None,
                shown(ProxySource::Default, Some("http://localhost:3128"), true),
            ),
            (
                Some(&own),
                shown(ProxySource::Session, Some("socks5h://[::1]:9"), false),
            ),
            (
                Some(&ProxyChoice::Direct),
                shown(ProxySource::Session, None, false),
            ),
        ] {
            assert_eq!(gateway.proxy_of(choice), proxy);
        }
        // One that cannot be used is not shown as none.
        let unusable = gateway.proxy_of(Some(&broken));
        let why = unusable.error.expect("what is wrong");
        assert_eq!(
            (unusable.source, unusable.url),
            (ProxySource::Session, None)
        );
        assert!(
            why.contains("not a proxy's URL") && !why.contains("me:pw"),
            "{why}"
        );
        // A proxy that cannot be used is not gone around.
        match gateway.through(Some(&broken)).target.route {
            Route::Closed(why) => assert!(!why.contains("pw"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
