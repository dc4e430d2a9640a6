//! What people want of a session, in each phase.

use super::super::pairing::Pairing;
use super::{Effect, Machine, Moment};
use crate::protocol::{Cause, EventKind, Phase, PhoneNumber, Unlink};
use crate::store::Desired;

impl Machine {
    pub(super) fn connect_asked(&mut self, phone: Option<PhoneNumber>, at: Moment) -> Vec<Effect> {
        self.touch(at);
        match self.phase {
            // Whether what is on the disk was put right, the task looks before it comes here.
            Phase::Online
            | Phase::LoggingOut
            | Phase::PurgeFailed
            | Phase::StoreCorrupt
            | Phase::Unknown(_) => Vec::new(),
            Phase::Connecting | Phase::AwaitingScan | Phase::AwaitingCode => {
                self.by_code(phone, at)
            }
            Phase::Held if self.is_held(at) => Vec::new(),
            Phase::Disconnected if self.is_held(at) => {
                self.record.desired = Desired::Up;
                let mut effects = vec![Effect::Save];
                effects.extend(self.resume(at));
                effects
            }
            Phase::Parked | Phase::Held | Phase::Disconnected | Phase::BackingOff => {
                self.pair_anew(phone, at);
                self.record.desired = Desired::Up;
                self.record.hold = None;
                self.failures = 0;
                let mut effects = vec![Effect::Save];
                effects.extend(self.connect(at));
                effects
            }
        }
    }

    /// Somebody is there again: a pairing that waited has its time anew.
    pub(super) fn pair_anew(&mut self, phone: Option<PhoneNumber>, at: Moment) {
        if let Some(pairing) = &mut self.pairing {
            *pairing = Pairing::new(at.now, phone.or(pairing.phone.take()));
        }
    }

    /// A pairing by QR code becomes one by pair code when somebody names a phone number; one by pair
    /// code becomes one for another number.
    pub(super) fn by_code(&mut self, phone: Option<PhoneNumber>, at: Moment) -> Vec<Effect> {
        let Some(pairing) = self.pairing.as_mut() else {
            return Vec::new();
        };
        if phone.is_none() || pairing.phone == phone {
            return Vec::new();
        }
        pairing.phone = phone;
        match self.phase {
            Phase::AwaitingScan => self.ask_code(),
            Phase::AwaitingCode => {
                // The live code is for the other number.
                let mut effects = self.enter(Phase::Connecting, EventKind::Connecting, at);
                self.wait_for_login(at);
                effects.extend(self.ask_code());
                effects
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn disconnect(&mut self, by: u32, idle: Option<Cause>, at: Moment) -> Vec<Effect> {
        if self.phase == Phase::StoreCorrupt || self.phase == Phase::Disconnected {
            return Vec::new();
        }
        if !self.paired {
            // Nothing to keep, and half an identity must not stay behind.
            return self.log_out(Cause::PairingAbandoned, Some(by), Unlink::NotLinked, at);
        }
        self.record.desired = Desired::Down;
        let mut effects = vec![Effect::CloseLink, Effect::Save];
        effects.extend(self.enter(Phase::Disconnected, EventKind::Disconnected, at));
        self.reason = idle;
        effects
    }

    pub(super) fn force_logout(&mut self, by: u32, at: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::PurgeFailed => self.retry_purge(at),
            Phase::LoggingOut => Vec::new(),
            // Whether it was paired cannot be told from here; the task looks.
            Phase::StoreCorrupt => {
                self.unlink = true;
                self.log_out(Cause::ForceLogout, Some(by), Unlink::Unreachable, at)
            }
            _ if self.paired => {
                self.unlink = true;
                self.log_out(Cause::ForceLogout, Some(by), Unlink::Unreachable, at)
            }
            _ => self.log_out(Cause::ForceLogout, Some(by), Unlink::NotLinked, at),
        }
    }
}
