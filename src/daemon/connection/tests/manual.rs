//! The conversation in the manual page, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::daemon::harness::{Harness, SOMEBODY};

const PAGE: &str = include_str!("../../../../contrib/man/wasession-protocol.7");

/// The bytes between the marks, by turn: who says them, and what. What stands behind them is what a
/// person reads.
fn session() -> Vec<(char, Vec<u8>)> {
    let (_, rest) = PAGE.split_once("session begins\n").expect("the beginning");
    let (session, _) = rest.split_once(".\\\" session ends").expect("the end");
    let mut turns: Vec<(char, Vec<u8>)> = Vec::new();
    for line in session.lines().filter(|line| !line.starts_with('.')) {
        let (who, rest) = line.split_once(": ").expect("a side");
        let who = who.chars().next().expect("a side");
        let (bytes, beside) = rest.split_once("  ").expect("bytes, and what they say");
        let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16));
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().expect("bytes");
        let says = match beside.trim().strip_suffix(" bytes follow") {
            Some(length) => length
                .parse::<u32>()
                .expect("a length")
                .to_be_bytes()
                .to_vec(),
            None => beside.trim_start().replace("\\-", "-").into_bytes(),
        };
        // A space at the end of a line of a page is not seen.
        assert_eq!(bytes.trim_ascii_end(), says.trim_ascii_end(), "{line}");
        match turns.last_mut() {
            Some((last, turn)) if *last == who => turn.extend(bytes),
            _ => turns.push((who, bytes)),
        }
    }
    turns
}

#[tokio::test(start_paused = true)]
async fn the_conversation_in_the_manual_is_what_happens() {
    let harness = Harness::new().await;
    let (mut stream, served) = harness.stream(SOMEBODY, 1024);
    let session = session();
    let turns: String = session.iter().map(|(who, _)| who).collect();
    assert_eq!(turns, "CSCS");
    for (who, bytes) in session {
        if who == 'C' {
            stream.write_all(&bytes).await.expect("sent");
        } else {
            let mut said = vec![0; bytes.len()];
            stream.read_exact(&mut said).await.expect("an answer");
            assert_eq!(
                said.escape_ascii().to_string(),
                bytes.escape_ascii().to_string()
            );
        }
    }
    stream.shutdown().await.expect("closed");
    let mut more = Vec::new();
    stream.read_to_end(&mut more).await.expect("the end");
    assert_eq!(more, b"", "the daemon said more than the manual");
    served.await.expect("the connection ended well");
}

/// Every name that stands in JSON is in the page.
#[test]
fn the_manual_names_everything() {
    use crate::protocol::{Command, FailureCode, Phase};

    let schema = include_str!("../../../../contrib/schema/wasession-1.json");
    let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
    let mut names: Vec<String> = Command::NAMES.iter().copied().map(str::to_owned).collect();
    names.extend(Phase::ALL.iter().map(ToString::to_string));
    names.push(FailureCode::TooLarge.to_string());
    gather(&schema["$defs"], &mut names);
    let text = PAGE.replace("\\-", "-");
    let words: std::collections::HashSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        // A change of the font begins with an F and its letter.
        .flat_map(|word| [word, word.get(2..).unwrap_or_default()])
        .collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .collect();
    assert!(names.len() > 100 && missing.is_empty(), "{missing:?}");
}

/// The names of all fields, and all values of enums.
fn gather(value: &serde_json::Value, names: &mut Vec<String>) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), inner) {
                    ("properties", Value::Object(fields)) => names.extend(fields.keys().cloned()),
                    ("const", Value::String(name)) => names.push(name.clone()),
                    ("enum", Value::Array(all)) => {
                        names.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => {}
                }
                gather(inner, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
        _ => {}
    }
}
