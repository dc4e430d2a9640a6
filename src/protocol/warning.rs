//! What will become a failure if nobody does anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::open_names;

open_names! {
    /// What a warning is about.
    pub enum WarningKind {
        /// Of the daemon: WhatsApp refuses this version of the client.
        ClientOutdated = "client_outdated",
        /// Of the daemon: WhatsApp has said when it will refuse this version of the client.
        ClientExpires = "client_expires",
        /// Of a session: the account's phone has not been heard for long. After 14 days WhatsApp unlinks all
        /// devices of the account.
        PhoneSilent = "phone_silent",
        /// Of a session: the account's settings never came after the pairing. The session works, but the
        /// account's name and settings are not known.
        AppStateMissing = "app_state_missing",
        /// Of a session: the account has begun almost as many new chats as WhatsApp allows it.
        NewChatLimitNear = "new_chat_limit_near",
    }
}

/// What will become a failure if nobody does anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// Since when it stands.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub since: Timestamp,
    /// By when something must be done, where that is known.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub due: Option<Timestamp>,
    /// What is wrong and what to do, in words.
    pub text: String,
}
