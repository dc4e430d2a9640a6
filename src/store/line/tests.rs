use proptest::prelude::*;

use super::*;
use crate::protocol::RestrictionKind;
use crate::protocol::fixtures::bare_entry;

fn account(phone: &str, name: Option<String>) -> Account {
    Account {
        jid: format!("{phone}:7@s.whatsapp.net"),
        phone: format!("+{phone}"),
        name,
    }
}

fn entries() -> impl Strategy<Value = HistoryEntry> {
    let of = prop::option::of(("[1-9][0-9]{9}", prop::option::of(".{1,20}")));
    let text = prop::option::of(".{0,60}");
    let token = prop::option::of("[a-zA-Z0-9]{8,20}");
    let restriction = prop::option::of(prop::option::of(".{1,20}"));
    (of, text, token, restriction, any::<u32>(), any::<bool>()).prop_map(
        |(of, text, token, restriction, owner, linked)| HistoryEntry {
            account: of.map(|(phone, name)| account(&phone, name)),
            text,
            appeal_token: token.map(Redacted::from),
            restrictions: restriction
                .map(|detail| Restriction {
                    kind: RestrictionKind::ReachoutTimelock,
                    since: Timestamp::UNIX_EPOCH,
                    until: None,
                    detail,
                })
                .into_iter()
                .collect(),
            owner,
            linked_at: linked.then_some(Timestamp::UNIX_EPOCH),
            ..bare_entry("alice", Cause::Unlinked)
        },
    )
}

/// As a former version wrote it.
fn former(id: &str, entry: &HistoryEntry) -> String {
    #[derive(Serialize)]
    struct Former<'a> {
        id: &'a str,
        entry: &'a HistoryEntry,
    }
    serde_json::to_string(&Former { id, entry }).expect("JSON")
}

fn parse(text: &str, seal: Option<&TextSeal>) -> Line {
    Line::parse(text.as_bytes(), seal).expect("a line")
}

fn without(mut entry: HistoryEntry) -> HistoryEntry {
    Secrets::take_from(&mut entry);
    entry
}

proptest! {
    #[test]
    fn a_line_reads_back_with_its_key_and_in_part_without(entry in entries()) {
        let seal = TextSeal::random();
        let line = Line::new("01", entry.clone());
        let text = line.text(Some(&seal)).expect("text");
        prop_assert_eq!(text.contains("\"sealed\""), line.has_secrets());
        let read = parse(&text, Some(&seal));
        prop_assert_eq!(&read.entry, &entry);
        prop_assert!(read.is_own());
        for other in [None, Some(&TextSeal::random())] {
            let read = parse(&text, other);
            prop_assert_eq!(read.is_locked(), line.has_secrets());
            prop_assert_eq!(&read.entry, &without(entry.clone()));
            // Byte by byte, whatever key there is.
            prop_assert_eq!(read.text(other).expect("text"), text.clone());
        }
    }

    #[test]
    fn no_secret_is_in_clear(entry in entries()) {
        let line = Line::new("01", entry.clone());
        for seal in [None, Some(&TextSeal::random())] {
            let text = line.text(seal).expect("text");
            let mut secrets: Vec<String> = Vec::new();
            secrets.extend(entry.account.iter().flat_map(|a| [a.jid.clone(), a.phone.clone()]));
            secrets.extend(entry.appeal_token.iter().map(|t| t.reveal().to_owned()));
            for secret in secrets {
                prop_assert!(!text.contains(&secret), "{}: {}", secret, text);
            }
        }
    }

    #[test]
    fn a_line_in_clear_reads_back_before_and_after_it_is_sealed(entry in entries()) {
        let seal = TextSeal::random();
        let text = former("01", &entry);
        let line = parse(&text, None);
        prop_assert_eq!(&line.entry, &entry);
        prop_assert_eq!(line.is_in_clear(), line.has_secrets());
        let sealed = line.text(Some(&seal)).expect("text");
        prop_assert_eq!(&parse(&sealed, Some(&seal)).entry, &entry);
        prop_assert_eq!(&parse(&sealed, None).entry, &without(entry.clone()));
        // Without a key it stays in clear.
        prop_assert_eq!(&parse(&line.text(None).expect("text"), None).entry, &entry);
    }
}

fn telling() -> HistoryEntry {
    HistoryEntry {
        account: Some(account("15550100999", None)),
        text: Some("so they said".to_owned()),
        ..bare_entry("alice", Cause::Unlinked)
    }
}

#[test]
fn a_sealed_part_that_was_moved_or_damaged_does_not_open_and_stays() {
    let seal = TextSeal::random();
    let text = Line::new("01", telling()).text(Some(&seal)).expect("text");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let sealed = value["sealed"].as_str().expect("a sealed part");
    let flipped = {
        let at = sealed.len() / 2;
        let other = if &sealed[at..=at] == "A" { "B" } else { "A" };
        sealed[..at].to_owned() + other + &sealed[at + 1..]
    };
    for (what, from, to) in [
        ("another removal's", "\"id\":\"01\"", "\"id\":\"02\""),
        ("another user's", "\"user\":\"alice\"", "\"user\":\"bob\""),
        ("a flipped bit", sealed, flipped.as_str()),
        ("cut off", sealed, &sealed[..sealed.len() - 4]),
        ("empty", sealed, ""),
        ("no base64", sealed, "?"),
    ] {
        let text = text.replacen(from, to, 1);
        let line = parse(&text, Some(&seal));
        assert!(line.is_locked(), "{what}");
        assert_eq!(
            (&line.entry.account, &line.entry.text),
            (&None, &None),
            "{what}"
        );
        assert_eq!(line.text(Some(&seal)).expect("text"), text, "{what}");
    }
}

#[test]
fn what_another_version_added_is_kept_in_clear_and_sealed() {
    let seal = TextSeal::random();
    let text =
        former("01", &telling()).replacen("\"entry\":{", "\"entry\":{\"colour\":\"blue\",", 1);
    let sealed = parse(&text, None).text(Some(&seal)).expect("text");
    assert!(
        sealed.contains("\"colour\":\"blue\"") && !sealed.contains("15550100999"),
        "{sealed}"
    );
    assert_eq!(parse(&sealed, Some(&seal)).entry, telling());

    // A newer version may seal more.
    let secrets = r#"{"text":"so they said","shade":"dark"}"#;
    let more = seal.seal(&["01", "alice"], secrets.as_bytes());
    let plain = readable("01", &telling(), Some(&more)).expect("text");
    let line = parse(&plain, Some(&seal));
    assert_eq!(line.entry.text.as_deref(), Some("so they said"));
    assert_eq!(line.text(Some(&seal)).expect("text"), plain, "as it is");
}
