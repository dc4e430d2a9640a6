//! Settings of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`Server`](crate::Server). The default is a server on a free
/// port of 127.0.0.1 that keeps everything in memory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen. Must be a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File that keeps keys, accounts, devices and what waits for them over restarts. Made if missing, mode 0600.
    pub state: Option<PathBuf>,
    /// How many codes a client gets to show, unless a fault says otherwise.
    pub refs: usize,
    /// How long the phone waits for the client's answer while pairing.
    pub pairing_deadline: Duration,
    /// How long a passkey may take to answer a challenge.
    pub passkey_timeout: Duration,
    /// How many observations are kept for [`Server::wait_for`](crate::Server::wait_for).
    pub journal: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: None,
            refs: 6,
            pairing_deadline: Duration::from_secs(20),
            passkey_timeout: Duration::from_mins(10),
            journal: 32_768,
        }
    }
}
