//! Causes and unlinks in words.

use crate::protocol::{Cause, EventKind, HistoryEntry, Unlink};

use super::plain;
use super::time::absolute;

/// The meaning of a cause, as half a sentence.
pub(crate) fn in_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Unlinked => "the device was unlinked on the phone",
        Cause::LoggedOut => "WhatsApp logged the session out",
        Cause::Replaced => "another connection uses the same credentials",
        Cause::CopiedCredentials => "another session of this daemon has the same credentials",
        Cause::AccountLocked => "WhatsApp locked the account",
        Cause::Invalidated => "WhatsApp declared the credentials invalid",
        Cause::ForceLogout => "somebody asked for it with force-logout",
        Cause::PairingExpired => "nobody finished the pairing in time",
        Cause::PasskeyRequired => "WhatsApp wants a passkey for the pairing",
        Cause::WrongAccount => "another account was linked than the one that is expected",
        Cause::PairingAbandoned => "the pairing was left unfinished",
        Cause::TemporaryBan => "WhatsApp refuses the account for a time",
        Cause::ClientOutdated => "WhatsApp no longer accepts this version of the daemon's client",
        Cause::Refused(_) => "WhatsApp refused the login",
        Cause::ServerUnavailable => "WhatsApp's server is not available",
        Cause::RateLimited => "WhatsApp asks to slow down",
        Cause::StreamEnded => "WhatsApp ended the stream",
        Cause::StreamError => "WhatsApp reported an error on the stream",
        Cause::ConnectionLost => "the connection broke",
        Cause::ProxyRefused => "a proxy refused the connection",
        Cause::Unreachable => "WhatsApp cannot be reached",
        Cause::HandshakeFailed => "the encrypted handshake failed",
        Cause::Silent => "the other end fell silent",
        Cause::Stuck => "connecting made no progress in time",
        Cause::StoreFailed => "the disk refused for now",
        Cause::TaskFailed => "the daemon's own session task failed",
        Cause::Idle => "nobody used the session for a long time",
        Cause::Unknown(_) => "the daemon is newer than this wactl, which does not know this cause",
    }
}

/// Why a session ended, as half a sentence.
pub(crate) fn why(entry: &HistoryEntry) -> &'static str {
    if entry.removed_soon().is_some() {
        "WhatsApp removed the device right after it was linked"
    } else {
        in_words(entry.cause)
    }
}

/// What is known of the end besides: by the daemon, or in WhatsApp's own words.
pub(crate) fn said(entry: &HistoryEntry) -> Option<String> {
    let text = plain(entry.text.as_deref()?);
    let own = matches!(
        EventKind::from_end(entry.clone()),
        EventKind::PairingExpired(_)
    );
    let own = own
        || entry.removed_soon().is_some()
        || matches!(entry.cause, Cause::PasskeyRequired | Cause::WrongAccount);
    Some(if own {
        text
    } else {
        format!("WhatsApp says: {text}")
    })
}

/// `replaced (another connection uses the same credentials)`
pub(crate) fn with_words(cause: Cause) -> String {
    format!("{cause} ({})", in_words(cause))
}

/// The state of the device in the phone's list.
pub(crate) fn unlink_in_words(unlink: Unlink) -> &'static str {
    match unlink {
        Unlink::Confirmed => "the device is gone from the phone's list",
        Unlink::Refused | Unlink::NotKnown | Unlink::Unknown(_) => {
            "the device may still be in the phone's list"
        }
        Unlink::Unreachable => "the device is still in the phone's list",
        Unlink::NotLinked => "there was nothing to unlink",
        Unlink::NotAsked => "unlinking would have ended another connection's session",
    }
}

/// The end of the last session of a user who has none now.
pub(crate) fn last_logout(entry: &HistoryEntry) -> String {
    let HistoryEntry {
        user, at, cause, ..
    } = entry;
    format!(
        "The last session of {user} ended {}: {cause} ({}).",
        absolute(*at),
        why(entry)
    )
}
