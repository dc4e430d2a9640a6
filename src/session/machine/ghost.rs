//! Ghosts of our own: logins of this session that were given up before WhatsApp answered.
//!
//! WhatsApp may conclude such a login later. It then throws out the link that has taken its place, as if
//! another program used the credentials.

use std::time::Duration;

use jiff::Timestamp;

use super::super::clock::{Monotonic, after};
use super::{LinkState, Machine, Moment};
use crate::protocol::Stage;

/// How late WhatsApp may conclude a login that was given up.
pub const LOGIN_MAY_BE_OPEN: Duration = Duration::from_mins(5);

/// The logins of this session that may be concluded late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::session) struct Ghosts {
    /// Whether the login of the present link may have reached WhatsApp, and has no answer yet.
    is_waiting: bool,
    /// Until when a login that was given up may be concluded.
    until: Option<Monotonic>,
    /// Until when every conflict counts, because one was forgiven just now.
    forgiven_until: Option<Monotonic>,
    /// Whether the session connects because a conflict was forgiven.
    pub(super) has_forgiven: bool,
}

impl Machine {
    /// Notes how far the link got. The short handshake carries the login, so a login may have reached WhatsApp
    /// as soon as there is a connection.
    pub(super) fn login_may_be_sent(&mut self, stage: Stage, at: Moment) {
        if stage == Stage::Handshake && self.ghosts.is_waiting {
            // The link has dialled again.
            self.ghosts.until = Some(at.monotonic + LOGIN_MAY_BE_OPEN);
        }
        match stage {
            Stage::Handshake | Stage::Login => self.ghosts.is_waiting = self.paired,
            Stage::Transport | Stage::Sync | Stage::Unknown(_) => {}
        }
    }

    /// WhatsApp has answered the login.
    pub(super) fn login_answered(&mut self) {
        self.ghosts.is_waiting = false;
    }

    /// Notes after each step whether a login was given up.
    pub(super) fn note_lost_login(&mut self, at: Moment) {
        let is_linked = matches!(self.link, LinkState::Opening | LinkState::Open);
        if self.ghosts.is_waiting && !is_linked {
            self.ghosts.is_waiting = false;
            self.ghosts.until = Some(at.monotonic + LOGIN_MAY_BE_OPEN);
        }
    }

    /// Whether a conflict may be the late end of a login of our own. That is so only once: the next conflict
    /// counts.
    pub(super) fn may_be_ghost(&mut self, at: Moment) -> bool {
        let is_to_come = |until: Option<Monotonic>| until.is_some_and(|until| until > at.monotonic);
        let ghosts = &mut self.ghosts;
        let may_be = is_to_come(ghosts.until) && !is_to_come(ghosts.forgiven_until);
        if may_be {
            ghosts.until = None;
            ghosts.forgiven_until = Some(at.monotonic + LOGIN_MAY_BE_OPEN);
        }
        may_be
    }

    /// Connects again at once, as if the end were part of a plan. Whoever looks sees why.
    pub(super) fn connect_quietly(&mut self, error: &str, at: Moment) {
        self.close_link();
        self.error = Some(format!(
            "{error}. That may be the late end of a login of this session's own"
        ));
        self.ghosts.has_forgiven = true;
        self.connect(at);
    }

    /// Whether the session connects because a conflict was forgiven.
    pub(in crate::session) fn has_forgiven(&self) -> bool {
        self.ghosts.has_forgiven
    }

    // ---- over a restart -------------------------------------------------------------------------

    /// Notes in the record at a stop until when a login may be concluded. The stop writes the record anyway.
    /// After a crash the supervisor assumes the worst of every session: to know it would take a durable write
    /// before every login.
    pub(super) fn record_ghosts(&mut self, at: Moment) {
        let left = if self.ghosts.is_waiting {
            Some(LOGIN_MAY_BE_OPEN)
        } else {
            self.ghosts.until.map(|until| until.since(at.monotonic))
        };
        let left = left.filter(|left| !left.is_zero());
        self.record.login_open_until = left.map(|left| after(at.now, left));
    }

    /// Takes from the record what a stop has noted. A time that is further away than a login can be open is a
    /// clock that was set: then nobody knows, and one more try costs less than the credentials.
    pub(super) fn recall_ghosts(&mut self, at: Moment) {
        let until: Option<Timestamp> = self.record.login_open_until.take();
        let left = until.and_then(|until| Duration::try_from(until.duration_since(at.now)).ok());
        if let Some(left) = left {
            self.ghosts.until = Some(at.monotonic + left.min(LOGIN_MAY_BE_OPEN));
        }
    }

    /// The session's task failed, and nobody knows in the middle of what.
    pub(super) fn expect_ghost(&mut self, at: Moment) {
        self.ghosts.until = Some(at.monotonic + LOGIN_MAY_BE_OPEN);
    }
}
