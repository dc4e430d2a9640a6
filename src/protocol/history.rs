//! Sessions that ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Account, Cause, Redacted, Restriction, Unlink, UserId};

/// One ended session: what the history keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistoryEntry {
    /// When it ended.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub at: Timestamp,
    /// Whose it was.
    pub user: UserId,
    /// Why it ended.
    pub cause: Cause,
    /// The account it was linked to, if it was ever paired.
    pub account: Option<Account>,
    /// The uid that had created it.
    pub owner: u32,
    /// The uid that asked for the end; `None`: WhatsApp or the daemon itself.
    pub requested_by: Option<u32>,
    /// How unlinking at WhatsApp went.
    pub unlink: Unlink,
    /// What was removed.
    pub removed: Removed,
    /// What WhatsApp said about it, in its own words; or what the daemon knows about it besides the cause.
    pub text: Option<String>,
    /// The token with which the person can appeal against a locked account. WhatsApp sends it once.
    pub appeal_token: Option<Redacted>,
    /// What WhatsApp forbade the account when the session ended.
    #[serde(default)]
    pub restrictions: Vec<Restriction>,
    /// When the device was linked. `None`: never, or nobody knows.
    #[cfg_attr(test, schemars(with = "Option<super::golden::Time>"))]
    pub linked_at: Option<Timestamp>,
}

/// A device that is removed within this time after it was linked was not removed by the phone's owner:
/// WhatsApp itself does that.
pub const REMOVED_SOON: Duration = Duration::from_mins(2);

/// How long after it was linked a device was removed, if that was within [`REMOVED_SOON`].
pub(crate) fn removed_soon(
    cause: Cause,
    linked_at: Option<Timestamp>,
    at: Timestamp,
) -> Option<Duration> {
    if !matches!(
        cause,
        Cause::Unlinked | Cause::LoggedOut | Cause::Invalidated
    ) {
        return None;
    }
    let age = Duration::try_from(at.duration_since(linked_at?)).ok()?;
    (age <= REMOVED_SOON).then_some(age)
}

impl HistoryEntry {
    /// Whether what ended is a pairing that nobody has finished. A session whose directory vanished may have been
    /// linked: [`Cause::TaskFailed`] tells of a pairing only where nobody had linked a device.
    #[must_use]
    pub fn ends_a_pairing(&self) -> bool {
        let was_linked = self.account.is_some() || self.unlink != Unlink::NotLinked;
        let vanished = self.cause == Cause::TaskFailed && was_linked;
        self.cause.ends_pairings_only() && !vanished
    }

    /// How long after it was linked WhatsApp removed the device, if that was within [`REMOVED_SOON`].
    #[must_use]
    pub fn removed_soon(&self) -> Option<Duration> {
        removed_soon(self.cause, self.linked_at, self.at)
    }
}

/// What a purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Removed {
    /// How many files.
    pub files: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many target groups were cleared.
    pub targets: u32,
}

/// The answer to a `force-logout`: the session is gone, and this is how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogoutReport {
    /// The same as the line in the history.
    pub entry: HistoryEntry,
    /// What the person should do now, in one sentence.
    pub next_action: String,
}
