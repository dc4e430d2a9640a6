//! The end of a link: what it means for the session.

use std::time::Duration;

use super::super::backoff::{STABLE_AFTER, decayed, delay};
use super::super::clock::after;
use super::super::settings::{OnConflict, OnLocked, Settings};
use super::{Machine, Moment};
use crate::protocol::{Cause, EventKind, Phase, Redacted, Unlink};
use crate::store::{AccountLock, Hold};
use crate::whatsapp::{Ending, Pace, Verdict};

/// How long a lock must have been seen before the session is removed, so that no dead session stays for ever.
const LOCKED_FOR_GOOD: Duration = Duration::from_hours(14 * 24);
/// Over how long a time at the most sessions that waited for another version come back: not all at once.
const SPREAD: Duration = Duration::from_secs(5);

/// What WhatsApp said about the client's version since the last login that it accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::session) struct Outdated {
    /// Whether the one quick try was made: a single answer may be wrong.
    tried_again: bool,
    /// How often the session has waited.
    waits: u32,
    /// Whether the present try is a person's. It does not make later waits longer.
    pub(super) by_person: bool,
}

impl Machine {
    pub(super) fn link_ended(&mut self, ending: Ending, at: Moment, settings: &Settings) {
        let Ending {
            verdict,
            error,
            text,
            appeal_token,
        } = ending;
        let words = text.clone().unwrap_or(error);
        if self.passkey().is_some() {
            self.passkey_lost(words, at, settings);
            return self.said(None, appeal_token);
        }
        self.note_trouble(cause_of(verdict), &words);
        self.weigh_time_online(at);
        if is_answer(verdict) {
            self.login_answered();
        }
        if is_other_than_locked(verdict)
            && let Some(lock) = &mut self.record.lock
        {
            lock.begin_anew();
        }
        match verdict {
            Verdict::Wipe(cause, known) => {
                self.log_out(cause, None, known, at, settings);
                let soon = self.removed_soon(cause, at, text.as_deref());
                return self.said(soon.or(text), appeal_token);
            }
            Verdict::Conflict if self.may_be_ghost(at) => self.connect_quietly(&words, at),
            Verdict::Conflict if settings.on_conflict == OnConflict::Logout => {
                // Unlinking would end the other connection's session too.
                self.log_out(Cause::Replaced, None, Unlink::NotAsked, at, settings);
            }
            Verdict::Conflict => self.hold_on(Cause::Replaced, None, words, at),
            Verdict::Locked if self.paired && settings.on_locked == OnLocked::Hold => {
                return self.locked(words, text, appeal_token, at, settings);
            }
            Verdict::Locked => {
                let known = if self.paired {
                    Unlink::NotKnown
                } else {
                    Unlink::NotLinked
                };
                self.log_out(Cause::AccountLocked, None, known, at, settings);
            }
            Verdict::Park(cause) => self.hold_on(cause, None, words, at),
            Verdict::Hold(cause, length) => {
                self.hold_on(cause, Some(after(at.now, length)), words, at);
            }
            Verdict::Retry(Cause::ClientOutdated, pace) => {
                self.outdated(pace, words, at, settings);
            }
            Verdict::Retry(cause, pace) => self.retry(cause, pace, words, at, settings),
            Verdict::Unusable => {
                self.unusable(words, at);
                self.close_link();
            }
        }
        self.said(text, appeal_token);
    }

    /// A link that was online for long begins the count of failures anew, a shorter one lowers it. Links that
    /// are short again and again raise a count of their own: a session that flaps waits longer and longer.
    fn weigh_time_online(&mut self, at: Moment) {
        if self.phase != Phase::Online {
            return;
        }
        let online = at.monotonic.since(self.entered);
        self.way_back.was_online_for = online;
        self.failures = decayed(self.failures, online);
        self.short_links = if online >= STABLE_AFTER {
            0
        } else {
            self.short_links.saturating_add(1)
        };
    }

    /// Parks or holds the session, also over restarts: it does not try again before a person says
    /// `connect`, or before the time.
    fn hold_on(&mut self, cause: Cause, until: Option<jiff::Timestamp>, error: String, at: Moment) {
        let hold = Hold {
            cause,
            until,
            error: Some(error),
        };
        self.record.hold = Some(hold.clone());
        self.save();
        self.wait(hold, at);
        self.close_link();
    }

    // ---- a locked account -----------------------------------------------------------------------

    /// Keeps a session whose account is locked, and tries again later and later: the lock is on the account,
    /// and the credentials may be accepted again after it. What WhatsApp said goes into the record first. The
    /// appeal token comes only once.
    fn locked(
        &mut self,
        error: String,
        text: Option<String>,
        appeal_token: Option<Redacted>,
        at: Moment,
        settings: &Settings,
    ) {
        let mut lock = self
            .record
            .lock
            .take()
            .unwrap_or_else(|| AccountLock::new(at.now));
        lock.seen(at.now, text, appeal_token);
        let words = lock.text.clone().unwrap_or(error);
        let (wait, seen_for) = (lock.wait(), lock.seen_for());
        self.record.lock = Some(lock);
        if seen_for >= LOCKED_FOR_GOOD {
            return self.log_out(Cause::AccountLocked, None, Unlink::NotKnown, at, settings);
        }
        self.hold_on(Cause::AccountLocked, Some(after(at.now, wait)), words, at);
    }

    /// How long a hold that the daemon chose itself lasts at the most, whatever happens to the wall clock.
    pub(super) fn longest_hold(&self, hold: &Hold) -> Option<Duration> {
        let lock = self.record.lock.as_ref();
        let lock = lock.filter(|_| hold.cause == Cause::AccountLocked)?;
        Some(lock.wait())
    }

    // ---- an outdated client ---------------------------------------------------------------------

    /// WhatsApp does not accept the client's version. One answer may be wrong, so the session tries once more
    /// soon; where that is wrong, or is known to help nobody, it waits.
    fn outdated(&mut self, pace: Pace, error: String, at: Moment, settings: &Settings) {
        if pace != Pace::Outdated && !self.outdated.tried_again {
            self.outdated.tried_again = true;
            return self.retry(Cause::ClientOutdated, pace, error, at, settings);
        }
        if self.pairing_is_over(at) {
            return self.pairing_expired(at, settings);
        }
        let by_person = std::mem::take(&mut self.outdated.by_person);
        if !by_person || self.outdated.waits == 0 {
            self.outdated.waits = self.outdated.waits.saturating_add(1);
        }
        let wait = delay(self.outdated.waits, Pace::Outdated, at.jitter);
        self.close_link();
        self.back_off(Cause::ClientOutdated, error, wait, at);
        self.publish(EventKind::BackingOff);
    }

    /// The client has another version, or WhatsApp accepts the present one again: the wait is over, a moment
    /// later for each session.
    pub(super) fn version_changed(&mut self, at: Moment) {
        self.outdated = Outdated::default();
        let waits = self.phase == Phase::BackingOff && self.reason == Some(Cause::ClientOutdated);
        let soon = SPREAD.mul_f64(at.jitter.clamp(0.0, 1.0));
        let due = at.monotonic + soon;
        if waits && !self.is_stopping() && self.retry_due.is_some_and(|before| before > due) {
            self.retry_due = Some(due);
            self.retry_at = Some(after(at.now, soon));
            self.publish(EventKind::Updated);
        }
    }

    /// WhatsApp accepted the login: it knows the version, and the account is not locked.
    pub(super) fn login_accepted(&mut self) {
        self.login_answered();
        self.outdated = Outdated::default();
        if self.record.lock.take().is_some() {
            self.save();
        }
    }
}

/// Whether the end is WhatsApp's answer to a login. A login without an answer may still be concluded.
fn is_answer(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Wipe(..) | Verdict::Locked | Verdict::Park(_) | Verdict::Hold(..) => true,
        Verdict::Retry(cause, _) => matches!(
            cause,
            Cause::ClientOutdated | Cause::RateLimited | Cause::ServerUnavailable
        ),
        Verdict::Conflict | Verdict::Unusable => false,
    }
}

/// The name of what happened, for a pairing that it keeps from going on.
fn cause_of(verdict: Verdict) -> Cause {
    match verdict {
        Verdict::Wipe(cause, _)
        | Verdict::Park(cause)
        | Verdict::Hold(cause, _)
        | Verdict::Retry(cause, _) => cause,
        Verdict::Conflict => Cause::Replaced,
        Verdict::Locked => Cause::AccountLocked,
        Verdict::Unusable => Cause::StoreFailed,
    }
}

/// Whether WhatsApp said something else about the account than that it is locked.
fn is_other_than_locked(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Park(_) | Verdict::Hold(..))
}
