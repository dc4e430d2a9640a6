//! Why a session is not simply online, and how an unlink went.

use std::fmt;
use std::str::FromStr;

use super::UnknownName;
use super::name::{open_names, travels_as_name};

/// Why a session ended, waits, or tries again.
///
/// The same names stand in events, statuses, the history, logs and counters. It travels as a string:
/// [`Cause::Refused`] with a code is `refused_<code>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The device was unlinked on the phone.
    Unlinked,
    /// WhatsApp logged the session out.
    LoggedOut,
    /// Another connection uses the same credentials.
    Replaced,
    /// Another session of this daemon has the same credentials: this one is a copy.
    CopiedCredentials,
    /// WhatsApp locked the account.
    AccountLocked,
    /// WhatsApp declared the credentials invalid.
    Invalidated,
    /// Somebody asked for it with `force-logout`.
    ForceLogout,
    /// Nobody scanned the QR codes or entered the pair code in time.
    PairingExpired,
    /// WhatsApp wanted a passkey for the pairing, and got none that it took.
    PasskeyRequired,
    /// Another account was linked than the one that was expected.
    WrongAccount,
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
    /// The disk refused for now: no room, read-only, no permission, no descriptors.
    StoreFailed,
    /// The daemon's own session task failed.
    TaskFailed,
    /// Nobody used the session for longer than the configured idle limit.
    Idle,
    /// A newer daemon said a cause that this version does not know.
    Unknown(UnknownName),
}

impl Cause {
    /// Whether nothing ends for this cause but a pairing that nobody has finished: nobody came in time, or this
    /// kept it from going on. A session that is linked waits, or tries again.
    #[must_use]
    pub fn ends_pairings_only(self) -> bool {
        matches!(
            self,
            Self::PairingExpired
                | Self::PairingAbandoned
                | Self::TemporaryBan
                | Self::ClientOutdated
                | Self::Refused(_)
                | Self::ServerUnavailable
                | Self::RateLimited
                | Self::StreamEnded
                | Self::StreamError
                | Self::ConnectionLost
                | Self::ProxyRefused
                | Self::Unreachable
                | Self::HandshakeFailed
                | Self::Silent
                | Self::Stuck
                | Self::StoreFailed
                | Self::TaskFailed
        )
    }
}

travels_as_name!(Cause);

/// Every known cause but [`Cause::Refused`], whose name has a code in it.
pub(super) const NAMES: &[(Cause, &str)] = &[
    (Cause::Unlinked, "unlinked"),
    (Cause::LoggedOut, "logged_out"),
    (Cause::Replaced, "replaced"),
    (Cause::CopiedCredentials, "copied_credentials"),
    (Cause::AccountLocked, "account_locked"),
    (Cause::Invalidated, "invalidated"),
    (Cause::ForceLogout, "force_logout"),
    (Cause::PairingExpired, "pairing_expired"),
    (Cause::PasskeyRequired, "passkey_required"),
    (Cause::WrongAccount, "wrong_account"),
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
            Self::Unknown(name) => fmt::Display::fmt(name, f),
            known => {
                let entry = NAMES.iter().find(|(cause, _)| cause == known);
                f.write_str(entry.map_or("unknown", |(_, name)| name))
            }
        }
    }
}

impl From<&str> for Cause {
    fn from(name: &str) -> Self {
        if let Some((cause, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return *cause;
        }
        if name == "refused" {
            return Self::Refused(None);
        }
        name.strip_prefix("refused_")
            .and_then(|code| code.parse().ok())
            .map_or_else(
                || Self::Unknown(UnknownName::new(name)),
                |code| Self::Refused(Some(code)),
            )
    }
}

/// Reads a cause that this version knows.
impl FromStr for Cause {
    /// The name, where this version does not know it.
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match Self::from(name) {
            Self::Unknown(name) => Err(name),
            known => Ok(known),
        }
    }
}

open_names! {
    /// How unlinking the device at WhatsApp went, when a session was ended from this side.
    pub enum Unlink {
        /// WhatsApp confirmed it: the device is gone from the phone's list.
        Confirmed = "confirmed",
        /// WhatsApp refused it: the device may still be in the phone's list.
        Refused = "refused",
        /// WhatsApp could not be reached in time: the device is still in the phone's list.
        Unreachable = "unreachable",
        /// There was nothing to unlink: the session was never paired, or WhatsApp had said that the device is
        /// gone.
        NotLinked = "not_linked",
        /// It was not asked for: unlinking would have ended another connection's session.
        NotAsked = "not_asked",
        /// WhatsApp ended the session and did not say whether the device is still in the phone's list.
        NotKnown = "unknown",
    }
}

impl Unlink {
    /// Whether a person should look at Linked devices on the phone and remove the device there.
    #[must_use]
    pub const fn device_may_remain(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::Unreachable | Self::NotKnown | Self::Unknown(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        let refused = [None, Some(0), Some(409), Some(u16::MAX)].map(Cause::Refused);
        for cause in NAMES.iter().map(|(cause, _)| *cause).chain(refused) {
            assert_eq!(Cause::from(cause.to_string().as_str()), cause);
        }
    }

    #[test]
    fn an_unknown_name_is_kept() {
        for name in [
            "",
            "unknown",
            "refused_",
            "refused_x",
            "refused_65536",
            "Unlinked",
        ] {
            let cause = Cause::from(name);
            assert!(matches!(cause, Cause::Unknown(_)), "{name}");
            assert_eq!(cause.to_string(), name);
            assert!(name.parse::<Cause>().is_err(), "{name}");
        }
    }
}
