//! What each ending of a link means. Pure.
//!
//! **Only a [`Verdict::Wipe`] wipes, and the list of endings that have it is closed.** An ending that is
//! not known keeps the credentials.

use std::time::Duration;

use whatsapp_rust::wacore_binary::Node;

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
    /// The credentials are dead.
    Wipe(Cause),
    /// Another connection uses the same credentials; the policy decides.
    Conflict,
    /// Keep them, stop, wait for a person.
    Park(Cause),
    /// Keep them, stop for this long.
    Hold(Cause, Duration),
    /// Keep them, try again.
    Retry(Cause, Pace),
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
            // WhatsApp knows no such device any more: there is nothing to unlink.
            Verdict::Wipe(Cause::Unlinked | Cause::LoggedOut) => Unlink::NotLinked,
            _ => Unlink::Unreachable,
        }
    }

    pub(super) fn retry(cause: Cause, error: impl Into<String>) -> Self {
        Self::new(Verdict::Retry(cause, Pace::Usual), error)
    }
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
            Verdict::Wipe(Cause::LoggedOut),
            "WhatsApp logged the session out (stream error 401)",
        ),
        "516" => Ending::new(
            Verdict::Wipe(Cause::Unlinked),
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
            Verdict::Wipe(Cause::Unlinked),
            "the device was unlinked on the phone",
        ),
        (_, Some("replaced")) => Ending::new(Verdict::Conflict, "another connection took over"),
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
            Verdict::Wipe(Cause::LoggedOut),
            "WhatsApp does not know this device any more (login failure 401)",
        ),
        Some(403) => Ending::new(
            Verdict::Wipe(Cause::AccountLocked),
            "WhatsApp locked the account (login failure 403)",
        ),
        Some(406) => Ending::new(
            Verdict::Wipe(Cause::Invalidated),
            "WhatsApp declared the credentials invalid (login failure 406)",
        ),
        Some(402) => from_ban(node),
        Some(405) => Ending::new(
            Verdict::Park(Cause::ClientOutdated),
            "WhatsApp no longer accepts this version of the client: the daemon must be updated (login failure 405)",
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use whatsapp_rust::NodeBuilder;

    fn node(tag: &'static str, attrs: &[(&'static str, &str)], child: Option<Node>) -> Node {
        let attrs = attrs.iter().map(|(k, v)| (*k, (*v).to_owned()));
        NodeBuilder::new(tag).attrs(attrs).children(child).build()
    }

    fn stream_error(attrs: &[(&'static str, &str)], child: Option<Node>) -> Option<Verdict> {
        from_stream_error(&node("stream:error", attrs, child)).map(|e| e.verdict)
    }

    fn conflict(kind: &str) -> Node {
        node("conflict", &[("type", kind)], None)
    }

    fn failure(attrs: &[(&'static str, &str)]) -> Verdict {
        from_failure(&node("failure", attrs, None)).verdict
    }

    /// The rows of CONFORMANCE, stream errors.
    #[test]
    fn stream_errors() {
        use Cause::{
            LoggedOut, RateLimited, ServerUnavailable, StreamEnded, StreamError, Unlinked,
        };
        use Verdict::{Conflict, Retry, Wipe};
        let bare = |tag| Some(node(tag, &[], None));
        let rows = [
            (
                "S1",
                stream_error(&[("code", "401")], Some(conflict("device_removed"))),
                Some(Wipe(Unlinked)),
            ),
            (
                "S2",
                stream_error(&[], Some(conflict("device_removed"))),
                Some(Wipe(Unlinked)),
            ),
            (
                "S3",
                stream_error(&[], Some(conflict("replaced"))),
                Some(Conflict),
            ),
            (
                "S4",
                stream_error(&[("code", "401")], Some(conflict("replaced"))),
                Some(Conflict),
            ),
            (
                "S5",
                stream_error(&[("code", "401")], None),
                Some(Wipe(LoggedOut)),
            ),
            (
                "S6",
                stream_error(&[("code", "401")], Some(conflict("novel"))),
                Some(Retry(StreamError, Pace::AtOnce)),
            ),
            (
                "not in the table",
                stream_error(&[("code", "401")], bare("novel")),
                Some(Retry(StreamError, Pace::AtOnce)),
            ),
            ("S7", stream_error(&[], bare("conflict")), Some(Conflict)),
            ("S8", stream_error(&[("code", "409")], None), Some(Conflict)),
            (
                "S9",
                stream_error(&[("code", "515")], None),
                Some(Retry(StreamEnded, Pace::AtOnce)),
            ),
            (
                "S10",
                stream_error(&[("code", "516")], None),
                Some(Wipe(Unlinked)),
            ),
            (
                "S11",
                stream_error(&[("code", "503")], None),
                Some(Retry(ServerUnavailable, Pace::Usual)),
            ),
            (
                "S12",
                stream_error(&[("code", "429")], None),
                Some(Retry(RateLimited, Pace::Long)),
            ),
            (
                "S13",
                stream_error(&[("code", "500")], None),
                Some(Retry(StreamError, Pace::Usual)),
            ),
            (
                "S13",
                stream_error(&[("code", "777")], None),
                Some(Retry(StreamError, Pace::Usual)),
            ),
            ("S16", stream_error(&[], bare("ack")), None),
            (
                "S17",
                stream_error(&[], bare("xml-not-well-formed")),
                Some(Retry(StreamError, Pace::Usual)),
            ),
            ("S18", stream_error(&[], None), None),
        ];
        for (row, got, want) in rows {
            assert_eq!(got, want, "{row}");
        }
    }

    /// The rows of CONFORMANCE, login failures.
    #[test]
    fn failures() {
        use Verdict::{Hold, Park, Retry, Wipe};
        let day = Duration::from_hours(24);
        let rows = [
            (
                "F401",
                failure(&[("reason", "401"), ("location", "odn")]),
                Wipe(Cause::LoggedOut),
            ),
            (
                "F403",
                failure(&[("reason", "403"), ("location", "rva")]),
                Wipe(Cause::AccountLocked),
            ),
            (
                "F406",
                failure(&[("reason", "406")]),
                Wipe(Cause::Invalidated),
            ),
            (
                "F402a",
                failure(&[("reason", "402"), ("code", "101"), ("expire", "21600")]),
                Hold(Cause::TemporaryBan, Duration::from_hours(6)),
            ),
            (
                "F402b",
                failure(&[("reason", "402")]),
                Hold(Cause::TemporaryBan, day),
            ),
            (
                "F402b",
                failure(&[("reason", "402"), ("expire", "soon"), ("code", "1")]),
                Hold(Cause::TemporaryBan, day),
            ),
            (
                "F402b",
                failure(&[("reason", "402"), ("code", "101")]),
                Hold(Cause::TemporaryBan, day),
            ),
            (
                "F402a/0",
                failure(&[("reason", "402"), ("expire", "0"), ("code", "1")]),
                Hold(Cause::TemporaryBan, BAN_OF_NO_LENGTH),
            ),
            (
                "F402a, short",
                failure(&[("reason", "402"), ("expire", "3"), ("code", "101")]),
                Hold(Cause::TemporaryBan, Duration::from_secs(3)),
            ),
            (
                "F402a, no code",
                failure(&[("reason", "402"), ("expire", "21600")]),
                Hold(Cause::TemporaryBan, Duration::from_hours(6)),
            ),
            (
                "F405",
                failure(&[("reason", "405")]),
                Park(Cause::ClientOutdated),
            ),
            (
                "F409",
                failure(&[("reason", "409")]),
                Park(Cause::Refused(Some(409))),
            ),
            (
                "F400",
                failure(&[("reason", "400")]),
                Park(Cause::Refused(Some(400))),
            ),
            (
                "F418",
                failure(&[("reason", "418")]),
                Park(Cause::Refused(Some(418))),
            ),
            (
                "F501",
                failure(&[("reason", "501")]),
                Park(Cause::Refused(Some(501))),
            ),
            (
                "F500",
                failure(&[("reason", "500")]),
                Retry(Cause::ServerUnavailable, Pace::Usual),
            ),
            (
                "F503",
                failure(&[("reason", "503")]),
                Retry(Cause::ServerUnavailable, Pace::Usual),
            ),
            ("F-", failure(&[]), Park(Cause::Refused(None))),
            (
                "F-",
                failure(&[("reason", "no number")]),
                Park(Cause::Refused(None)),
            ),
        ];
        for (row, got, want) in rows {
            assert_eq!(got, want, "{row}");
        }
    }

    #[test]
    fn what_whatsapp_said_is_kept() {
        let ending = from_failure(&node(
            "failure",
            &[
                ("reason", "403"),
                ("appeal_token", "one-time"),
                ("logout_message_locale", "en"),
                ("logout_message_footer", "or ask for help"),
                ("logout_message_subtext", "Open the app"),
                ("logout_message_header", "Account locked"),
            ],
            None,
        ));
        assert_eq!(
            ending.text.as_deref(),
            Some("Account locked Open the app or ask for help")
        );
        assert_eq!(
            ending.appeal_token.as_ref().map(Redacted::reveal),
            Some("one-time")
        );
        assert!(!format!("{ending:?}").contains("one-time"));
    }

    proptest! {
        /// Never wiped by accident: outside the closed list nothing wipes.
        #[test]
        fn unknown_stream_errors_keep_the_credentials(code in "[0-9]{0,4}|[a-z]{1,8}", child in "[a-z-]{1,12}", kind in "[a-z_]{0,14}") {
            prop_assume!(!matches!(code.as_str(), "401" | "516"));
            prop_assume!(child != "conflict");
            prop_assume!(kind != "device_removed");
            let attrs: Vec<(&'static str, &str)> = if code.is_empty() { vec![] } else { vec![("code", code.as_str())] };
            let children = NodeBuilder::new_dynamic(child.clone()).attr("type", kind.clone()).build();
            for child in [None, Some(children), Some(conflict(&kind))] {
                let verdict = stream_error(&attrs, child);
                prop_assert!(!matches!(verdict, Some(Verdict::Wipe(_))), "{:?}", verdict);
            }
            let novel = NodeBuilder::new_dynamic(child).build();
            let verdict = stream_error(&[("code", "401")], Some(novel));
            prop_assert!(!matches!(verdict, Some(Verdict::Wipe(_))), "{:?}", verdict);
        }

        #[test]
        fn unknown_failures_keep_the_credentials(reason in "[0-9]{0,6}|[a-z]{0,5}|[ +0]{1,2}40[136]|40[136][. 0]", extra in ".{0,20}") {
            prop_assume!(!matches!(reason.as_str(), "401" | "403" | "406"));
            let verdict = failure(&[("reason", &reason), ("location", &extra), ("code", &extra), ("expire", &extra)]);
            prop_assert!(!matches!(verdict, Verdict::Wipe(_)), "{:?}", verdict);
        }

        /// A ban is never over now, and its end can be computed.
        #[test]
        fn bans_are_bounded(expire in any::<u64>(), code in any::<u32>()) {
            let verdict = failure(&[("reason", "402"), ("code", &code.to_string()), ("expire", &expire.to_string())]);
            let Verdict::Hold(_, length) = verdict else { return Err(TestCaseError::fail("no hold")) };
            prop_assert!(!length.is_zero() && length <= LONGEST_BAN);
        }
    }
}
