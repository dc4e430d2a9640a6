//! A pairing that is under way.

use std::time::Duration;

use super::clock::Monotonic;
use crate::protocol::PhoneNumber;

/// A pairing ends by itself after this, whatever happens to its links: with six QR codes it lasts 160
/// seconds, with a pair code 180.
const LONGEST: Duration = Duration::from_mins(10);
/// How many pair codes one pairing may ask for.
const MOST_CODES: u32 = 3;

/// A pairing that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pairing {
    /// When it began.
    began: Monotonic,
    /// The phone number, where it is by pair code.
    pub(super) phone: Option<PhoneNumber>,
    codes_asked: u32,
}

impl Pairing {
    pub(super) fn new(now: Monotonic, phone: Option<PhoneNumber>) -> Self {
        Self {
            began: now,
            phone,
            codes_asked: 0,
        }
    }

    /// When it ends at the latest.
    pub(super) fn ends_at(&self) -> Monotonic {
        self.began + LONGEST
    }

    /// Whether a pair code was asked for.
    pub(super) fn has_asked(&self) -> bool {
        self.codes_asked > 0
    }

    /// The phone number to ask another pair code for, while there may be one.
    pub(super) fn next_code(&mut self) -> Option<PhoneNumber> {
        let phone = self.phone.clone()?;
        self.codes_asked += 1;
        (self.codes_asked <= MOST_CODES).then_some(phone)
    }
}
