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
    use Cause::{LoggedOut, RateLimited, ServerUnavailable, StreamEnded, StreamError, Unlinked};
    use Unlink::{NotKnown, NotLinked};
    use Verdict::{Conflict, Retry, Wipe};
    let bare = |tag| Some(node(tag, &[], None));
    let rows = [
        (
            "S1",
            stream_error(&[("code", "401")], Some(conflict("device_removed"))),
            Some(Wipe(Unlinked, NotLinked)),
        ),
        (
            "S2",
            stream_error(&[], Some(conflict("device_removed"))),
            Some(Wipe(Unlinked, NotLinked)),
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
            Some(Wipe(LoggedOut, NotKnown)),
        ),
        (
            "S6",
            stream_error(&[("code", "401")], Some(conflict("novel"))),
            Some(Retry(StreamError, Pace::AtOnce)),
        ),
        (
            "S6, child",
            stream_error(&[("code", "401")], bare("novel")),
            Some(Retry(StreamError, Pace::AtOnce)),
        ),
        (
            "S6, no type",
            stream_error(&[("code", "401")], bare("conflict")),
            Some(Retry(StreamError, Pace::AtOnce)),
        ),
        (
            "S6, no code",
            stream_error(&[], Some(conflict("novel"))),
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
            Some(Wipe(Unlinked, NotLinked)),
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
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn failures() {
    use Verdict::{Hold, Locked, Park, Retry, Wipe};
    let day = Duration::from_hours(24);
    let rows = [
        (
            "F401",
            failure(&[("reason", "401"), ("location", "odn")]),
            Wipe(Cause::LoggedOut, Unlink::NotLinked),
        ),
        (
            "F403",
            failure(&[("reason", "403"), ("location", "rva")]),
            Locked,
        ),
        (
            "F406",
            failure(&[("reason", "406")]),
            Wipe(Cause::Invalidated, Unlink::NotKnown),
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
            "F402c",
            failure(&[("reason", "402"), ("expire", "21600")]),
            Hold(Cause::TemporaryBan, Duration::from_hours(6)),
        ),
        (
            "F405",
            failure(&[("reason", "405")]),
            Retry(Cause::ClientOutdated, Pace::Usual),
        ),
        (
            "F429",
            failure(&[("reason", "429")]),
            Retry(Cause::RateLimited, Pace::Long),
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

/// Where the unlink's own login is refused, the history must not say more than WhatsApp did.
#[test]
fn what_a_refused_login_says_about_the_device() {
    let says = |reason| from_failure(&node("failure", &[("reason", reason)], None)).as_unlink();
    assert_eq!(says("401"), Unlink::NotLinked);
    assert_eq!(says("406"), Unlink::NotKnown);
    for reason in ["402", "403", "405", "409", "429", "503", "999"] {
        assert_eq!(says(reason), Unlink::Unreachable, "{reason}");
    }
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
            prop_assert!(!matches!(verdict, Some(Verdict::Wipe(..))), "{:?}", verdict);
        }
        let novel = NodeBuilder::new_dynamic(child).build();
        let verdict = stream_error(&[("code", "401")], Some(novel));
        prop_assert!(!matches!(verdict, Some(Verdict::Wipe(..))), "{:?}", verdict);
    }

    #[test]
    fn unknown_failures_keep_the_credentials(reason in "[0-9]{0,6}|[a-z]{0,5}|[ +0]{1,2}40[136]|40[136][. 0]", extra in ".{0,20}") {
        prop_assume!(!matches!(reason.as_str(), "401" | "403" | "406"));
        let verdict = failure(&[("reason", &reason), ("location", &extra), ("code", &extra), ("expire", &extra)]);
        prop_assert!(!matches!(verdict, Verdict::Wipe(..) | Verdict::Locked), "{:?}", verdict);
    }

    /// A ban is never over now, and its end can be computed.
    #[test]
    fn bans_are_bounded(expire in any::<u64>(), code in any::<u32>()) {
        let verdict = failure(&[("reason", "402"), ("code", &code.to_string()), ("expire", &expire.to_string())]);
        let Verdict::Hold(_, length) = verdict else { return Err(TestCaseError::fail("no hold")) };
        prop_assert!(!length.is_zero() && length <= LONGEST_BAN);
    }
}
