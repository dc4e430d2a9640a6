//! Commands, in each phase.

use std::time::Duration;

use super::super::pairing::{PairOptions, Pairing};
use super::super::proxy::is_same;
use super::super::settings::Settings;
use super::answers::ask_failure;
use super::{Answer, Effect, Machine, Moment, Request};
use crate::protocol::{Cause, EventKind, Failure, FailureCode, Group, Phase, PhoneNumber, Unlink};
use crate::store::Desired;
use crate::whatsapp::AskError;

impl Machine {
    // ---- connect --------------------------------------------------------------------------------

    pub(super) fn connect_asked(
        &mut self,
        request: Request,
        options: PairOptions,
        at: Moment,
        settings: &Settings,
    ) {
        match self.phase {
            // A new session begins when this one is gone.
            Phase::LoggingOut => return self.waiting.removal.push(request),
            Phase::PurgeFailed => {
                self.waiting.removal.push(request);
                return self.retry_removal(at, settings);
            }
            // A person may have put a backup back.
            Phase::StoreCorrupt => return self.look_for(request, options),
            _ if self.unread => return self.look_for(request, options),
            _ => {}
        }
        if let Some(failure) = self.contradicts(&options) {
            return self.refuse([request], &failure);
        }
        let PairOptions { phone, expect, .. } = options;
        let is_unknown = !self.paired || self.record.account.is_none();
        if is_unknown && expect.is_some() && self.record.expect != expect {
            self.record.expect = expect;
            self.save();
        }
        let by_code = phone.is_some() && !self.paired;
        self.touch(at);
        self.connect_from_here(phone, at, settings);
        self.answer_connect(request, by_code);
    }

    fn look_for(&mut self, request: Request, options: PairOptions) {
        self.waiting.look.push((request, options));
        self.look();
    }

    /// Why a `connect` cannot be done: the session is linked to another account than the expected one, its
    /// pairing is for another number, or it has another proxy than the one that is asked for.
    pub(super) fn contradicts(&self, options: &PairOptions) -> Option<Failure> {
        self.not_expected(options)
            .or_else(|| self.other_number(options))
            .or_else(|| self.other_proxy(options))
    }

    /// `connect` chooses the proxy of a session that begins. It changes none.
    fn other_proxy(&self, options: &PairOptions) -> Option<Failure> {
        let asked = options.proxy.as_ref()?;
        let own = self.record.proxy.as_ref();
        if own.is_some_and(|own| is_same(own, asked)) {
            return None;
        }
        let user = &self.user;
        let message = format!(
            "the session of {user} is there already, with another proxy than this one. Nothing was changed; `wactl proxy {user}` shows the proxy, and `wactl proxy {user} --set URL` changes it"
        );
        Some(Failure::new(FailureCode::InvalidArgument, message))
    }

    fn not_expected(&self, options: &PairOptions) -> Option<Failure> {
        let expected = options.expect.as_ref()?.to_string();
        let account = self.record.account.as_ref().filter(|_| self.paired)?;
        if account.phone == expected {
            return None;
        }
        let (user, phone) = (&self.user, &account.phone);
        let message = format!(
            "the session of {user} is linked to {phone}, and {expected} is expected. Nothing was changed; `wactl force-logout {user}` unlinks it, and then another account can be linked"
        );
        Some(Failure::new(FailureCode::WrongAccount, message))
    }

    /// Why a `connect` cannot be done that would pair one number and expect another: that of an earlier
    /// `connect`, which still counts.
    fn other_number(&self, options: &PairOptions) -> Option<Failure> {
        let pairing = self.pairing.as_ref().filter(|_| !self.paired)?;
        let user = &self.user;
        let message = match (&options.phone, &options.expect) {
            (Some(phone), None) => {
                let expected = self.record.expect.as_ref().filter(|e| *e != phone)?;
                format!(
                    "the pairing of {user} expects {expected}, so it gets no pair code for {phone}. Nothing was changed; say `--expect {phone}` too if that is the account now"
                )
            }
            (None, Some(expected)) => {
                let phone = pairing.phone.as_ref().filter(|p| *p != expected)?;
                format!(
                    "the pairing of {user} is by pair code for {phone}, so it cannot expect {expected}. Nothing was changed; say `--phone {expected}` too if that is the account now"
                )
            }
            _ => return None,
        };
        Some(Failure::new(FailureCode::InvalidArgument, message))
    }

    fn connect_from_here(&mut self, phone: Option<PhoneNumber>, at: Moment, settings: &Settings) {
        match self.phase {
            Phase::Online
            | Phase::LoggingOut
            | Phase::PurgeFailed
            | Phase::StoreCorrupt
            | Phase::Unknown(_) => {}
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode => {
                self.by_code(phone, at, settings);
            }
            Phase::Held if self.is_held(at) => {}
            Phase::Disconnected if self.is_held(at) => {
                self.record.desired = Desired::Up;
                self.save();
                self.resume(at);
            }
            Phase::Parked | Phase::Held | Phase::Disconnected | Phase::BackingOff => {
                self.pair_anew(phone, at);
                self.record.desired = Desired::Up;
                self.record.hold = None;
                self.failures = 0;
                self.short_links = 0;
                self.outdated.by_person = true;
                self.save();
                self.connect(at);
            }
        }
    }

    /// A pairing by QR code becomes one by pair code when somebody names a phone number; one by pair
    /// code becomes one for another number.
    fn by_code(&mut self, phone: Option<PhoneNumber>, at: Moment, settings: &Settings) {
        let Some(pairing) = self.pairing.as_mut() else {
            return;
        };
        // Where WhatsApp wants a passkey, a code has been used already.
        if phone.is_none() || pairing.phone == phone || pairing.passkey.is_some() {
            return;
        }
        let before = pairing.phone.clone();
        pairing.renew(at.monotonic, phone.clone());
        match self.phase {
            Phase::AwaitingScan => self.ask_code(at, settings),
            Phase::AwaitingCode => {
                // The live code is for the other number. Whoever is about to enter it learns that.
                if let (Some(before), Some(phone)) = (before, phone) {
                    self.error = Some(format!(
                        "the pair code for {before} does not work any more: somebody asked for one for {phone}"
                    ));
                }
                self.withdraw_code(at);
                self.ask_code(at, settings);
            }
            _ => {}
        }
    }

    /// Answers a `connect`, or lets it wait for a pair code.
    pub(super) fn answer_connect(&mut self, request: Request, by_code: bool) {
        if by_code && !self.paired && self.code_may_come() {
            self.waiting.code.push(request);
        } else {
            self.waiting.written.push(request);
        }
    }

    /// Answers `connect` when the record is written: the session must come up again after a restart of the
    /// daemon.
    pub(super) fn answer_when_written(&mut self) {
        if !self.saving.is_under_way() {
            let waiting = std::mem::take(&mut self.waiting.written);
            self.answer_status(waiting);
        }
    }

    /// Whether a pair code may come.
    fn code_may_come(&self) -> bool {
        let may = matches!(
            self.phase,
            Phase::Connecting | Phase::AwaitingScan | Phase::BackingOff | Phase::LoggingOut
        );
        may && self.passkey().is_none()
    }

    /// Answers those who wait for a pair code, when there is one, or when none will come: the QR code was
    /// scanned first, or the session is parked or disconnected.
    pub(super) fn answer_for_code(&mut self) {
        if !self.code_may_come() {
            let waiting = std::mem::take(&mut self.waiting.code);
            self.answer_status(waiting);
        }
    }

    // ---- disconnect -----------------------------------------------------------------------------

    pub(super) fn disconnect_asked(
        &mut self,
        request: Request,
        by: u32,
        at: Moment,
        settings: &Settings,
    ) {
        match self.phase {
            Phase::LoggingOut => self.waiting.removal.push(request),
            Phase::PurgeFailed => {
                self.waiting.removal.push(request);
                self.retry_removal(at, settings);
            }
            Phase::StoreCorrupt => self.answer_status([request]),
            _ if self.unread => {
                let failure = self.cannot_read();
                self.refuse([request], &failure);
            }
            Phase::Disconnected => {
                // A record that could not be written is written again before the answer.
                if self.save_failure().is_some() {
                    self.save();
                }
                self.waiting.close.push(request);
            }
            _ if !self.paired => {
                // Nothing to keep, and half an identity must not stay behind.
                self.waiting.removal.push(request);
                let why = self.pairing.as_ref().and_then(Pairing::given_up);
                let cause = Cause::PairingAbandoned;
                self.log_out(cause, Some(by), Unlink::NotLinked, at, settings);
                self.said(why, None);
            }
            _ => {
                self.disconnect(None, at);
                self.waiting.close.push(request);
            }
        }
    }

    /// Closes the link and keeps the credentials. `cause` says why, where nobody asked for it.
    pub(super) fn disconnect(&mut self, cause: Option<Cause>, at: Moment) {
        self.record.desired = Desired::Down;
        self.close_link();
        self.save();
        self.enter(Phase::Disconnected, at);
        self.reason = cause;
        self.publish(EventKind::Disconnected);
    }

    /// Answers `disconnect` when the link is closed and the record is written: the session must stay
    /// disconnected over a restart of the daemon.
    pub(super) fn answer_for_close(&mut self) {
        let busy = self.link == super::LinkState::Closing || self.saving.is_under_way();
        if busy || self.waiting.close.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting.close);
        match self.save_failure() {
            Some(mut failure) if self.phase == Phase::Disconnected => {
                failure.message.push_str(
                    ". It is disconnected now, and a restart of the daemon would bring it back: make room, then disconnect it again",
                );
                self.refuse(waiting, &failure);
            }
            _ => self.answer_status(waiting),
        }
    }

    // ---- force-logout ---------------------------------------------------------------------------

    pub(super) fn force_logout_asked(
        &mut self,
        request: Request,
        by: u32,
        within: Duration,
        at: Moment,
        settings: &Settings,
    ) {
        self.waiting.removal.push(request);
        match self.phase {
            Phase::LoggingOut => self.hurry_logout(within, at),
            Phase::PurgeFailed => {
                self.retry_removal(at, settings);
                self.hurry_logout(within, at);
            }
            _ => self.force_logout(by, within, at, settings),
        }
    }

    // ---- groups ---------------------------------------------------------------------------------

    pub(super) fn groups_asked(&mut self, request: Request) {
        if self.can_ask() {
            // One question serves all who ask before its answer.
            if self.waiting.groups.is_empty() {
                self.effects.push(Effect::AskGroups(request));
            }
            self.waiting.groups.push(request);
        } else {
            let failure = self.not_online("its groups cannot be asked for");
            self.refuse([request], &failure);
        }
    }

    /// Takes the result of [`Effect::AskGroups`]: for `groups`, or for a change of the target groups.
    pub(super) fn groups_answered(
        &mut self,
        request: Request,
        groups: Result<Vec<Group>, AskError>,
    ) {
        let groups = groups.map_err(|e| ask_failure(&self.user, &e));
        if self.waiting.groups.first() != Some(&request) {
            return self.check_edit(request, groups);
        }
        for request in std::mem::take(&mut self.waiting.groups) {
            let answer = groups.clone().map_or_else(Answer::Refused, Answer::Groups);
            self.answer(request, answer);
        }
    }

    // ---- a pair code that did not come ----------------------------------------------------------

    /// Answers those who wait for a pair code with a failure.
    pub(super) fn refuse_code(&mut self, failure: &Failure) {
        let waiting = std::mem::take(&mut self.waiting.code);
        self.refuse(waiting, failure);
    }

    /// The failure of a command that changes a session whose files cannot be read now.
    pub(super) fn cannot_read(&self) -> Failure {
        let message = format!(
            "the session of {} cannot be read now: {}. It is tried again by itself, and at once by `wactl connect {}`. Nothing was changed",
            self.user,
            self.error.as_deref().unwrap_or("the disk does not answer"),
            self.user
        );
        Failure::new(FailureCode::StoreFailed, message)
    }
}
