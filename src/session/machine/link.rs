//! The events of a session's link.

use std::time::Duration;

use super::super::backoff::delay;
use super::super::clock::after;
use super::super::pairing::Pairing;
use super::super::settings::Settings;
use super::{Effect, Machine, Moment};
use crate::protocol::{
    Account, Cause, EventKind, PairCode, Phase, Qr, Redacted, Stage, Unlink, removed_soon,
};
use crate::whatsapp::{LinkEvent, Pace, PairCodeRefused};

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
                self.qr_code(qr, valid_for, at, settings);
            }
            LinkEvent::QrExhausted if self.is_by_code() || self.paired => {}
            LinkEvent::QrExhausted if self.passkey().is_some() => {}
            LinkEvent::QrExhausted => self.pairing_expired(at, settings),
            LinkEvent::ReadyForPairCode => self.ask_code(at, settings),
            LinkEvent::PairCode {
                request,
                code,
                valid_for,
            } if request == self.last_code => self.got_code(code, valid_for, at),
            LinkEvent::PairCodeStale => self.code_is_stale(at, settings),
            LinkEvent::PairCodeRefused(request, why) if request == self.last_code => {
                self.code_refused(&why, at, settings);
            }
            LinkEvent::Passkey(event) if !self.paired => self.passkey_event(event, at, settings),
            // A code and a refusal that are left are of an earlier request, perhaps for another phone.
            LinkEvent::PairCode { .. } | LinkEvent::PairCodeRefused(..) | LinkEvent::Passkey(_) => {
            }
            LinkEvent::Paired(account) => self.got_paired(account, at, settings),
            LinkEvent::PairFailed(why) => {
                // The pairing goes on, and nobody may finish it.
                self.note_trouble(Cause::PairingExpired, &why);
                self.error = Some(why);
                self.publish(EventKind::Updated);
            }
            LinkEvent::Online(account) => self.online(account, at, settings),
            LinkEvent::Name(name) => self.renamed(&name),
            LinkEvent::Activity => self.touch(at),
            LinkEvent::PhoneHeard { ago } => self.phone_heard(ago, at),
            LinkEvent::Limit(limit) => self.limit(limit, at),
            LinkEvent::Settings { complete } => self.settings_came(complete, at),
            LinkEvent::Ended(ending) => self.link_ended(ending, at, settings),
        }
    }

    fn stage(&mut self, stage: Stage, at: Moment) {
        // The passkey was wanted on the connection before. It has its own end.
        if self.passkey().is_some() {
            return;
        }
        if stage == Stage::Login {
            self.failed_handshakes = 0;
        }
        if stage == Stage::Sync {
            self.login_accepted();
        }
        self.login_may_be_sent(stage, at);
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

    fn qr_code(&mut self, qr: Qr, valid_for: Duration, at: Moment, settings: &Settings) {
        // The code before was scanned where WhatsApp wants a passkey now.
        if self.paired || self.passkey().is_some() {
            return;
        }
        if let Some(pairing) = self.pairing.as_mut().filter(|p| p.phone.is_some()) {
            // The phone was named after the link had said that it can be asked.
            if !pairing.has_asked() {
                self.ask_code(at, settings);
            }
            return;
        }
        if self.phase != Phase::AwaitingScan {
            self.failures = 0;
            self.enter(Phase::AwaitingScan, at);
            self.pairing_gets_on();
        }
        self.code_ends = at.monotonic + valid_for + QR_SLACK;
        self.qr = Some(qr);
        self.publish(EventKind::Qr);
    }

    /// Notes what keeps a pairing from going on. It is told at its end, unless it passes.
    pub(super) fn note_trouble(&mut self, cause: Cause, why: &str) {
        if let Some(pairing) = self.pairing.as_mut().filter(|_| !self.paired) {
            pairing.note_trouble(cause, why.to_owned());
        }
    }

    /// A link is up and shows a code: what kept the pairing from going on has passed.
    fn pairing_gets_on(&mut self) {
        self.error = None;
        if let Some(pairing) = &mut self.pairing {
            pairing.trouble_has_passed();
        }
    }

    fn is_by_code(&self) -> bool {
        self.pairing.as_ref().is_some_and(Pairing::is_by_code)
    }

    /// Asks for a pair code, where the pairing is by code. When it has had all its codes, it ends.
    pub(super) fn ask_code(&mut self, at: Moment, settings: &Settings) {
        let Some(pairing) = self.pairing.as_mut() else {
            return;
        };
        if !pairing.is_by_code() || pairing.passkey.is_some() {
            return;
        }
        match pairing.next_code() {
            Some(phone) => {
                self.last_code.0 += 1;
                self.effects
                    .push(Effect::AskPairCode(self.last_code, phone));
            }
            None => self.pairing_expired(at, settings),
        }
    }

    /// WhatsApp takes the pair code back: it is withdrawn, and another one is asked for.
    fn code_is_stale(&mut self, at: Moment, settings: &Settings) {
        if self.passkey().is_some() {
            return;
        }
        if self.phase == Phase::AwaitingCode {
            self.withdraw_code(at);
            let why = "WhatsApp took one pair code after the other back";
            self.note_trouble(Cause::PairingExpired, why);
        }
        self.ask_code(at, settings);
    }

    /// Shows the pair code no longer. Another one is to be asked for.
    pub(super) fn withdraw_code(&mut self, at: Moment) {
        self.enter(Phase::Connecting, at);
        self.wait_for_login(at);
        self.publish(EventKind::Connecting);
    }

    fn got_code(&mut self, code: Redacted, valid_for: Duration, at: Moment) {
        if self.passkey().is_some() {
            return;
        }
        let Some(phone) = self.pairing.as_ref().and_then(|p| p.phone.clone()) else {
            return;
        };
        self.failures = 0;
        self.enter(Phase::AwaitingCode, at);
        self.pairing_gets_on();
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
        if !self.paired && self.passkey().is_none() {
            self.log_out(cause, None, Unlink::NotLinked, at, settings);
            let why = format!("WhatsApp gave no pair code: {}", why.error);
            self.said(Some(why), None);
        }
    }

    fn got_paired(&mut self, account: Account, at: Moment, settings: &Settings) {
        let pairing = self.pairing.take();
        let past = pairing.as_ref().and_then(|p| p.past.account.as_ref());
        let before = self.record.account.as_ref().or(past);
        let other = before.is_some_and(|known| known.phone != account.phone);
        self.paired = true;
        self.error = None;
        self.touch(at);
        self.record.linked_at = Some(at.now);
        self.record.account = Some(account);
        if self.is_unexpected() {
            return self.wrong_account(at, settings);
        }
        self.record.expect = None;
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

    /// Unlinks the account again that was linked: another one is expected.
    fn wrong_account(&mut self, at: Moment, settings: &Settings) {
        let (linked, expected) = (&self.record.account, &self.record.expect);
        let why = linked
            .as_ref()
            .zip(expected.as_ref())
            .map(|(linked, expected)| {
                format!("{} was linked, and {expected} is expected", linked.phone)
            });
        self.log_out(Cause::WrongAccount, None, Unlink::Unreachable, at, settings);
        self.said(why, None);
    }

    /// Whether the session's account is known, and is not the one that is expected.
    fn is_unexpected(&self) -> bool {
        let (account, expected) = (&self.record.account, &self.record.expect);
        let both = account.as_ref().zip(expected.as_ref());
        both.is_some_and(|(account, expected)| account.phone != expected.to_string())
    }

    /// In phase `connecting`, on a link that is up.
    pub(super) fn wait_for_login(&mut self, at: Moment) {
        self.connecting_at(Stage::Login, at);
        self.stage_timed_since = Some(at.monotonic);
    }

    fn online(&mut self, account: Account, at: Moment, settings: &Settings) {
        self.attempts = 0;
        self.login_accepted();
        self.way_back.was_told = false;
        self.paired = true;
        self.pairing = None;
        self.touch(at);
        // A crash may have come between the pairing and the end of a session that is not the expected one's.
        if self.record.account.is_none() && self.record.expect.is_some() {
            self.record.account = Some(account.clone());
            if self.is_unexpected() {
                return self.wrong_account(at, settings);
            }
        }
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

    /// What is said of a device that was removed right after it was linked, with what WhatsApp said.
    pub(super) fn removed_soon(
        &self,
        cause: Cause,
        at: Moment,
        text: Option<&str>,
    ) -> Option<String> {
        let age = removed_soon(cause, self.record.linked_at, at.now)?.as_secs();
        let words = format!(
            "WhatsApp removed the device {age} s after it was linked; that soon it is rarely the phone's owner who does that"
        );
        Some(text.map_or_else(|| words.clone(), |text| format!("{text} ({words})")))
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

    pub(super) fn retry(
        &mut self,
        cause: Cause,
        pace: Pace,
        error: String,
        at: Moment,
        settings: &Settings,
    ) {
        self.note_trouble(cause, &error);
        let is_last_code = self
            .pairing
            .as_ref()
            .is_some_and(Pairing::has_had_all_codes);
        if self.pairing_is_over(at) || is_last_code && !self.paired {
            return self.pairing_expired(at, settings);
        }
        if self.passkey().is_some() {
            return self.passkey_lost(error, at, settings);
        }
        self.failures = self.failures.saturating_add(1);
        let count = self.failures.max(self.short_links);
        if cause == Cause::HandshakeFailed {
            self.failed_handshakes = self.failed_handshakes.saturating_add(1);
        }
        let wait = delay(count, pace, at.jitter);
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
