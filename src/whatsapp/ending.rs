//! What each ending of a link means. Pure.
//!
//! **Only a [`Verdict::Wipe`] wipes, and the list of endings that have it is closed.** An ending that is
//! not known keeps the credentials.

use std::time::Duration;

use whatsapp_rust::wacore_binary::Node;

use super::backend::Fault;
use crate::protocol::{Cause, Redacted, Unlink};

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What follows from it.
    pub verdict: Verdict,
    /// What happened, in words, for the status. Holds no secret.
    pub error: String,
    /// What WhatsApp itself said to the person.
    pub text: Option<String>,
    /// The one-time token to appeal against a locked account.
    pub appeal_token: Option<Redacted>,
}

/// What follows from an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The credentials are dead. With what WhatsApp said about the device: it is gone from the phone's list,
    /// or nobody knows.
    Wipe(Cause, Unlink),
    /// Another connection uses the same credentials; the policy decides.
    Conflict,
    /// WhatsApp locked the account; the policy decides.
    Locked,
    /// Keep them, stop, wait for a person.
    Park(Cause),
    /// Keep them, stop for this long.
    Hold(Cause, Duration),
    /// Keep them, try again.
    Retry(Cause, Pace),
    /// Their bytes are wrong: keep them as they are, wait for a person.
    Unusable,
}

/// How soon to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once: the end was part of the plan, or the next login tells what it meant.
    AtOnce,
    /// With the usual backoff.
    Usual,
    /// With a long backoff: WhatsApp asked for it.
    Long,
    /// After a wait of minutes to hours: WhatsApp does not accept the client's version, and no try helps before
    /// that changes.
    Outdated,
}

/// How long a ban is whose end cannot be used.
const BAN_OF_UNKNOWN_LENGTH: Duration = Duration::from_hours(24);
/// How long a ban is that ends now by the server's words.
const BAN_OF_NO_LENGTH: Duration = Duration::from_mins(1);
/// The longest ban: a larger number is not a time.
const LONGEST_BAN: Duration = Duration::from_hours(87840);
/// What WhatsApp said is kept up to this many characters.
const LONGEST_TEXT: usize = 2000;

impl Ending {
    pub(super) fn new(verdict: Verdict, error: impl Into<String>) -> Self {
        Self {
            verdict,
            error: error.into(),
            text: None,
            appeal_token: None,
        }
    }

    /// What this ending of a link means for the unlink that the link was opened for.
    #[must_use]
    pub fn as_unlink(&self) -> Unlink {
        match self.verdict {
            // WhatsApp knows no such device any more, and there is nothing to unlink; or it accepts the
            // credentials for nothing, and does not say whether it knows the device.
            Verdict::Wipe(_, known) => known,
            _ => Unlink::Unreachable,
        }
    }

    pub(super) fn retry(cause: Cause, error: impl Into<String>) -> Self {
        Self::new(Verdict::Retry(cause, Pace::Usual), error)
    }
}

/// What it means that the credentials cannot be read or written any more: what cannot be stored must not go on
/// being received.
pub(super) fn from_fault(fault: &Fault) -> Ending {
    let verdict = match fault {
        Fault::Unavailable(_) => Verdict::Retry(Cause::StoreFailed, Pace::Usual),
        Fault::Unusable(_) => Verdict::Unusable,
        Fault::ClaimLost => Verdict::Park(Cause::Replaced),
    };
    Ending::new(verdict, fault.to_string())
}

/// Reads a `<stream:error>`. `None`: it does not end the link (a stanza was not acknowledged).
pub(super) fn from_stream_error(node: &Node) -> Option<Ending> {
    let code = attr(node, "code").unwrap_or_default();
    let conflict = node.get_optional_child("conflict");
    if let Some(conflict) = conflict {
        return Some(from_conflict(&code, attr(conflict, "type").as_deref()));
    }
    let ending = match code.as_str() {
        "401" if node.children().is_some_and(|children| !children.is_empty()) => {
            confirm("stream error 401 for a reason that is not known")
        }
        "401" => Ending::new(
            Verdict::Wipe(Cause::LoggedOut, Unlink::NotKnown),
            "WhatsApp logged the session out (stream error 401)",
        ),
        "516" => Ending::new(
            Verdict::Wipe(Cause::Unlinked, Unlink::NotLinked),
            "the device was removed from the account (stream error 516)",
        ),
        "409" => Ending::new(
            Verdict::Conflict,
            "another connection took over (stream error 409)",
        ),
        "515" => Ending::new(
            Verdict::Retry(Cause::StreamEnded, Pace::AtOnce),
            "WhatsApp asked to connect again (stream error 515)",
        ),
        "503" => Ending::retry(
            Cause::ServerUnavailable,
            "WhatsApp's server is not available (stream error 503)",
        ),
        "429" => Ending::new(
            Verdict::Retry(Cause::RateLimited, Pace::Long),
            "WhatsApp asks to slow down (stream error 429)",
        ),
        "" => return from_codeless(node),
        other => Ending::retry(
            Cause::StreamError,
            format!("WhatsApp reported stream error {}", short(other)),
        ),
    };
    Some(ending)
}

fn from_conflict(code: &str, kind: Option<&str>) -> Ending {
    match (code, kind) {
        (_, Some("device_removed")) => Ending::new(
            Verdict::Wipe(Cause::Unlinked, Unlink::NotLinked),
            "the device was unlinked on the phone",
        ),
        (_, Some("replaced")) => Ending::new(Verdict::Conflict, "another connection took over"),
        ("401", None | Some("")) => confirm("stream error 401 with a conflict without a type"),
        (_, None | Some("")) => Ending::new(
            Verdict::Conflict,
            "another connection took over (a conflict without a type)",
        ),
        (_, Some(other)) => confirm(&format!("a conflict of an unknown kind ({})", short(other))),
    }
}

/// The ending for an error that may be a logout: the daemon connects again, and the login shows whether it
/// was one.
fn confirm(what: &str) -> Ending {
    Ending::new(
        Verdict::Retry(Cause::StreamError, Pace::AtOnce),
        format!("WhatsApp reported {what}; the next login tells what it means"),
    )
}

/// Reads a stream error without a code. It ends the link only if a child says that the stream is broken.
fn from_codeless(node: &Node) -> Option<Ending> {
    node.get_optional_child("xml-not-well-formed").map(|_| {
        Ending::retry(
            Cause::StreamError,
            "WhatsApp could not read what was sent (xml-not-well-formed)",
        )
    })
}

/// Reads a `<failure>`: WhatsApp's answer to a login that it does not accept.
pub(super) fn from_failure(node: &Node) -> Ending {
    let reason = attr(node, "reason");
    // The code must be written exactly as WhatsApp writes it: " 401" or "401.0" does not wipe.
    let code = reason.as_deref().and_then(|reason| {
        reason
            .parse::<u16>()
            .ok()
            .filter(|n| n.to_string() == reason)
    });
    let mut ending = match code {
        Some(401) => Ending::new(
            Verdict::Wipe(Cause::LoggedOut, Unlink::NotLinked),
            "WhatsApp does not know this device any more (login failure 401)",
        ),
        Some(403) => Ending::new(
            Verdict::Locked,
            "WhatsApp locked the account (login failure 403)",
        ),
        Some(406) => Ending::new(
            Verdict::Wipe(Cause::Invalidated, Unlink::NotKnown),
            "WhatsApp declared the credentials invalid (login failure 406)",
        ),
        Some(402) => from_ban(node),
        // One such answer may be wrong. The daemon knows what the other logins were answered.
        Some(405) => Ending::retry(
            Cause::ClientOutdated,
            "WhatsApp no longer accepts this version of the client (login failure 405)",
        ),
        Some(429) => Ending::new(
            Verdict::Retry(Cause::RateLimited, Pace::Long),
            "WhatsApp asks to slow down (login failure 429)",
        ),
        Some(code @ (500 | 503)) => Ending::retry(
            Cause::ServerUnavailable,
            format!("WhatsApp's server is not available (login failure {code})"),
        ),
        Some(code) => Ending::new(
            Verdict::Park(Cause::Refused(Some(code))),
            format!("WhatsApp refused the login ({code})"),
        ),
        None => Ending::new(
            Verdict::Park(Cause::Refused(None)),
            match reason {
                Some(other) => format!("WhatsApp refused the login ({})", short(&other)),
                None => "WhatsApp refused the login without a reason".to_owned(),
            },
        ),
    };
    let token = attr(node, "appeal_token").filter(|token| !token.is_empty());
    ending.text = said(node, token.as_deref());
    ending.appeal_token = token.map(Redacted::from);
    ending
}

fn from_ban(node: &Node) -> Ending {
    // The code says what the ban is for. Its end counts without it, too.
    let expire = number(node, "expire").map(Duration::from_secs);
    let (length, known) = match expire {
        Some(Duration::ZERO) => (BAN_OF_NO_LENGTH, "that is over now; held for a minute"),
        Some(length) => (length.min(LONGEST_BAN), "with an end"),
        None => (BAN_OF_UNKNOWN_LENGTH, "without an end; held for a day"),
    };
    Ending::new(
        Verdict::Hold(Cause::TemporaryBan, length),
        format!("WhatsApp banned the account for a time, {known} (login failure 402)"),
    )
}

/// What WhatsApp says to the person in a `<failure>`: the known parts in their order, then other parts of
/// the message. It is shown in places where a token must not be, so a token in it, for instance in a link,
/// is taken out.
fn said(node: &Node, token: Option<&str>) -> Option<String> {
    let known = ["logout_message_header", "logout_message_subtext"];
    let unknown = node
        .attrs
        .iter()
        .map(|(key, _)| key.as_ref())
        .filter(|key| {
            // The language is not for the person.
            key.starts_with("logout_message") && !known.contains(key) && !key.ends_with("_locale")
        });
    let parts = known.into_iter().chain(unknown).chain(["message", "url"]);
    let said: Vec<String> = parts.filter_map(|key| attr(node, key)).collect();
    let mut text = said.join(" ");
    if let Some(token) = token {
        text = text.replace(token, "[token]");
    }
    (!text.is_empty()).then(|| text.chars().take(LONGEST_TEXT).collect())
}

fn attr(node: &Node, key: &str) -> Option<String> {
    node.attrs()
        .optional_string(key)
        .map(std::borrow::Cow::into_owned)
}

fn number<T: std::str::FromStr>(node: &Node, key: &str) -> Option<T> {
    attr(node, key)?.parse().ok()
}

/// A word from the server, cut to fit into a sentence.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests;
