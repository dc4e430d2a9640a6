//! The session's proxy. A change is in force at once, and answered when it is on the disk.

use super::super::proxy::ProxyChange;
use super::{Answer, Machine, Moment, Request};
use crate::protocol::{EventKind, Failure, FailureCode, Phase};

impl Machine {
    pub(super) fn proxy_asked(&mut self, request: Request, change: ProxyChange, at: Moment) {
        let cannot_tell = self.is_unread() && self.phase == Phase::BackingOff;
        let choice = match change {
            ProxyChange::Nothing if self.record.is_stand_in => {
                let failure = self.proxy_unknown();
                return self.refuse([request], &failure);
            }
            ProxyChange::Nothing if cannot_tell => {
                let failure = self.cannot_read();
                return self.refuse([request], &failure);
            }
            ProxyChange::Nothing => {
                let choice = self.record.proxy.clone();
                return self.answer(request, Answer::Proxy(choice));
            }
            ProxyChange::To(choice) => choice,
        };
        if self.phase == Phase::LoggingOut {
            // It concerns the user, so the supervisor carries it out after the logout.
            return self.waiting.removal.push(request);
        }
        if let Some(failure) = self.cannot_change() {
            return self.refuse([request], &failure);
        }
        self.waiting.proxy.push(request);
        if self.record.proxy == choice {
            // A change that could not be written is written again before the answer.
            if self.save_failure().is_some() {
                self.save();
            }
            return;
        }
        self.record.proxy = choice;
        self.touch(at);
        self.save();
        self.connect_through_it(at);
    }

    /// Nobody can read the session's record.
    fn proxy_unknown(&self) -> Failure {
        let code = match self.phase {
            Phase::StoreCorrupt => FailureCode::StoreCorrupt,
            _ => FailureCode::StoreFailed,
        };
        let status = self.status();
        let message = format!(
            "the record of the session of {} cannot be read, so nobody knows its proxy: {}. {}",
            self.user,
            status
                .error
                .as_deref()
                .unwrap_or("the disk does not answer"),
            status.next_action
        );
        Failure::new(code, message)
    }

    /// Connects anew, where the session is connected or tries to be.
    fn connect_through_it(&mut self, at: Moment) {
        match self.phase {
            Phase::Connecting
            | Phase::AwaitingScan
            | Phase::AwaitingCode
            | Phase::Online
            | Phase::BackingOff => {
                self.failures = 0;
                self.outdated.by_person = true;
                // The error was about the way before.
                self.error = self.thrown_away().map(str::to_owned);
                self.pair_anew(None, at);
                self.close_link();
                self.connect(at);
            }
            Phase::Held | Phase::Parked | Phase::Disconnected => self.publish(EventKind::Updated),
            Phase::LoggingOut | Phase::PurgeFailed | Phase::StoreCorrupt | Phase::Unknown(_) => {}
        }
    }

    /// What a new link makes void, in words for whoever is about to use it.
    fn thrown_away(&self) -> Option<&'static str> {
        if self.passkey().is_some() {
            return Some(
                "the proxy was changed, and WhatsApp binds a passkey to the connection: what was done for it is void. The pairing begins anew with a new code",
            );
        }
        let is_shown = self.qr.is_some() || self.pair_code.is_some();
        is_shown.then_some(
            "the proxy was changed: the code that was shown does not work any more, and a new one follows",
        )
    }

    /// Answers whoever changed the proxy when the record is written: the choice must survive a restart of
    /// the daemon.
    pub(super) fn answer_for_proxy(&mut self) {
        if self.saving.is_under_way() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting.proxy);
        if waiting.is_empty() {
            return;
        }
        match self.save_failure() {
            Some(mut failure) => {
                failure.message.push_str(
                    ". The proxy is in force now, and a restart of the daemon would bring the old one back: make room, then set it again",
                );
                self.refuse(waiting, &failure);
            }
            None => {
                for request in waiting {
                    let choice = self.record.proxy.clone();
                    self.answer(request, Answer::Proxy(choice));
                }
            }
        }
    }

    /// Leaves the changes that wait to the time after the logout: they concern the user.
    pub(super) fn leave_proxy(&mut self) {
        let left = std::mem::take(&mut self.waiting.proxy);
        self.waiting.removal.extend(left);
    }
}
