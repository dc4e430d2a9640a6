//! The events of a link.

use std::time::Duration;

use super::ending::Ending;
use super::limits::Limit;
use super::passkey::PasskeyEvent;
use crate::protocol::{Account, Redacted, Stage};

/// An event of a link. Events come in order, and the last one is [`LinkEvent::Ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The link reached this stage of connecting.
    Stage(Stage),
    /// A QR code can be scanned.
    Qr {
        /// What to draw.
        code: Redacted,
        /// How long it works.
        valid_for: Duration,
        /// Which of the pairing's codes it is, from 1.
        number: u32,
        /// How many follow.
        remaining: u32,
    },
    /// The QR codes are used up.
    QrExhausted,
    /// The link can be asked for a pair code now.
    ReadyForPairCode,
    /// A pair code can be entered.
    PairCode {
        /// The request that it answers.
        request: CodeRequest,
        /// The code.
        code: Redacted,
        /// How long it works.
        valid_for: Duration,
    },
    /// The pair code does not work any more and another one must be asked for.
    PairCodeStale,
    /// WhatsApp gave no pair code, as an answer to this request.
    PairCodeRefused(CodeRequest, PairCodeRefused),
    /// WhatsApp wants a passkey for the pairing, or this step went on.
    Passkey(PasskeyEvent),
    /// The phone accepted the device, and the credentials are durable.
    Paired(Account),
    /// The phone's answer could not be used; the pairing goes on.
    PairFailed(String),
    /// The link is logged in and ready for use.
    Online(Account),
    /// The account's name became known.
    Name(String),
    /// Something arrived.
    Activity,
    /// The account's phone gave a sign of life.
    PhoneHeard {
        /// How long ago. What waited at the server for this device may be old.
        ago: Duration,
    },
    /// How a limit of the account stands.
    Limit(Limit),
    /// Whether the critical part of the account's settings is here. A link without it works.
    Settings {
        /// Whether it is here.
        complete: bool,
    },
    /// The link has ended.
    Ended(Ending),
}

/// The number of a request for a pair code. What comes of the request carries the same number, so that the
/// answer to an earlier one, perhaps for another phone, is not taken for that to a later one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeRequest(pub u64);

/// WhatsApp gave no pair code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairCodeRefused {
    /// Whether the reason is too many requests.
    pub rate_limited: bool,
    /// When to ask again, where WhatsApp said so.
    pub retry_after: Option<Duration>,
    /// In words.
    pub error: String,
}
