//! Restrictions and warnings.

use jiff::Timestamp;

use crate::protocol::{Restriction, RestrictionKind, Warning};

use super::plain;
use super::time::{absolute, both};

/// `reachout_timelock: no messages to people who never wrote, until 2026-11-24 09:12:03Z`
pub(crate) fn restriction(restriction: &Restriction) -> String {
    let what = match restriction.kind {
        RestrictionKind::ReachoutTimelock => {
            ": no messages from linked devices to people who never wrote"
        }
        RestrictionKind::NewChatLimit => ": no new chats",
        RestrictionKind::Unknown(_) => "",
    };
    let until = match restriction.until {
        Some(until) => format!(", until {}", absolute(until)),
        None => ", WhatsApp did not say until when".to_owned(),
    };
    let detail = restriction.detail.as_deref().map(plain);
    let detail = detail
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();
    format!("{}{what}{until}{detail}", plain(restriction.kind.as_str()))
}

/// `phone_silent: Open WhatsApp on the phone. By 2026-11-24 09:12:03Z (in 4d).`
pub(crate) fn warning(warning: &Warning, now: Timestamp) -> String {
    let due = warning.due.map(|due| format!(" By {}.", both(due, now)));
    format!(
        "{}: {}{}",
        plain(warning.kind.as_str()),
        plain(&warning.text),
        due.unwrap_or_default()
    )
}
