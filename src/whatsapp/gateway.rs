//! What all links share: where WhatsApp is, TLS, the HTTP client, the version.

use std::num::NonZeroU16;
use std::sync::Arc;

use tokio_websockets::Connector;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL;

use super::dial::{Proxy, Target};
use super::endpoint::check_endpoint;
use super::presence::watch_stanzas;
use super::resolver::Resolver;
use super::version::Versions;
use super::warnings::DaemonWarnings;
use crate::blocking::Rooms;

/// How to reach WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Another endpoint than WhatsApp's: only in simulator builds, only on loopback.
    pub endpoint: Option<String>,
    /// WhatsApp Web's version; `None`: asked from WhatsApp.
    pub version: Option<(u32, u32, u32)>,
    /// The name under which the device stands in the phone's list.
    pub device_name: String,
    /// An HTTP proxy, `http://host:port`.
    pub proxy: Option<String>,
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
    /// Not a proxy URL. It is not repeated: it may hold a password.
    #[error(
        "the proxy is not a URL like http://proxy.example:3128 (only HTTP proxies without a password are supported)"
    )]
    NotAProxy,
    /// The HTTP client could not be set up with the proxy.
    #[error("the proxy {0:?} cannot be used: {1}")]
    ProxyRefused(String, String),
}

/// What all links share.
#[derive(Clone)]
pub struct Gateway {
    pub(super) target: Target,
    pub(super) connector: Arc<Connector>,
    pub(super) http: Arc<dyn HttpClient>,
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
        let proxy = settings.proxy.as_deref().map(parse_proxy).transpose()?;
        if !watch_stanzas() {
            // Only where this process has spoken to WhatsApp before.
            tracing::warn!("the sessions' presence cannot be watched: phones may stay silent");
        }
        Ok(Self {
            target: Target {
                uri,
                proxy,
                resolver: Resolver::new(rooms.resolver.clone()),
            },
            connector: Arc::new(whatsapp_rust::transport::default_tls_connector()),
            http: http_client(settings.proxy.as_deref())?,
            versions: Arc::new(Versions::new(settings.version, rooms.web.clone())),
            device_name: settings.device_name.as_str().into(),
            warnings: DaemonWarnings::default(),
        })
    }

    /// What concerns the daemon and all its sessions.
    #[must_use]
    pub fn warnings(&self) -> &DaemonWarnings {
        &self.warnings
    }
}

/// Whether a proxy can be used, by its URL.
///
/// # Errors
/// [`GatewayError::NotAProxy`]: it cannot.
pub fn check_proxy(url: &str) -> Result<(), GatewayError> {
    parse_proxy(url).map(drop)
}

fn parse_proxy(url: &str) -> Result<Proxy, GatewayError> {
    let refused = || GatewayError::NotAProxy;
    let uri: http::Uri = url.parse().map_err(|_| refused())?;
    let authority = uri.authority().ok_or_else(refused)?;
    if uri.scheme_str() != Some("http") {
        return Err(refused());
    }
    // A user and a password would stand before the host.
    let (host, whole) = (authority.host(), authority.as_str());
    let port = match whole.strip_prefix(host).ok_or_else(refused)? {
        "" => 80,
        port => {
            let port = port.strip_prefix(':').ok_or_else(refused)?;
            port.parse::<NonZeroU16>().map_err(|_| refused())?.get()
        }
    };
    Ok(Proxy {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
    })
}

fn http_client(proxy: Option<&str>) -> Result<Arc<dyn HttpClient>, GatewayError> {
    let Some(url) = proxy else {
        return Ok(Arc::new(
            whatsapp_rust_ureq_http_client::UreqHttpClient::new(),
        ));
    };
    let proxy = ureq::Proxy::new(url)
        .map_err(|e| GatewayError::ProxyRefused(url.to_owned(), e.to_string()))?;
    let agent = ureq::Agent::config_builder()
        .proxy(Some(proxy))
        .build()
        .into();
    Ok(Arc::new(
        whatsapp_rust_ureq_http_client::UreqHttpClient::with_agent(agent),
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

    #[test]
    fn proxies() {
        let proxy = |host: &str, port| {
            Ok(Proxy {
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(
            parse_proxy("http://proxy.example:3128"),
            proxy("proxy.example", 3128)
        );
        assert_eq!(parse_proxy("http://[::1]"), proxy("::1", 80));
        for bad in [
            "proxy:3128",
            "socks5://proxy",
            "http://user:pw@proxy:1",
            "http://proxy:99999",
            "http://proxy:0",
            "http://proxy:",
            "",
        ] {
            let refused = parse_proxy(bad).map_err(|e| e.to_string());
            let why = refused.expect_err(bad);
            assert!(!why.contains("pw"), "{why}");
        }
    }
}
