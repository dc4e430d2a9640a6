//! Why a session is not simply online: the closed list of causes, and how an unlink went.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a session ended, waits, or tries again.
///
/// The same names stand in events, statuses, the history, logs and counters. It travels as a string:
/// [`Cause::Refused`] with a code is `refused_<code>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Cause {
    /// The device was unlinked on the phone.
    Unlinked,
    /// WhatsApp logged the session out.
    LoggedOut,
    /// Another connection uses the same credentials.
    Replaced,
    /// WhatsApp locked the account.
    AccountLocked,
    /// WhatsApp declared the credentials invalid.
    Invalidated,
    /// Somebody asked for it with `force-logout`.
    ForceLogout,
    /// Nobody scanned the QR codes or entered the pair code in time.
    PairingExpired,
    /// A pairing was left unfinished, by a stop or a crash of the daemon or by `disconnect`.
    PairingAbandoned,
    /// WhatsApp refused the account for a time.
    TemporaryBan,
    /// WhatsApp no longer accepts this version of the client: it concerns the daemon, not the user.
    ClientOutdated,
    /// WhatsApp refused the login with this code, or without one.
    Refused(Option<u16>),
    /// WhatsApp's server is not available.
    ServerUnavailable,
    /// WhatsApp asks to slow down.
    RateLimited,
    /// WhatsApp ended the stream.
    StreamEnded,
    /// WhatsApp reported an error on the stream that ends no session.
    StreamError,
    /// The connection broke.
    ConnectionLost,
    /// A proxy between here and WhatsApp refused the connection.
    ProxyRefused,
    /// WhatsApp could not be reached: DNS, TCP, TLS, HTTP.
    Unreachable,
    /// The encrypted handshake failed.
    HandshakeFailed,
    /// The other end fell silent.
    Silent,
    /// Connecting made no progress in time.
    Stuck,
    /// The disk refused for now: full, read-only, no permission.
    StoreFailed,
    /// The daemon's own session task failed.
    TaskFailed,
    /// Nobody used the session for longer than the configured idle limit.
    Idle,
}

/// A string that names no cause of this version of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no cause that this version of the protocol knows")]
pub struct UnknownCause(String);

/// Every cause but [`Cause::Refused`], whose name has a code in it.
pub(super) const NAMES: [(Cause, &str); 23] = [
    (Cause::Unlinked, "unlinked"),
    (Cause::LoggedOut, "logged_out"),
    (Cause::Replaced, "replaced"),
    (Cause::AccountLocked, "account_locked"),
    (Cause::Invalidated, "invalidated"),
    (Cause::ForceLogout, "force_logout"),
    (Cause::PairingExpired, "pairing_expired"),
    (Cause::PairingAbandoned, "pairing_abandoned"),
    (Cause::TemporaryBan, "temporary_ban"),
    (Cause::ClientOutdated, "client_outdated"),
    (Cause::ServerUnavailable, "server_unavailable"),
    (Cause::RateLimited, "rate_limited"),
    (Cause::StreamEnded, "stream_ended"),
    (Cause::StreamError, "stream_error"),
    (Cause::ConnectionLost, "connection_lost"),
    (Cause::ProxyRefused, "proxy_refused"),
    (Cause::Unreachable, "unreachable"),
    (Cause::HandshakeFailed, "handshake_failed"),
    (Cause::Silent, "silent"),
    (Cause::Stuck, "stuck"),
    (Cause::StoreFailed, "store_failed"),
    (Cause::TaskFailed, "task_failed"),
    (Cause::Idle, "idle"),
];

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Some(code)) => write!(f, "refused_{code}"),
            Self::Refused(None) => f.write_str("refused"),
            named => {
                let known = NAMES.iter().find(|(cause, _)| cause == named);
                f.write_str(known.map_or("unknown", |(_, name)| name))
            }
        }
    }
}

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        if let Some((cause, _)) = NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*cause);
        }
        if text == "refused" {
            return Ok(Self::Refused(None));
        }
        text.strip_prefix("refused_")
            .and_then(|code| code.parse().ok())
            .map(|code| Self::Refused(Some(code)))
            .ok_or_else(|| UnknownCause(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Cause {
    type Error = UnknownCause;

    fn try_from(text: String) -> Result<Self, UnknownCause> {
        text.parse()
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.to_string()
    }
}

/// How unlinking the device at WhatsApp went, when a session was ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unlink {
    /// WhatsApp confirmed it: the device is gone from the phone's list.
    Confirmed,
    /// WhatsApp refused it: the device may still be in the phone's list.
    Refused,
    /// WhatsApp could not be reached in time: the device is still in the phone's list.
    Unreachable,
    /// There was nothing to unlink: the session was never paired, or WhatsApp had ended it already.
    NotLinked,
    /// It was not asked for: unlinking would have ended another connection's session.
    NotAsked,
}

impl Unlink {
    /// The name as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NotLinked => "not_linked",
            Self::NotAsked => "not_asked",
        }
    }

    /// Whether a person should look at Linked devices on the phone and remove the device there.
    #[must_use]
    pub const fn device_may_remain(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable)
    }
}

impl fmt::Display for Unlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        let refused = [None, Some(0), Some(409), Some(u16::MAX)].map(Cause::Refused);
        for cause in NAMES.iter().map(|(cause, _)| *cause).chain(refused) {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        for bad in [
            "",
            "unknown",
            "refused_",
            "refused_x",
            "refused_65536",
            "Unlinked",
        ] {
            assert!(bad.parse::<Cause>().is_err(), "{bad}");
        }
    }
}
