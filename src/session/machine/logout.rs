//! The logout: unlink at WhatsApp, close the link, remove everything. Each step is an effect whose result
//! is an input; the deadline is the machine's own.

use std::time::Duration;

use super::super::clock::{Monotonic, after};
use super::super::settings::Settings;
use super::{Effect, Exit, LinkState, Machine, Moment};
use crate::protocol::{Account, Cause, EventKind, HistoryEntry, Phase, Redacted, Unlink};
use crate::store::Intent;
use crate::whatsapp::{Ending, PairCodeRefused};

const RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// A logout under way.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) struct Logout {
    pub(in crate::session) intent: Intent,
    /// Whether WhatsApp is still to be asked to remove the device.
    unlink: bool,
    step: Step,
    /// Whether the effect of the step is under way.
    busy: bool,
    /// When those who wait get the answer that the logout did not finish.
    ends: Monotonic,
    /// How long the logout may take, for the words of that answer.
    within: Duration,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Unlink,
    Close,
    Remove,
}

impl Step {
    /// The step that has not finished, in words.
    const fn unfinished(self) -> &'static str {
        match self {
            Self::Unlink => "WhatsApp has not answered the unlink",
            Self::Close => "the link has not ended, a disk may be hanging",
            Self::Remove => "its files are still being removed, a disk may be hanging",
        }
    }
}

impl Logout {
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }
}

/// How unlinking went, and what WhatsApp said when it refused the login for it. WhatsApp sends the token of
/// an appeal only once.
#[derive(Debug, Clone, PartialEq)]
pub struct Unlinked {
    /// How it went. `None`: there was nothing to unlink.
    pub unlink: Option<Unlink>,
    /// The account of a pairing that the phone had accepted just before.
    pub account: Option<Account>,
    /// What WhatsApp said.
    pub text: Option<String>,
    /// The appeal token of a locked account.
    pub appeal_token: Option<Redacted>,
}

impl From<Unlink> for Unlinked {
    fn from(unlink: Unlink) -> Self {
        Self {
            unlink: Some(unlink),
            account: None,
            text: None,
            appeal_token: None,
        }
    }
}

impl From<Ending> for Unlinked {
    fn from(ending: Ending) -> Self {
        Self {
            unlink: Some(ending.as_unlink()),
            account: None,
            text: ending.text,
            appeal_token: ending.appeal_token,
        }
    }
}

impl Machine {
    pub(super) fn force_logout(
        &mut self,
        by: u32,
        within: Duration,
        at: Moment,
        settings: &Settings,
    ) {
        // Where the session may be paired, WhatsApp is asked.
        let unlink = if self.paired {
            Unlink::Unreachable
        } else {
            Unlink::NotLinked
        };
        self.decide(Cause::ForceLogout, Some(by), unlink, within, at);
        self.advance(at, settings);
    }

    pub(super) fn log_out(
        &mut self,
        cause: Cause,
        by: Option<u32>,
        unlink: Unlink,
        at: Moment,
        settings: &Settings,
    ) {
        self.decide(cause, by, unlink, settings.logout_deadline, at);
        self.advance(at, settings);
    }

    /// Decides the logout. Nothing takes it back.
    fn decide(
        &mut self,
        cause: Cause,
        by: Option<u32>,
        unlink: Unlink,
        within: Duration,
        at: Moment,
    ) {
        let lock = self.record.lock.as_ref();
        let intent = Intent {
            at: at.now,
            user: self.user.clone(),
            cause,
            account: self.record.account.clone(),
            owner: self.record.owner,
            requested_by: by,
            unlink,
            targets: u32::try_from(self.record.targets.len()).unwrap_or(u32::MAX),
            text: lock.and_then(|lock| lock.text.clone()),
            appeal_token: lock.and_then(|lock| lock.appeal_token.clone()),
            restrictions: self.record.restrictions.clone(),
            linked_at: self.record.linked_at,
        };
        // Where nobody knows the session's proxy, WhatsApp is not asked on another way: that would show it an
        // address that its user may have wanted to hide.
        let way_is_known = !self.record.is_stand_in;
        let by_request = matches!(cause, Cause::ForceLogout | Cause::WrongAccount);
        let asked = by_request && self.paired && way_is_known;
        // The phone may have accepted the device just now, over this link or one before.
        let perhaps = !self.paired && (self.link != LinkState::Closed || self.pairing.is_some());
        let unlink = asked || perhaps;
        self.logout = Some(Logout {
            intent,
            unlink,
            step: if unlink { Step::Unlink } else { Step::Close },
            busy: false,
            ends: at.monotonic + within,
            within,
            failures: 0,
        });
        self.leave_edits();
        self.leave_proxy();
        let looks = std::mem::take(&mut self.waiting.look);
        let looks = looks.into_iter().map(|(request, _)| request);
        self.waiting.removal.extend(looks);
        self.enter_logging_out(at);
    }

    fn enter_logging_out(&mut self, at: Moment) {
        self.enter(Phase::LoggingOut, at);
        self.reason = self.logout.as_ref().map(|logout| logout.intent.cause);
        self.publish(EventKind::LoggingOut);
    }

    /// Keeps what WhatsApp said when it ended the session: that belongs into the history. It is a part of
    /// the decision.
    pub(super) fn said(&mut self, text: Option<String>, appeal_token: Option<Redacted>) {
        if let Some(Logout { intent, .. }) = &mut self.logout {
            intent.text = text.or(intent.text.take());
            intent.appeal_token = appeal_token.or(intent.appeal_token.take());
        }
    }

    /// Begins the present step. The unlink may take half of the time that is left, and closing half of the
    /// rest, so that there is time for the removal.
    pub(super) fn advance(&mut self, at: Moment, settings: &Settings) {
        let (paired, full_handshake) = (self.paired, self.failed_handshakes > 0);
        let Some(logout) = &mut self.logout else {
            return;
        };
        let half = logout.ends.since(at.monotonic) / 2;
        logout.busy = true;
        let effect = match logout.step {
            Step::Unlink => Effect::Unlink {
                paired,
                full_handshake,
                within: half.min(settings.unlink_timeout),
            },
            Step::Close => self.begin_close(false, half),
            Step::Remove => Effect::Remove(Box::new(logout.intent.clone())),
        };
        self.effects.push(effect);
    }

    /// The logout, if the effect of this step is under way. No other result counts.
    fn at_step(&mut self, step: Step) -> Option<&mut Logout> {
        let logout = self.logout.as_mut();
        logout.filter(|logout| logout.busy && logout.step == step)
    }

    pub(super) fn unlinked(&mut self, unlinked: Unlinked, at: Moment, settings: &Settings) {
        let Some(logout) = self.at_step(Step::Unlink) else {
            return;
        };
        let intent = &mut logout.intent;
        intent.unlink = unlinked.unlink.unwrap_or(intent.unlink);
        intent.account = unlinked.account.or(intent.account.take());
        intent.text = unlinked.text.or(intent.text.take());
        intent.appeal_token = unlinked.appeal_token.or(intent.appeal_token.take());
        logout.unlink = false;
        logout.step = Step::Close;
        self.advance(at, settings);
    }

    pub(super) fn closed_for_logout(
        &mut self,
        closed: Result<(), String>,
        at: Moment,
        settings: &Settings,
    ) {
        let Some(logout) = self.at_step(Step::Close) else {
            return;
        };
        match closed {
            Ok(()) => {
                logout.step = Step::Remove;
                self.advance(at, settings);
            }
            Err(what) => {
                logout.busy = false;
                self.removal_failed(what, at);
            }
        }
    }

    pub(super) fn removed(&mut self, removed: Result<Box<HistoryEntry>, String>, at: Moment) {
        let Some(logout) = self.at_step(Step::Remove) else {
            return;
        };
        logout.busy = false;
        match removed {
            Ok(entry) => {
                let failure = self.no_code(&PairCodeRefused {
                    rate_limited: false,
                    retry_after: None,
                    error: format!("the pairing ended ({})", entry.cause),
                });
                self.refuse_code(&failure);
                self.end(Exit::LoggedOut(entry));
            }
            Err(what) => self.removal_failed(what, at),
        }
    }

    /// Somebody who waits for the logout under way has less time than it has.
    pub(super) fn hurry_logout(&mut self, within: Duration, at: Moment) {
        if let Some(logout) = &mut self.logout
            && at.monotonic + within < logout.ends
        {
            logout.ends = at.monotonic + within;
            logout.within = within;
        }
    }

    /// When the logout under way must have finished.
    pub(super) fn logout_ends_at(&self) -> Option<Monotonic> {
        self.logout.as_ref().map(|logout| logout.ends)
    }

    /// Answers those who wait with what is left, when the deadline of the logout is over. The step under
    /// way goes on, and the logout with it.
    pub(super) fn logout_took_too_long(&mut self, at: Moment) {
        if let Some(logout) = &self.logout {
            let what = format!(
                "after {} s {}",
                logout.within.as_secs(),
                logout.step.unfinished()
            );
            self.removal_failed(what, at);
        }
    }

    fn removal_failed(&mut self, error: String, at: Moment) {
        let Some(logout) = &mut self.logout else {
            return;
        };
        logout.failures = logout.failures.saturating_add(1);
        let doublings = (logout.failures - 1).min(16);
        let cause = logout.intent.cause;
        let wait = RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY);
        self.enter(Phase::PurgeFailed, at);
        self.retry_at = Some(after(at.now, wait));
        self.retry_due = Some(at.monotonic + wait);
        self.reason = Some(cause);
        self.error = Some(error);
        self.publish(EventKind::PurgeFailed);
        let failure = self.removal_failure();
        let waiting = std::mem::take(&mut self.waiting.removal);
        self.refuse(waiting, &failure);
    }

    /// Tries a failed removal again, or goes on waiting for the step that is still under way.
    pub(super) fn retry_removal(&mut self, at: Moment, settings: &Settings) {
        self.enter_logging_out(at);
        let Some(logout) = &mut self.logout else {
            return;
        };
        logout.within = settings.logout_deadline;
        logout.ends = at.monotonic + logout.within;
        if logout.busy {
            return;
        }
        logout.step = if logout.unlink {
            Step::Unlink
        } else {
            Step::Close
        };
        self.advance(at, settings);
    }
}
