//! The passkey that WhatsApp asks some accounts for while a device is being linked.
//!
//! WhatsApp sends a challenge in the form of `WebAuthn`. Only an authenticator that holds a passkey of the
//! account can answer it: the phone itself, a password manager, a browser. The daemon passes the challenge
//! to a client, and the client's answer to WhatsApp. Then a person compares a code here with the one on the
//! phone, and says that they are the same.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Redacted;
use super::name::open_names;

open_names! {
    /// What a pairing waits for that needs a passkey.
    pub enum PasskeyStep {
        /// For the challenge itself: WhatsApp has announced it.
        Announced = "announced",
        /// For the answer of a passkey to the challenge.
        Challenge = "challenge",
        /// For WhatsApp and the phone, which check the answer.
        Checking = "checking",
        /// For a person, who compares [`Passkey::code`] with the code on the phone.
        Confirmation = "confirmation",
        /// For WhatsApp, which links the device.
        Linking = "linking",
    }
}

/// A pairing for which WhatsApp wants a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Passkey {
    /// What it waits for.
    pub step: PasskeyStep,
    /// Step `confirmation`: the code that must be the same on the phone. `None` in `list`.
    pub code: Option<Redacted>,
    /// When the pairing ends if it is not finished.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub expires_at: Timestamp,
}

/// WhatsApp's challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PasskeyChallenge {
    /// The `PublicKeyCredentialRequestOptions` of `WebAuthn` in JSON, byte for byte as WhatsApp sent them, at
    /// most [`MAX_PASSKEY`](super::MAX_PASSKEY) bytes.
    pub options: Redacted,
    /// When the pairing ends if it is not finished.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub expires_at: Timestamp,
}

/// A step of a pairing for which WhatsApp wants a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PasskeyAction {
    /// Fetch the challenge. Answer: [`Answer::Passkey`](super::Answer::Passkey).
    Challenge,
    /// Hand in the answer to the challenge: the `PublicKeyCredential` of `WebAuthn` in JSON, as `toJSON` of a
    /// browser makes it, at most [`MAX_PASSKEY`](super::MAX_PASSKEY) bytes. Answer:
    /// [`Answer::Status`](super::Answer::Status), when WhatsApp has taken it; the code to compare follows as
    /// an event.
    Assert(Redacted),
    /// Say that the code on the phone is the same. Answer: [`Answer::Status`](super::Answer::Status), when
    /// WhatsApp has taken it.
    Confirm,
}
