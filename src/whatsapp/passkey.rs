//! The passkey that WhatsApp wants for some pairings: its events, and the answer that a client hands in.

use std::fmt;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use whatsapp_rust::passkey;

use crate::protocol::{MAX_PASSKEY, Redacted};

/// Base64 of the alphabet for URLs, with its padding or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest id of a credential, as `WebAuthn` limits it.
const LONGEST_ID: usize = 1023;

/// What happens to a pairing that needs a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasskeyEvent {
    /// WhatsApp wants a passkey. The challenge has not come yet.
    Announced,
    /// WhatsApp's challenge.
    Challenge(Redacted),
    /// The phone has answered.
    Confirm {
        /// The code that must be the same on the phone.
        code: Redacted,
        /// Whether nobody needs to compare it.
        skip: bool,
    },
    /// It failed, in words.
    Failed(String),
}

/// The answer of an authenticator to the challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    credential: Vec<u8>,
    json: Vec<u8>,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Assertion {
    /// Reads a `PublicKeyCredential` in JSON. Browsers add fields that WhatsApp does not expect; they are left
    /// out.
    ///
    /// # Errors
    /// Why it is none, in words that quote nothing of it.
    pub fn parse(answer: &Redacted) -> Result<Self, String> {
        let text = answer.reveal();
        if text.len() > MAX_PASSKEY {
            return Err(format!("it has more than {MAX_PASSKEY} bytes"));
        }
        // serde's own words would quote what stands there.
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
        let raw_id = value.get("rawId").or_else(|| value.get("id"));
        let response = value.get("response");
        let text = |value: Option<&serde_json::Value>, name: &str| {
            let text = value.and_then(serde_json::Value::as_str);
            text.map(str::to_owned)
                .ok_or_else(|| format!("it has no {name}"))
        };
        let part = |name: &str| text(response.and_then(|r| r.get(name)), name);
        let kind = value.get("type").and_then(serde_json::Value::as_str);
        if kind.is_some_and(|kind| kind != "public-key") {
            return Err("its type is not public-key".to_owned());
        }
        let credential = bytes(&text(raw_id, "rawId")?, "rawId")?;
        if credential.is_empty() || credential.len() > LONGEST_ID {
            return Err("its rawId is not the id of a credential".to_owned());
        }
        let client_data = bytes(&part("clientDataJSON")?, "clientDataJSON")?;
        let authenticator_data = bytes(&part("authenticatorData")?, "authenticatorData")?;
        let signature = bytes(&part("signature")?, "signature")?;
        let user_handle = match response.and_then(|r| r.get("userHandle")) {
            None | Some(serde_json::Value::Null) => None,
            handle => Some(bytes(&text(handle, "userHandle")?, "userHandle")?),
        };
        let json = passkey::build_webauthn_assertion_json(
            &credential,
            &client_data,
            &authenticator_data,
            &signature,
            user_handle.as_deref(),
        );
        Ok(Self { credential, json })
    }

    pub(super) fn into_library(self) -> passkey::Assertion {
        passkey::Assertion {
            assertion_json: self.json,
            credential_id: self.credential,
        }
    }
}

fn bytes(text: &str, name: &str) -> Result<Vec<u8>, String> {
    BASE64
        .decode(text)
        .map_err(|_| format!("its {name} is not base64url"))
}

/// Whether WhatsApp's challenge may be passed on.
pub(super) fn check_challenge(options: &str) -> Result<(), String> {
    if options.len() > MAX_PASSKEY {
        return Err(format!(
            "WhatsApp's challenge has more than {MAX_PASSKEY} bytes"
        ));
    }
    match passkey::parse_request_options(options) {
        Ok(_) => Ok(()),
        Err(_) => Err("WhatsApp's challenge is not one of WebAuthn".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn credential() -> Value {
        json!({
            "id": "AQID", "rawId": "AQID", "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": "e30", "authenticatorData": "AAEC", "signature": "_-8=",
                "userHandle": null,
            },
        })
    }

    fn parse(value: &Value) -> Result<Assertion, String> {
        Assertion::parse(&value.to_string().into())
    }

    #[test]
    fn what_a_browser_makes_becomes_what_whatsapp_expects() {
        let assertion = parse(&credential()).expect("a credential");
        assert_eq!(assertion.credential, [1, 2, 3]);
        let json: Value = serde_json::from_slice(&assertion.json).expect("JSON");
        let expected = json!({
            "id": "AQID", "rawId": "AQID", "type": "public-key",
            "response": {
                "clientDataJSON": "e30", "authenticatorData": "AAEC", "signature": "_-8",
                "userHandle": null,
            },
        });
        assert_eq!(json, expected);
        assert_eq!(format!("{assertion:?}"), "[redacted]");
        // Some authenticators leave the second id out.
        let mut short = credential();
        short.as_object_mut().expect("an object").remove("rawId");
        assert_eq!(parse(&short), Ok(assertion));
    }

    #[test]
    fn what_is_none_says_why_and_quotes_nothing() {
        for (place, value, why) in [
            ("/rawId", json!(""), "rawId"),
            ("/rawId", json!("se+cret"), "rawId"),
            ("/type", json!("password"), "type"),
            ("/response/signature", json!(7), "signature"),
            (
                "/response/clientDataJSON",
                json!("se cret"),
                "clientDataJSON",
            ),
            ("/response/userHandle", json!({"se": "cret"}), "userHandle"),
            ("/response", json!("secret"), "clientDataJSON"),
        ] {
            let mut wrong = credential();
            *wrong.pointer_mut(place).expect("a place") = value;
            let error = parse(&wrong).expect_err(place);
            assert!(error.contains(why) && !error.contains("cret"), "{error}");
        }
        for text in ["", "secret", "[]", "{}", "\"secret\""] {
            let error = Assertion::parse(&text.into()).expect_err(text);
            assert!(!error.contains("cret"), "{error}");
        }
        let long = "x".repeat(MAX_PASSKEY + 1);
        assert!(Assertion::parse(&long.into()).is_err());
    }

    #[test]
    fn a_challenge_is_one_of_webauthn_and_not_too_long() {
        assert!(check_challenge(r#"{"challenge":"AQID","rpId":"whatsapp.com"}"#).is_ok());
        assert!(check_challenge("{}").is_err());
        let long = format!(r#"{{"challenge":"{}"}}"#, "A".repeat(MAX_PASSKEY));
        assert!(check_challenge(&long).is_err());
    }
}
