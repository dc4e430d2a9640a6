//! What a client hands in for a passkey.

use crate::protocol::{Failure, FailureCode, PasskeyAction, UserId};
use crate::whatsapp::Assertion;

/// A step of a pairing that needs a passkey, with what belongs to it in a form that WhatsApp can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasskeyInput {
    /// Tell the challenge.
    Challenge,
    /// Send this answer to it.
    Assert(Box<Assertion>),
    /// Say that the codes are the same.
    Confirm,
}

impl PasskeyInput {
    /// Reads a step as it came over the socket.
    pub(super) fn parse(user: &UserId, action: &PasskeyAction) -> Result<Self, Failure> {
        Ok(match action {
            PasskeyAction::Challenge => Self::Challenge,
            PasskeyAction::Confirm => Self::Confirm,
            PasskeyAction::Assert(answer) => {
                let assertion = Assertion::parse(answer).map_err(|why| {
                    let message = format!(
                        "the answer of the passkey for {user} cannot be used: {why}. It is the PublicKeyCredential in JSON that an authenticator makes of the challenge; `wactl passkey {user}` prints the challenge"
                    );
                    Failure::new(FailureCode::InvalidArgument, message)
                })?;
                Self::Assert(Box::new(assertion))
            }
        })
    }
}
