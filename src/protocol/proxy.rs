//! The proxy of a session.

use serde::{Deserialize, Serialize};

use super::Redacted;
use super::name::open_names;

/// A change of the proxy through which a session reaches WhatsApp. A session that is connected, or tries
/// to be, connects again through the new one at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProxyEdit {
    /// Change nothing.
    Show,
    /// This proxy, as a URL: `http://`, `socks5://` (the names of hosts are looked up here) or `socks5h://`
    /// (the proxy looks them up), perhaps with a user and a password, a host, and a port.
    Set(Redacted),
    /// No proxy, also where the configuration names one for all.
    None,
    /// What the configuration says for all sessions.
    Clear,
}

/// The proxy through which a session reaches WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SessionProxy {
    /// Who chose it.
    pub source: ProxySource,
    /// Its URL without user and password; `None`: WhatsApp is reached without a proxy.
    pub url: Option<String>,
    /// Whether a user and a password go with it. Nobody is told what they are.
    pub authenticated: bool,
    /// Why the proxy that was chosen for the session cannot be used: then the session does not connect.
    #[serde(default)]
    pub error: Option<String>,
}

open_names! {
    /// Who chose the proxy of a session.
    pub enum ProxySource {
        /// The configuration, for all sessions.
        Default = "default",
        /// Somebody who may control the session.
        Session = "session",
    }
}
