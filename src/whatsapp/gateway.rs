//! What all links share: where WhatsApp is, TLS, the HTTP client, the version.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_websockets::Connector;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL;

use super::dial::{Route, Target};
use super::endpoint::check_endpoint;
use super::presence::watch_stanzas;
use super::proxy::Proxy;
use super::resolver::Resolver;
use super::version::Versions;
use super::warnings::DaemonWarnings;
use crate::blocking::Rooms;
use crate::protocol::{ProxySource, SessionProxy};
use crate::store::{ProxyChoice, Store};

/// The buffers of an HTTP connection: the library's own choice for its small answers.
const HTTP_BUFFER: usize = 16 * 1024;
/// How long an HTTP connection may take, its addresses together. The client gives each its share: without a
/// limit it would wait minutes for the first, if that is dead.
const HTTP_CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may take to answer, and then to send what it answers. A call that waits has a thread.
const HTTP_ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const HTTP_BODY_WITHIN: Duration = Duration::from_mins(1);
/// How many idle connections an HTTP client keeps.
const HTTP_IDLE: usize = 3;

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
    /// The HTTP client could not be set up with the proxy.
    #[error("the proxy {0} cannot be used for HTTP: {1}")]
    ProxyRefused(Proxy, String),
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
    /// (names of hosts, WhatsApp's web page) are made in these rooms.
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
        Self::to(endpoint, settings, rooms)
    }

    pub(super) fn to(
        uri: http::Uri,
        settings: &GatewaySettings,
        rooms: &Rooms,
    ) -> Result<Self, GatewayError> {
        let proxy = settings.proxy.clone();
        let http = http_client(proxy.as_ref())?;
        if !watch_stanzas() {
            // Only where this process has spoken to WhatsApp before.
            tracing::warn!("the sessions' presence cannot be watched: phones may stay silent");
        }
        let warnings = DaemonWarnings::default();
        Ok(Self {
            target: Target {
                uri,
                route: proxy.map_or(Route::Direct, Route::Proxy),
                resolver: Resolver::new(rooms.resolver.clone()),
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
        })
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
        let mut gateway = self.clone();
        match route(choice) {
            Ok((route, http)) => {
                gateway.target.route = route;
                gateway.session_http = http;
            }
            Err(why) => gateway.target.route = Route::Closed(why),
        }
        gateway
    }

    /// The proxy through which a session goes for which this was chosen, as everybody may see it.
    #[must_use]
    pub fn proxy_of(&self, choice: Option<&ProxyChoice>) -> SessionProxy {
        let source = match choice {
            Some(_) => ProxySource::Session,
            None => ProxySource::Default,
        };
        let proxy = match self.through(choice).target.route {
            Route::Proxy(proxy) => Some(proxy),
            Route::Direct | Route::Closed(_) => None,
        };
        SessionProxy {
            source,
            authenticated: proxy.as_ref().is_some_and(Proxy::has_user),
            url: proxy.map(|proxy| proxy.to_string()),
        }
    }
}

/// The way that was chosen for a session, and its HTTP client; or why there is none.
fn route(choice: &ProxyChoice) -> Result<(Route, Arc<dyn HttpClient>), String> {
    let url = match choice {
        ProxyChoice::Direct => return Ok((Route::Direct, client(None))),
        ProxyChoice::Url(url) => url,
    };
    let unusable = |why: String| {
        format!("the proxy in the session's record cannot be used: {why}. `wactl proxy` changes it")
    };
    let proxy = Proxy::parse(url.reveal()).map_err(|e| unusable(e.to_string()))?;
    let http = http_client(Some(&proxy)).map_err(|e| unusable(e.to_string()))?;
    Ok((Route::Proxy(proxy), http))
}

fn http_client(proxy: Option<&Proxy>) -> Result<Arc<dyn HttpClient>, GatewayError> {
    let Some(proxy) = proxy else {
        return Ok(client(None));
    };
    match proxy.for_http() {
        Ok(http) => Ok(client(Some(http))),
        Err(e) => Err(GatewayError::ProxyRefused(proxy.clone(), e.to_string())),
    }
}

/// An HTTP client that goes through this proxy. What the environment says about proxies does not count.
fn client(proxy: Option<ureq::Proxy>) -> Arc<dyn HttpClient> {
    let agent = ureq::Agent::config_builder()
        .proxy(proxy)
        .input_buffer_size(HTTP_BUFFER)
        .output_buffer_size(HTTP_BUFFER)
        .max_idle_connections(HTTP_IDLE)
        .timeout_connect(Some(HTTP_CONNECT_WITHIN))
        .timeout_send_request(Some(HTTP_ANSWERED_WITHIN))
        .timeout_recv_response(Some(HTTP_ANSWERED_WITHIN))
        .timeout_recv_body(Some(HTTP_BODY_WITHIN))
        .build()
        .into();
    Arc::new(whatsapp_rust_ureq_http_client::UreqHttpClient::with_agent(
        agent,
    ))
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

    #[test]
    #[cfg(not(feature = "simulator"))]
    fn a_real_build_refuses_every_endpoint() {
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

    #[test]
    #[cfg(feature = "simulator")]
    fn a_simulator_build_refuses_what_is_not_loopback() {
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
        }
    }

    #[test]
    fn a_sessions_own_proxy_comes_before_the_configurations() {
        let settings = GatewaySettings {
            proxy: Some(Proxy::parse("http://me:pw@localhost:3128").expect("a proxy")),
            ..GatewaySettings::default()
        };
        let uri = "ws://127.0.0.1:1/".parse().expect("a URL");
        let gateway = Gateway::to(uri, &settings, &Rooms::new()).expect("a gateway");
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
            (Some(&broken), shown(ProxySource::Session, None, false)),
        ] {
            assert_eq!(gateway.proxy_of(choice), proxy);
        }
        // A proxy that cannot be used is not gone around.
        match gateway.through(Some(&broken)).target.route {
            Route::Closed(why) => assert!(!why.contains("pw"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
