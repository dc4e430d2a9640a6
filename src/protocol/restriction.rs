//! What WhatsApp forbids an account for a time, while its session stays online.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::open_names;

open_names! {
    /// What is restricted.
    pub enum RestrictionKind {
        /// Messages to people who never wrote to the account, from linked devices: WhatsApp's reach-out
        /// time-lock.
        ReachoutTimelock = "reachout_timelock",
        /// New chats: the account has begun as many as WhatsApp allows it in this period.
        NewChatLimit = "new_chat_limit",
    }
}

/// What WhatsApp forbids an account for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Restriction {
    /// What is restricted.
    pub kind: RestrictionKind,
    /// When the daemon learned of it.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub since: Timestamp,
    /// When it ends; `None`: WhatsApp did not say.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub until: Option<Timestamp>,
    /// WhatsApp's own word for it, and numbers where there are some.
    pub detail: Option<String>,
}
