//! What a session's link reports, and what follows from it.

use std::time::Duration;

use jiff::Timestamp;

use super::super::backoff::{STABLE_AFTER, delay};
use super::super::clock::after;
use super::super::pairing::Pairing;
use super::super::settings::{OnConflict, Settings};
use super::{Effect, Machine, Moment};
use crate::protocol::{
    Account, Cause, Connecting, EventKind, PairCode, Phase, Qr, Redacted, Stage, Unlink,
};
use crate::store::Hold;
use crate::whatsapp::{Ending, LinkEvent, Pace, PairCodeRefused, Verdict};

impl Machine {
    pub(super) fn link(
        &mut self,
        event: LinkEvent,
        at: Moment,
        settings: &Settings,
    ) -> Vec<Effect> {
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
                self.qr_code(qr, at)
            }
            LinkEvent::QrExhausted if self.is_by_code() || self.paired => Vec::new(),
            LinkEvent::QrExhausted => self.expired(at),
            LinkEvent::ReadyForPairCode if self.is_by_code() => self.ask_code(),
            LinkEvent::ReadyForPairCode => Vec::new(),
            LinkEvent::PairCode { code, valid_for } => self.got_code(code, valid_for, at),
            LinkEvent::PairCodeStale => self.ask_code(),
            LinkEvent::PairCodeRefused(why) => self.code_refused(why, at),
            LinkEvent::Paired(account) => self.got_paired(account, at),
            LinkEvent::PairFailed(why) => {
                self.error = Some(why);
                vec![Effect::Publish(EventKind::Updated)]
            }
            LinkEvent::Online(account) => self.online(account, at),
            LinkEvent::Name(name) => self.renamed(&name),
            LinkEvent::Activity => {
                self.touch(at);
                Vec::new()
            }
            LinkEvent::Ended(ending) => self.link_ended(ending, at, settings),
        }
    }

    pub(super) fn stage(&mut self, stage: Stage, at: Moment) -> Vec<Effect> {
        self.dialing = true;
        if stage == Stage::Login {
            self.failed_handshakes = 0;
        }
        let connecting = Connecting {
            attempt: self.attempts.max(1),
            stage,
            stage_since: at.now,
        };
        if self.phase != Phase::Connecting {
            // The second connection of a pairing.
            let effects = self.enter(Phase::Connecting, EventKind::Connecting, at);
            self.dialing = true;
            self.connecting = Some(connecting);
            return effects;
        }
        let before = self.connecting.replace(connecting);
        if before.is_some_and(|c| c.stage == stage) {
            return Vec::new();
        }
        vec![Effect::Publish(EventKind::Connecting)]
    }

    pub(super) fn qr_code(&mut self, qr: Qr, at: Moment) -> Vec<Effect> {
        if self.paired {
            return Vec::new();
        }
        if let Some(pairing) = self.pairing.as_mut().filter(|p| p.phone.is_some()) {
            // The phone was named after the link had said that it can be asked.
            let unasked = !pairing.has_asked();
            return if unasked { self.ask_code() } else { Vec::new() };
        }
        let effects = if self.phase == Phase::AwaitingScan {
            vec![Effect::Publish(EventKind::Qr)]
        } else {
            self.failures = 0;
            self.enter(Phase::AwaitingScan, EventKind::Qr, at)
        };
        self.qr = Some(qr);
        effects
    }

    pub(super) fn is_by_code(&self) -> bool {
        self.pairing.as_ref().is_some_and(|p| p.phone.is_some())
    }

    pub(super) fn ask_code(&mut self) -> Vec<Effect> {
        let next = self.pairing.as_mut().and_then(Pairing::next_code);
        next.map(Effect::AskPairCode).into_iter().collect()
    }

    pub(super) fn got_code(
        &mut self,
        code: Redacted,
        valid_for: Duration,
        at: Moment,
    ) -> Vec<Effect> {
        let Some(phone) = self.pairing.as_ref().and_then(|p| p.phone.clone()) else {
            return Vec::new();
        };
        self.failures = 0;
        let effects = self.enter(Phase::AwaitingCode, EventKind::PairCode, at);
        self.pair_code = Some(PairCode {
            code: Some(code),
            phone: phone.to_string(),
            expires_at: after(at.now, valid_for),
        });
        effects
    }

    pub(super) fn code_refused(&mut self, why: PairCodeRefused, at: Moment) -> Vec<Effect> {
        let cause = if why.rate_limited {
            Cause::RateLimited
        } else {
            Cause::Refused(None)
        };
        let mut effects = vec![Effect::PairCodeRefused {
            rate_limited: why.rate_limited,
            retry_after: why.retry_after,
            error: why.error,
        }];
        // The QR code may have been scanned before the answer came: then there is something to keep.
        if !self.paired {
            effects.extend(self.log_out(cause, None, Unlink::NotLinked, at));
        }
        effects
    }

    pub(super) fn got_paired(&mut self, account: Account, at: Moment) -> Vec<Effect> {
        let before = self.record.account.as_ref();
        let other = before.is_some_and(|known| known.phone != account.phone);
        self.paired = true;
        self.pairing = None;
        self.error = None;
        self.touch(at);
        self.record.account = Some(account);
        let mut effects = vec![Effect::Save];
        if other {
            self.record.targets.clear();
            effects.push(Effect::Publish(EventKind::AccountChanged));
        }
        effects.extend(self.enter(Phase::Connecting, EventKind::Paired, at));
        self.wait_for_login(at);
        effects
    }

    /// In phase `connecting`, on a link that is up.
    pub(super) fn wait_for_login(&mut self, at: Moment) {
        self.dialing = true;
        self.connecting = Some(Connecting {
            attempt: self.attempts.max(1),
            stage: Stage::Login,
            stage_since: at.now,
        });
    }

    pub(super) fn online(&mut self, account: Account, at: Moment) -> Vec<Effect> {
        self.attempts = 0;
        self.paired = true;
        self.pairing = None;
        self.touch(at);
        let mut effects = Vec::new();
        if self.record.account.as_ref() != Some(&account) || self.record.hold.is_some() {
            self.record.account = Some(account);
            self.record.hold = None;
            effects.push(Effect::Save);
        }
        effects.extend(self.enter(Phase::Online, EventKind::Online, at));
        effects
    }

    pub(super) fn renamed(&mut self, name: &str) -> Vec<Effect> {
        match &mut self.record.account {
            Some(account) if account.name.as_deref() != Some(name) => {
                account.name = Some(name.to_owned());
                vec![Effect::Save, Effect::Publish(EventKind::Updated)]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn link_ended(
        &mut self,
        ending: Ending,
        at: Moment,
        settings: &Settings,
    ) -> Vec<Effect> {
        let Ending {
            verdict,
            error,
            text,
            appeal_token,
        } = ending;
        let effects = self.ended(verdict, text.clone().unwrap_or(error), at, settings);
        if let Some(intent) = &mut self.intent {
            intent.text = text;
            intent.appeal_token = appeal_token;
        }
        effects
    }

    pub(super) fn ended(
        &mut self,
        verdict: Verdict,
        error: String,
        at: Moment,
        settings: &Settings,
    ) -> Vec<Effect> {
        if self.phase == Phase::Online && at.now >= after(self.since, STABLE_AFTER) {
            self.failures = 0;
        }
        match verdict {
            Verdict::Wipe(cause) => self.log_out(cause, None, Unlink::NotLinked, at),
            Verdict::Conflict if settings.on_conflict == OnConflict::Logout => {
                // Unlinking would end the other connection's session too.
                self.log_out(Cause::Replaced, None, Unlink::NotAsked, at)
            }
            Verdict::Conflict => self.hold_on(Cause::Replaced, None, error, at),
            Verdict::Park(cause) => self.hold_on(cause, None, error, at),
            Verdict::Hold(cause, length) => {
                self.hold_on(cause, Some(after(at.now, length)), error, at)
            }
            Verdict::Retry(cause, pace) => self.retry(cause, pace, error, at),
        }
    }

    /// Parks or holds: no try before a person or the time says so, over restarts too.
    pub(super) fn hold_on(
        &mut self,
        cause: Cause,
        until: Option<Timestamp>,
        error: String,
        at: Moment,
    ) -> Vec<Effect> {
        let hold = Hold {
            cause,
            until,
            error: Some(error),
        };
        self.record.hold = Some(hold.clone());
        // Told before the link is closed: a goodbye may take seconds, and a status is never stale.
        let mut effects = vec![Effect::Save];
        effects.extend(self.wait(hold, at));
        effects.push(Effect::CloseLink);
        effects
    }

    pub(super) fn retry(
        &mut self,
        cause: Cause,
        pace: Pace,
        error: String,
        at: Moment,
    ) -> Vec<Effect> {
        if self.pairing_is_over(at) {
            return self.expired(at);
        }
        self.failures = self.failures.saturating_add(1);
        if cause == Cause::HandshakeFailed {
            self.failed_handshakes = self.failed_handshakes.saturating_add(1);
        }
        let wait = delay(self.failures, pace, at.dice);
        let effects = if wait.is_zero() {
            let mut effects = vec![Effect::CloseLink];
            effects.extend(self.connect(at));
            effects
        } else {
            let mut effects = self.enter(Phase::BackingOff, EventKind::BackingOff, at);
            effects.push(Effect::CloseLink);
            self.retry_at = Some(after(at.now, wait));
            self.reason = Some(cause);
            effects
        };
        self.error = Some(error);
        effects
    }
}
