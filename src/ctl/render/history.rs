//! Sessions that ended.

use crate::ctl::terminal::Terminal;
use crate::protocol::{HistoryEntry, Removed};

use super::table::table;
use super::time::absolute;
use super::{notes, plain};

/// A line for each ended session, and below it what needs a person's eye.
pub(crate) fn history(terminal: &Terminal, entries: &[HistoryEntry]) -> String {
    let header = [
        "ENDED",
        "USER",
        "CAUSE",
        "BY",
        "UNLINK",
        "ACCOUNT",
        "REMOVED",
        "WHATSAPP SAID",
    ];
    let rows = entries.iter().map(|entry| {
        [
            absolute(entry.at),
            entry.user.to_string(),
            entry.cause.to_string(),
            entry
                .requested_by
                .map_or_else(|| "-".to_owned(), |uid| format!("uid {uid}")),
            entry.unlink.to_string(),
            entry
                .account
                .as_ref()
                .map_or_else(|| "-".to_owned(), |a| plain(&a.phone)),
            removed(entry.removed),
            entry.text.as_deref().map_or_else(|| "-".to_owned(), plain),
        ]
    });
    let mut text = table(terminal, header, rows);
    for entry in entries {
        for restriction in &entry.restrictions {
            text = format!(
                "{text}\n{} was restricted when it ended: {}.",
                entry.user,
                notes::restriction(restriction)
            );
        }
    }
    for entry in entries.iter().filter(|entry| entry.appeal_token.is_some()) {
        let user = &entry.user;
        text = format!(
            "{text}\nWhatsApp sent {user} a token to appeal with: `wactl --json history {user}` shows it."
        );
    }
    text
}

/// `4 files, 304 KiB, 2 targets`
pub(crate) fn removed(removed: Removed) -> String {
    let size = match removed.bytes {
        bytes @ 0..10_240 => format!("{bytes} B"),
        bytes => format!("{} KiB", bytes / 1024),
    };
    let many = |count: u64| if count == 1 { "" } else { "s" };
    let Removed { files, targets, .. } = removed;
    format!(
        "{files} file{}, {size}, {targets} target{}",
        many(files),
        many(targets.into())
    )
}
