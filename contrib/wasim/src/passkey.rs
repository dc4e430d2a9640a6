//! The passkey of an account's owner: what WhatsApp asks of it, what it answers, and whether the answer is right.
//!
//! A passkey signs by the rules of `WebAuthn`. WhatsApp checks the signature with the public key that it was given
//! when the owner made the passkey. The page on which the browser asks for it is WhatsApp Web's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::crypto::{Bytes, random};

/// Whose passkeys these are.
const RELYING_PARTY: &str = "whatsapp.com";

/// The page that may ask for them.
const ORIGIN: &str = "https://web.whatsapp.com";

/// Flags of the authenticator: somebody was there, and showed that it is the owner.
const PRESENT_AND_VERIFIED: u8 = 0b101;

/// The hash of the relying party, the flags, and a counter that stays zero.
const AUTHENTICATOR_DATA: usize = 32 + 1 + 4;

/// A passkey, with its private half.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Passkey {
    /// The key pair, in PKCS #8.
    key: Bytes,
    id: Bytes,
    owner: Bytes,
}

impl std::fmt::Debug for Passkey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Passkey(..)")
    }
}

impl Passkey {
    pub(crate) fn generate() -> Self {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .expect("invariant: the system has random numbers");
        Self {
            key: Bytes(key.as_ref().to_vec()),
            id: Bytes(random::<16>().to_vec()),
            owner: Bytes(random::<16>().to_vec()),
        }
    }

    fn pair(&self) -> Result<EcdsaKeyPair, Error> {
        EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &self.key.0,
            &SystemRandom::new(),
        )
        .map_err(|error| Error::Invalid(format!("the passkey in the state file: {error}")))
    }

    /// Answers a request as a browser does on WhatsApp Web's page, once the owner has agreed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is no request, or one that a browser would refuse on that page.
    pub(crate) fn sign(&self, options: &str) -> Result<String, Error> {
        let invalid = |why: &str| Error::Invalid(format!("not a request for a passkey: {why}"));
        let options: Value =
            serde_json::from_str(options).map_err(|error| invalid(&error.to_string()))?;
        let challenge = options["challenge"]
            .as_str()
            .filter(|challenge| !challenge.is_empty())
            .ok_or_else(|| invalid("it has no challenge"))?;
        if options["rpId"] != RELYING_PARTY {
            return Err(invalid("its rpId is not whatsapp.com"));
        }
        let allowed = options["allowCredentials"].as_array();
        let allowed = allowed.map(Vec::as_slice).unwrap_or_default();
        let id = encode(&self.id.0);
        if !allowed.is_empty() && allowed.iter().all(|credential| credential["id"] != id) {
            return Err(invalid("it does not allow this passkey"));
        }
        let client_data = json!({ "type": "webauthn.get", "challenge": challenge, "origin": ORIGIN, "crossOrigin": false });
        let client_data = client_data.to_string().into_bytes();
        let mut data = Sha256::digest(RELYING_PARTY).to_vec();
        data.push(PRESENT_AND_VERIFIED);
        data.extend([0; 4]);
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self
            .pair()?
            .sign(&SystemRandom::new(), &signed)
            .map_err(|error| Error::Invalid(format!("the passkey cannot sign: {error}")))?;
        Ok(json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": {
                "clientDataJSON": encode(&client_data),
                "authenticatorData": encode(&data),
                "signature": encode(signature.as_ref()),
                "userHandle": encode(&self.owner.0),
            },
        })
        .to_string())
    }

    /// Whether this is the passkey's answer to the challenge; if not, why.
    pub(crate) fn check(
        &self,
        challenge: &[u8],
        credential: &[u8],
        assertion: &[u8],
    ) -> Result<(), &'static str> {
        let assertion: Assertion =
            serde_json::from_slice(assertion).map_err(|_| "the assertion is not one in JSON")?;
        let part = |text: &str| decode(text).ok_or("a part of the assertion is not base64url");
        if assertion.kind != "public-key" || assertion.id != assertion.raw_id {
            return Err("the assertion is not one of a public key");
        }
        if credential != self.id.0 || part(&assertion.raw_id)? != self.id.0 {
            return Err("the assertion is of a passkey that the account does not have");
        }
        let client_data = part(&assertion.response.client_data)?;
        let said: ClientData = serde_json::from_slice(&client_data)
            .map_err(|_| "the client data of the assertion are not JSON")?;
        if said.kind != "webauthn.get" || said.origin != ORIGIN {
            return Err("the assertion was not made on WhatsApp Web's page");
        }
        if part(&said.challenge)? != challenge {
            return Err("the assertion answers another challenge");
        }
        let data = part(&assertion.response.authenticator_data)?;
        if data.len() < AUTHENTICATOR_DATA || data[..32] != *Sha256::digest(RELYING_PARTY) {
            return Err("the assertion is not for whatsapp.com");
        }
        if data[32] & PRESENT_AND_VERIFIED != PRESENT_AND_VERIFIED {
            return Err("the authenticator did not verify its user");
        }
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let public = self
            .pair()
            .map_err(|_| "the account's passkey cannot be read")?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public.public_key().as_ref())
            .verify(&signed, &part(&assertion.response.signature)?)
            .map_err(|_| "the signature of the assertion is wrong")
    }
}

/// What WhatsApp asks of the client's passkey, as JSON for a browser. `timeout` in milliseconds.
pub(crate) fn request(challenge: &[u8], timeout: u64) -> String {
    json!({
        "challenge": encode(challenge),
        "timeout": timeout,
        "rpId": RELYING_PARTY,
        "allowCredentials": [],
        "userVerification": "required",
        "extensions": { "uvm": true },
    })
    .to_string()
}

/// What a browser gives out as the answer of a passkey.
#[derive(Deserialize)]
struct Assertion {
    id: String,
    #[serde(rename = "rawId")]
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "authenticatorData")]
    authenticator_data: String,
    signature: String,
}

/// What the browser adds to what is signed.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
}

/// Bytes as `WebAuthn` writes them in JSON.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &[u8] = b"what WhatsApp made up for this one time";

    fn changed(assertion: &str, path: &str, value: &Value) -> Vec<u8> {
        let mut assertion: Value = serde_json::from_str(assertion).unwrap();
        *assertion.pointer_mut(path).unwrap() = value.clone();
        assertion.to_string().into_bytes()
    }

    #[test]
    fn only_the_right_answer_to_the_challenge_is_taken() {
        let passkey = Passkey::generate();
        let answer = passkey.sign(&request(CHALLENGE, 1000)).unwrap();
        let id = passkey.id.0.clone();
        assert_eq!(passkey.check(CHALLENGE, &id, answer.as_bytes()), Ok(()));

        let refused = |challenge: &[u8], id: &[u8], answer: &[u8]| {
            passkey.check(challenge, id, answer).unwrap_err()
        };
        assert!(refused(b"other", &id, answer.as_bytes()).contains("another challenge"));
        assert!(refused(CHALLENGE, b"id", answer.as_bytes()).contains("does not have"));
        assert!(refused(CHALLENGE, &id, b"{}").contains("not one in JSON"));
        let elsewhere = json!({ "type": "webauthn.get", "challenge": encode(CHALLENGE), "origin": "https://example.com" });
        let elsewhere = json!(encode(elsewhere.to_string().as_bytes()));
        let elsewhere = changed(&answer, "/response/clientDataJSON", &elsewhere);
        assert!(refused(CHALLENGE, &id, &elsewhere).contains("WhatsApp Web"));
        let mut data = Sha256::digest(RELYING_PARTY).to_vec();
        data.extend([1, 0, 0, 0, 0]);
        let unverified = changed(
            &answer,
            "/response/authenticatorData",
            &json!(encode(&data)),
        );
        assert!(refused(CHALLENGE, &id, &unverified).contains("verify"));
        let mut data = Sha256::digest("example.com").to_vec();
        data.extend([5, 0, 0, 0, 0]);
        let foreign = changed(
            &answer,
            "/response/authenticatorData",
            &json!(encode(&data)),
        );
        assert!(refused(CHALLENGE, &id, &foreign).contains("not for whatsapp.com"));

        let mut thief = Passkey::generate();
        thief.id = passkey.id.clone();
        let forged = thief.sign(&request(CHALLENGE, 1000)).unwrap();
        assert!(refused(CHALLENGE, &id, forged.as_bytes()).contains("signature"));
    }

    #[test]
    fn a_passkey_signs_for_whatsapp_alone() {
        let passkey = Passkey::generate();
        let foreign = request(CHALLENGE, 1).replace(RELYING_PARTY, "example.com");
        for options in ["", "{}", "{\"challenge\":\"\"}", &foreign] {
            assert!(
                matches!(passkey.sign(options), Err(Error::Invalid(_))),
                "{options}"
            );
        }
        let other =
            request(CHALLENGE, 1).replace("[]", "[{\"type\":\"public-key\",\"id\":\"AAAA\"}]");
        assert!(passkey.sign(&other).is_err());
        let ours = format!(
            "[{{\"type\":\"public-key\",\"id\":\"{}\"}}]",
            encode(&passkey.id.0)
        );
        assert!(
            passkey
                .sign(&request(CHALLENGE, 1).replace("[]", &ours))
                .is_ok()
        );
    }

    #[test]
    fn a_passkey_survives_being_written_down() {
        let passkey = Passkey::generate();
        let text = serde_json::to_string(&passkey).unwrap();
        let read: Passkey = serde_json::from_str(&text).unwrap();
        let answer = read.sign(&request(CHALLENGE, 1)).unwrap();
        let id = passkey.id.0.clone();
        assert_eq!(passkey.check(CHALLENGE, &id, answer.as_bytes()), Ok(()));
    }
}
