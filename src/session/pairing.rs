//! A pairing that is under way.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::{Monotonic, after};
use crate::protocol::{Account, Cause, PasskeyStep, PhoneNumber, Redacted};
use crate::store::ProxyChoice;

/// A pairing ends by itself after this, whatever happens to its links: with six QR codes it lasts 160
/// seconds, with a pair code 180.
const LONGEST: Duration = Duration::from_mins(10);
/// How many pair codes one pairing may ask for. WhatsApp counts them for each phone number.
const MOST_CODES: u32 = 5;
/// How often one pairing begins anew because WhatsApp wants another answer of a passkey.
const MOST_ANEW: u32 = 3;
/// How long WhatsApp and a person have for a passkey, from WhatsApp's question on.
const PASSKEY_WITHIN: Duration = Duration::from_mins(10);

/// How a session is to be paired, where it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairOptions {
    /// By pair code for this phone; `None`: by QR code.
    pub phone: Option<PhoneNumber>,
    /// The account that is expected.
    pub expect: Option<PhoneNumber>,
    /// The proxy from the first link on; `None`: the configuration's, or the one that the session has.
    pub proxy: Option<ProxyChoice>,
}

/// What the history knows of a user whose session begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The account that the user had last.
    pub account: Option<Account>,
    /// How often in the last day WhatsApp removed the user's device right after it was linked.
    pub removed_soon: u32,
}

/// A pairing that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pairing {
    /// When it began.
    began: Monotonic,
    /// The phone number, where it is by pair code.
    pub(super) phone: Option<PhoneNumber>,
    /// What the history knows of the user.
    pub(super) past: Past,
    codes_asked: u32,
    /// What kept it from going on the last time, until a code is shown again.
    trouble: Option<(Cause, String)>,
    /// How often it began anew for another answer of a passkey.
    begun_anew: u32,
    /// WhatsApp wants a passkey.
    pub(super) passkey: Option<PasskeyWanted>,
}

/// A passkey that WhatsApp wants for the pairing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PasskeyWanted {
    pub(super) step: PasskeyStep,
    /// The challenge, once it is here.
    pub(super) challenge: Option<Redacted>,
    /// The code to compare.
    pub(super) code: Option<Redacted>,
    /// Whether WhatsApp has taken an answer over the present link. The library keeps what belongs to that
    /// answer, and sends no other one.
    pub(super) is_answered: bool,
    ends_at: Monotonic,
    pub(super) expires_at: Timestamp,
}

impl PasskeyWanted {
    pub(super) fn new(now: Timestamp, monotonic: Monotonic) -> Self {
        Self {
            step: PasskeyStep::Announced,
            challenge: None,
            code: None,
            is_answered: false,
            ends_at: monotonic + PASSKEY_WITHIN,
            expires_at: after(now, PASSKEY_WITHIN),
        }
    }
}

impl Pairing {
    pub(super) fn new(now: Monotonic, phone: Option<PhoneNumber>, past: Past) -> Self {
        Self {
            began: now,
            phone,
            past,
            codes_asked: 0,
            trouble: None,
            begun_anew: 0,
            passkey: None,
        }
    }

    /// Begins its time anew, because WhatsApp wants another answer of a passkey. Returns whether it may: each
    /// time a person has to scan or to enter a new code.
    pub(super) fn begin_anew(&mut self, now: Monotonic) -> bool {
        self.begun_anew += 1;
        self.began = now;
        self.passkey = None;
        self.begun_anew <= MOST_ANEW
    }

    /// Notes what keeps it from going on.
    pub(super) fn note_trouble(&mut self, cause: Cause, why: String) {
        self.trouble = Some((cause, why));
    }

    /// A code is shown again, or was used: what kept it from going on has passed.
    pub(super) fn trouble_has_passed(&mut self) {
        self.trouble = None;
    }

    /// Begins its time anew, for this phone number, or for the one that it had.
    pub(super) fn renew(&mut self, now: Monotonic, phone: Option<PhoneNumber>) {
        let phone = phone.or(self.phone.take());
        *self = Self::new(now, phone, std::mem::take(&mut self.past));
    }

    /// When it ends at the latest. A passkey has its own time.
    pub(super) fn ends_at(&self) -> Monotonic {
        let passkey = self.passkey.as_ref().map(|passkey| passkey.ends_at);
        passkey.unwrap_or(self.began + LONGEST)
    }

    /// Why it failed, when its time is over or no further code comes: its last trouble, with what is known of
    /// it in words; without one, nobody finished it.
    pub(super) fn expired(&self) -> (Cause, Option<String>) {
        match (&self.passkey, self.trouble.clone()) {
            (Some(_), trouble) => (Cause::PasskeyRequired, trouble.map(|(_, why)| why)),
            (None, Some((cause, why))) => (cause, Some(why)),
            (None, None) => (Cause::PairingExpired, None),
        }
    }

    /// What it waited for when somebody gave it up, in words.
    pub(super) fn given_up(&self) -> Option<String> {
        match (&self.passkey, &self.trouble) {
            (Some(passkey), _) => Some(format!(
                "WhatsApp wanted a passkey for it (step {})",
                passkey.step
            )),
            (None, Some((Cause::PairingExpired, why))) => Some(why.clone()),
            (None, Some((cause, why))) => Some(format!("it had not got on ({cause}): {why}")),
            (None, None) => None,
        }
    }

    /// Whether it is by pair code.
    pub(super) fn is_by_code(&self) -> bool {
        self.phone.is_some()
    }

    /// Whether a pair code was asked for.
    pub(super) fn has_asked(&self) -> bool {
        self.codes_asked > 0
    }

    /// Whether it is by pair code, and has had all its codes.
    pub(super) fn has_had_all_codes(&self) -> bool {
        self.is_by_code() && self.codes_asked >= MOST_CODES
    }

    /// The phone number to ask another pair code for, while there may be one.
    pub(super) fn next_code(&mut self) -> Option<PhoneNumber> {
        let phone = self.phone.clone()?;
        if self.codes_asked >= MOST_CODES {
            return None;
        }
        self.codes_asked += 1;
        Some(phone)
    }
}
