//! Prints answers, for people or for programs.

use std::io::{ErrorKind, Write as _};

use wasim::Answer;

/// Prints an answer. A reader that has gone away is no error.
pub(crate) fn print(answer: &Answer, json: bool) -> Result<(), String> {
    let text = if json {
        serde_json::to_string(answer).map_err(|error| error.to_string())?
    } else {
        text(answer)
    };
    if text.is_empty() && !matches!(answer, Answer::Media { .. }) {
        return Ok(());
    }
    let written = match answer {
        // A file is written as it is.
        Answer::Media { bytes } if !json => std::io::stdout().write_all(bytes),
        _ => writeln!(std::io::stdout(), "{text}"),
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn text(answer: &Answer) -> String {
    match answer {
        Answer::Linked { device } => device.clone(),
        Answer::PasskeyNeeded { connection } => {
            format!("the account needs its owner's passkey: it goes on on #{connection}")
        }
        Answer::Assertion { assertion } => assertion.clone(),
        Answer::Received { stanzas } => lines(stanzas.iter().map(|stanza| {
            let words = [
                Some(stanza.tag.as_str()),
                stanza.kind.as_deref(),
                stanza.namespace.as_deref(),
            ];
            let words: Vec<&str> = words.into_iter().flatten().collect();
            format!(
                "{:>4}  {}  {}",
                stanza.place,
                words.join(" "),
                stanza.children.join(" ")
            )
        })),
        Answer::Observations { observations, .. } => lines(
            observations
                .iter()
                .filter_map(|seen| serde_json::to_string(seen).ok()),
        ),
        Answer::Devices { devices } => lines(devices.iter().map(|device| {
            let state = match device.connection {
                Some(connection) => format!("online on #{connection}"),
                None => "offline".to_owned(),
            };
            format!("{}  {state}  {:?}", device.jid, device.name)
        })),
        Answer::Groups { groups } => lines(
            groups
                .iter()
                .map(|group| format!("{}  {:>4}  {}", group.jid, group.size, group.subject)),
        ),
        Answer::Faults { rules } => lines(rules.iter().map(|rule| format!("{rule:?}"))),
        Answer::Said { id } => id.clone(),
        Answer::Messages { messages, .. } => lines(
            messages
                .iter()
                .filter_map(|message| serde_json::to_string(message).ok()),
        ),
        Answer::Mailbox {
            messages,
            receipts,
            notifications,
        } => format!("{messages} messages, {receipts} receipts, {notifications} notifications"),
        Answer::Logins { connections } => lines(connections.iter().map(|connection| {
            let jid = connection.jid.as_deref().unwrap_or("-");
            format!("#{}  {}  {jid}", connection.connection, connection.stage)
        })),
        Answer::Info { url, root_key } => format!("url      {url}\nroot key {root_key}"),
        _ => String::new(),
    }
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<String>>().join("\n")
}
