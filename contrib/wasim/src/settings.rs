//! What can be set for an account: how it is linked, what WhatsApp restricts it to, and what its phone does.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::passkey::Passkey;
use crate::person::Addressing;

/// What is set for an account. It is kept over restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Whether a new device has to prove that it may use the passkey of the account's owner.
    pub needs_passkey: bool,
    /// The passkey, made when it is used for the first time.
    pub passkey: Option<Passkey>,
    pub hosting: Hosting,
    pub app_state: AppState,
    pub timelock: Option<Timelock>,
    pub chat_limit: Option<ChatLimit>,
    /// How people are named in direct chats.
    pub addressing: Addressing,
    /// When the phone signed the list of its devices, in seconds since 1970. None: just now.
    pub phone_seen: Option<u64>,
}

/// Whether an account belongs to a business that also uses it through the Cloud API ("coexistence").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosting {
    /// It does not.
    #[default]
    Not,
    /// The account is hosted, and the new device is an ordinary one. This is what businesses have.
    Account,
    /// The account is hosted, and so is the new device.
    Device,
}

/// What becomes of the app state that a new device needs: the account's name and settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The device gets it.
    #[default]
    Served,
    /// The phone never sends the keys that it is encrypted with.
    NoKeys,
    /// Requests for critical collections are not answered.
    Unanswered,
    /// Requests for critical collections are answered with an error, for all that they ask for.
    Failed,
    /// Critical collections are refused for now (500).
    Refused,
    /// Critical collections are refused for good (404).
    Denied,
    /// Critical collections are left out of the answer.
    Omitted,
    /// What is in critical collections stands in a snapshot that cannot be fetched.
    NoSnapshot,
    /// What is in critical collections cannot be decrypted with the keys that the phone sends.
    Garbled,
}

/// A time-lock: the account may not write to people it has not written to before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timelock {
    /// Its kind in WhatsApp's words, such as `DEFAULT`, `WEB_COMPANION_ONLY` or `RESTRICT_ALL_COMPANIONS`.
    #[serde(default = "default_kind")]
    pub kind: String,
    /// When it ends, in seconds since 1970. None: WhatsApp does not say.
    #[serde(default)]
    pub until: Option<u64>,
}

fn default_kind() -> String {
    "DEFAULT".to_owned()
}

/// A limit on chats with people the account has not written to before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatLimit {
    /// How near it is: `NONE`, `FIRST_WARNING`, `SECOND_WARNING` or `CAPPED`.
    pub status: String,
    /// How many such chats there may be in a cycle.
    pub total: u32,
    /// How many there were.
    pub used: u32,
    /// When the cycle began, in seconds since 1970.
    #[serde(default)]
    pub begins: u64,
    /// When the cycle ends, in seconds since 1970.
    #[serde(default)]
    pub ends: u64,
}

/// The time-lock as WhatsApp words it. One whose time is over is none.
pub(crate) fn describe_timelock(timelock: Option<&Timelock>, now: u64) -> Value {
    let active = timelock.filter(|timelock| timelock.until.is_none_or(|until| until > now));
    match active {
        Some(timelock) => json!({
            "is_active": true,
            "enforcement_type": timelock.kind,
            "time_enforcement_ends": timelock.until.map(|until| until.to_string()),
        }),
        None => json!({ "is_active": false, "enforcement_type": "DEFAULT" }),
    }
}

/// The limit as WhatsApp words it.
pub(crate) fn describe_chat_limit(limit: Option<&ChatLimit>, now: u64) -> Value {
    let Some(limit) = limit else {
        return json!({
            "capping_status": "NONE",
            "ote_status": "NOT_ELIGIBLE",
            "mv_status": "NOT_ELIGIBLE",
            "server_sent_timestamp": now.to_string(),
        });
    };
    json!({
        "capping_status": limit.status,
        "ote_status": "NOT_ELIGIBLE",
        "mv_status": "NOT_ELIGIBLE",
        "total_quota": limit.total,
        "used_quota": limit.used,
        "cycle_start_timestamp": limit.begins.to_string(),
        "cycle_end_timestamp": limit.ends.to_string(),
        "server_sent_timestamp": now.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timelock_is_active_until_its_end() {
        let lock = Timelock {
            kind: "WEB_COMPANION_ONLY".to_owned(),
            until: Some(100),
        };
        assert_eq!(describe_timelock(Some(&lock), 99)["is_active"], true);
        assert_eq!(
            describe_timelock(Some(&lock), 99)["time_enforcement_ends"],
            "100"
        );
        assert_eq!(describe_timelock(Some(&lock), 100)["is_active"], false);
        assert_eq!(describe_timelock(None, 0)["is_active"], false);
        let open = Timelock {
            until: None,
            ..lock
        };
        assert_eq!(describe_timelock(Some(&open), 100)["is_active"], true);
    }
}
