//! The intent of a removal: why the session is removed, and what else its line in the history needs. On the disk
//! it is a [line](super::line), which says for each field whether it is sealed.

use jiff::Timestamp;

use crate::protocol::{
    Account, Cause, HistoryEntry, Redacted, Removed, Restriction, Unlink, UserId,
};

/// Why a session is removed, and what else its line in the history needs. That line is durable before the
/// rename.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// When it was decided.
    pub at: Timestamp,
    /// Whose session it is.
    pub user: UserId,
    /// Why.
    pub cause: Cause,
    /// The account it was linked to.
    pub account: Option<Account>,
    /// The uid that had created it.
    pub owner: u32,
    /// The uid that asked.
    pub requested_by: Option<u32>,
    /// How unlinking at WhatsApp went.
    pub unlink: Unlink,
    /// How many target groups it had.
    pub targets: u32,
    /// What WhatsApp said.
    pub text: Option<String>,
    /// The appeal token of a locked account.
    pub appeal_token: Option<Redacted>,
    /// What WhatsApp forbade the account.
    pub restrictions: Vec<Restriction>,
    /// When the device was linked.
    pub linked_at: Option<Timestamp>,
}

impl Intent {
    /// The line for the history.
    #[must_use]
    pub fn entry(&self, mut removed: Removed) -> HistoryEntry {
        removed.targets = self.targets;
        let entry = HistoryEntry {
            at: self.at,
            user: self.user.clone(),
            cause: self.cause,
            account: self.account.clone(),
            owner: self.owner,
            requested_by: self.requested_by,
            unlink: self.unlink,
            removed,
            text: self.text.clone(),
            appeal_token: self.appeal_token.clone(),
            restrictions: self.restrictions.clone(),
            linked_at: self.linked_at,
        };
        entry.bounded()
    }
}
