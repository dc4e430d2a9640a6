//! The part of the configuration that concerns sessions. It can change while they run.

use std::time::Duration;

use crate::whatsapp::Presence;

/// The part of the configuration that concerns sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What a session that is online says of itself.
    pub presence: Presence,
    /// What another connection with the same credentials means.
    pub on_conflict: OnConflict,
    /// What to do when WhatsApp locks the account.
    pub on_locked: OnLocked,
    /// How many sessions connect at a time: after a start, and after they have lost their links.
    pub restore_concurrency: usize,
    /// Disconnect (never wipe) a session that nobody used for this long.
    pub idle_after: Option<Duration>,
    /// How many sessions there may be.
    pub max_sessions: usize,
    /// How many sessions a uid may own that is no admin.
    pub max_sessions_per_uid: usize,
    /// How long WhatsApp may take to answer an unlink, a connect for it included.
    pub unlink_timeout: Duration,
    /// How long a force-logout may take until its reply.
    pub logout_deadline: Duration,
    /// How many ended sessions the history keeps.
    pub history_limit: usize,
}

/// What to do when another connection uses the same credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Log out here: remove the credentials, leave the other connection alone.
    Logout,
    /// Keep them and wait for a person.
    Park,
}

/// What to do when WhatsApp locks the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLocked {
    /// Keep the credentials, and try again later and later, for two weeks.
    Hold,
    /// Log out at once: remove the credentials.
    Logout,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            presence: Presence::Unavailable,
            on_conflict: OnConflict::Logout,
            on_locked: OnLocked::Hold,
            restore_concurrency: 16,
            idle_after: None,
            max_sessions: 2000,
            max_sessions_per_uid: 16,
            unlink_timeout: Duration::from_secs(5),
            logout_deadline: Duration::from_secs(10),
            history_limit: 10_000,
        }
    }
}
