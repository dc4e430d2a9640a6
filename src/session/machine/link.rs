//! The events of a session's link.

use std::time::Duration;

use jiff::Timestamp;

use super::super::backoff::{STABLE_AFTER, delay};
use super::super::clock::after;
use super::super::pairing::Pairing;
use super::super::settings::{OnConflict, Settings};
use super::{Effect, Machine, Moment};
use crate::protocol::{Account, Cause, EventKind, PairCode, Phase, Qr, Redacted, Stage, Unlink};
use crate::store::Hold;
use crate::whatsapp::{Ending, LinkEvent, Pace, PairCodeRefused, Verdict};

/// How much later than its end a QR code's successor may come.
const QR_SLACK: Duration = Duration::from_secs(30);

impl Machine {
    pub(super) fn link(&mut self, event: LinkEvent, at: Moment, settings: &Settings) {
        match event {
            LinkEvent::Stage(stage) => self.stage(stage, at),
            LinkEvent::Qr {
                code,
                valid_for,
                number,
                remaining,
            } => {
                let qr = Qr {
                    code: Some(code),
                    number,
                    remaining,
                    expires_at: after(at.now, valid_for),
                };
                self.qr_code(qr, valid_for, at);
            }
            LinkEvent::QrExhausted if self.is_by_code() || self.paired => {}
            LinkEvent::QrExhausted => self.pairing_expired(at, settings),
            LinkEvent::ReadyForPairCode if self.is_by_code() => self.ask_code(),
            LinkEvent::ReadyForPairCode => {}
            LinkEvent::PairCode { code, valid_for } => self.got_code(code, valid_for, at),
            LinkEvent::PairCodeStale => self.ask_code(),
            LinkEvent::PairCodeRefused(why) => self.code_refused(&why, at, settings),
            LinkEvent::Paired(account) => self.got_paired(account, at),
            LinkEvent::PairFailed(why) => {
                self.error = Some(why);
                self.publish(EventKind::Updated);
            }
            LinkEvent::Online(account) => self.online(account, at),
            LinkEvent::Name(name) => self.renamed(&name),
            LinkEvent::Activity => self.touch(at),
            LinkEvent::PhoneHeard => self.phone_heard(at),
            LinkEvent::Limit(limit) => self.limit(limit, at),
            LinkEvent::Settings { complete } => self.settings_came(complete, at),
            LinkEvent::Ended(ending) => self.link_ended(ending, at, settings),
        }
    }

    fn stage(&mut self, stage: Stage, at: Moment) {
        if stage == Stage::Login {
            self.failed_handshakes = 0;
        }
        let before = self.connecting.map(|connecting| connecting.stage);
        if self.phase != Phase::Connecting {
            // The second connection of a pairing.
            self.enter(Phase::Connecting, at);
        }
        self.connecting_at(stage, at);
        self.stage_timed_since = Some(at.monotonic);
        if before != Some(stage) {
            self.publish(EventKind::Connecting);
        }
    }

    fn qr_code(&mut self, qr: Qr, valid_for: Duration, at: Moment) {
        if self.paired {
            return;
        }
        if let Some(pairing) = self.pairing.as_mut().filter(|p| p.phone.is_some()) {
            // The phone was named after the link had said that it can be asked.
            if !pairing.has_asked() {
                self.ask_code();
            }
            return;
        }
        if self.phase != Phase::AwaitingScan {
            self.failures = 0;
            self.enter(Phase::AwaitingScan, at);
        }
        self.code_ends = at.monotonic + valid_for + QR_SLACK;
        self.qr = Some(qr);
        self.publish(EventKind::Qr);
    }

    fn is_by_code(&self) -> bool {
        self.pairing.as_ref().is_some_and(|p| p.phone.is_some())
    }

    pub(super) fn ask_code(&mut self) {
        let next = self.pairing.as_mut().and_then(Pairing::next_code);
        self.effects.extend(next.map(Effect::AskPairCode));
    }

    fn got_code(&mut self, code: Redacted, valid_for: Duration, at: Moment) {
        let Some(phone) = self.pairing.as_ref().and_then(|p| p.phone.clone()) else {
            return;
        };
        self.failures = 0;
        self.enter(Phase::AwaitingCode, at);
        self.code_ends = at.monotonic + valid_for;
        self.pair_code = Some(PairCode {
            code: Some(code),
            phone: phone.to_string(),
            expires_at: after(at.now, valid_for),
        });
        self.publish(EventKind::PairCode);
    }

    fn code_refused(&mut self, why: &PairCodeRefused, at: Moment, settings: &Settings) {
        let cause = if why.rate_limited {
            Cause::RateLimited
        } else {
            Cause::Refused(None)
        };
        let failure = self.no_code(why);
        self.refuse_code(&failure);
        // The QR code may have been scanned before the answer came: then there is something to keep.
        if !self.paired {
            self.log_out(cause, None, Unlink::NotLinked, at, settings);
        }
    }

    fn got_paired(&mut self, account: Account, at: Moment) {
        let before = self.record.account.as_ref();
        let other = before.is_some_and(|known| known.phone != account.phone);
        self.paired = true;
        self.pairing = None;
        self.error = None;
        self.touch(at);
        self.record.account = Some(account);
        if other {
            self.record.targets.clear();
            self.forget_the_account();
        }
        self.record.phone_heard = Some(at.now);
        self.save();
        if other {
            self.publish(EventKind::AccountChanged);
        }
        self.enter(Phase::Connecting, at);
        self.wait_for_login(at);
        self.publish(EventKind::Paired);
    }

    /// In phase `connecting`, on a link that is up.
    pub(super) fn wait_for_login(&mut self, at: Moment) {
        self.connecting_at(Stage::Login, at);
        self.stage_timed_since = Some(at.monotonic);
    }

    fn online(&mut self, account: Account, at: Moment) {
        self.attempts = 0;
        self.paired = true;
        self.pairing = None;
        self.touch(at);
        let named = self.record.user.as_ref();
        let is_renamed = named.is_some_and(|named| *named != self.user);
        let is_news = self.record.account.as_ref() != Some(&account);
        if is_news || is_renamed || self.record.hold.is_some() {
            self.record.account = Some(account);
            self.record.hold = None;
            self.record.user = Some(self.user.clone());
            self.save();
        }
        self.enter(Phase::Online, at);
        self.publish(EventKind::Online);
        self.account_is_online(at);
    }

    fn renamed(&mut self, name: &str) {
        match &mut self.record.account {
            Some(account) if account.name.as_deref() != Some(name) => {
                account.name = Some(name.to_owned());
                self.save();
                self.publish(EventKind::Updated);
            }
            _ => {}
        }
    }

    fn link_ended(&mut self, ending: Ending, at: Moment, settings: &Settings) {
        let Ending {
            verdict,
            error,
            text,
            appeal_token,
        } = ending;
        let words = text.clone().unwrap_or(error);
        if self.phase == Phase::Online && at.monotonic.since(self.entered) >= STABLE_AFTER {
            self.failures = 0;
        }
        match verdict {
            Verdict::Wipe(cause) => self.log_out(cause, None, Unlink::NotLinked, at, settings),
            Verdict::Conflict if settings.on_conflict == OnConflict::Logout => {
                // Unlinking would end the other connection's session too.
                self.log_out(Cause::Replaced, None, Unlink::NotAsked, at, settings);
            }
            Verdict::Conflict => self.hold_on(Cause::Replaced, None, words, at),
            Verdict::Park(cause) => self.hold_on(cause, None, words, at),
            Verdict::Hold(cause, length) => {
                self.hold_on(cause, Some(after(at.now, length)), words, at);
            }
            Verdict::Retry(cause, pace) => self.retry(cause, pace, words, at, settings),
        }
        self.said(text, appeal_token);
    }

    /// Parks or holds the session, also over restarts: it does not try again before a person says
    /// `connect`, or before the time.
    fn hold_on(&mut self, cause: Cause, until: Option<Timestamp>, error: String, at: Moment) {
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

    pub(super) fn retry(
        &mut self,
        cause: Cause,
        pace: Pace,
        error: String,
        at: Moment,
        settings: &Settings,
    ) {
        if self.pairing_is_over(at) {
            return self.pairing_expired(at, settings);
        }
        self.failures = self.failures.saturating_add(1);
        if cause == Cause::HandshakeFailed {
            self.failed_handshakes = self.failed_handshakes.saturating_add(1);
        }
        let wait = delay(self.failures, pace, at.jitter);
        self.close_link();
        if wait.is_zero() {
            self.error = Some(error);
            self.connect(at);
        } else {
            self.back_off(cause, error, wait, at);
            self.publish(EventKind::BackingOff);
        }
    }
}
