//! How to connect.

use std::time::Duration;

use crate::protocol::codec::Encoding;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// The encoding of the messages. bincode is spoken with a daemon of the same revision;
    /// [`Client::connect`](super::Client::connect) speaks JSON with any other.
    pub encoding: Encoding,
    /// What this program calls itself, for the daemon's log.
    pub name: String,
    /// How long connecting may take, with the preface.
    pub connect_timeout: Duration,
    /// How long a request may take. Longer than the daemon's own deadlines, so that it is the daemon
    /// who says what went wrong.
    pub request_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            encoding: Encoding::Bincode,
            name: concat!("wasessiond-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_mins(1),
        }
    }
}
