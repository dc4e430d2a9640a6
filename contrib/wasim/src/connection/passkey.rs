//! The passkey ceremony, between the scan (or the typed code) and `<pair-success>`.
//!
//! WhatsApp asks an unpaired client for an assertion of the owner's passkey. With it, the client sends a commitment to
//! a key and a nonce of its own. The phone answers with its own; then the client opens its commitment. From these
//! both sides derive a code, which people can compare, and a key, with which the client sends the phone a new secret.
//! The secret takes the place of the one in the QR code; `<pair-success>` then proves it as ever.

use buffa::{Enumeration as _, Message as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use waproto::whatsapp::{
    CompanionEphemeralIdentity, EncryptedPairingRequest, PairingRequest, PrimaryEphemeralIdentity,
    ProloguePayload,
};

use super::delay::DeferredWork;
use super::pairing::PHONE_TAKES;
use super::{Connection, Phase, Step};
use crate::Error;
use crate::crypto::{Key, Pair, hkdf_sha256, hmac_sha256, random};
use crate::fault::Fault;
use crate::observation::Observation;
use crate::order::Outcome;
use crate::passkey;
use crate::shared::now;
use crate::stanza::{attr, child_content, error_of, result_of, server_jid};

/// The letters of the code.
const CROCKFORD: &[u8; 32] = b"123456789ABCDEFGHJKLMNPQRSTVWXYZ";

/// A ceremony that is going on.
pub(super) struct Ceremony {
    phone: String,
    /// The secret that the phone has read in the QR code, or agreed on by the pair code.
    before: Vec<u8>,
    challenge: [u8; 32],
    /// When the challenge is too old to be answered.
    until: Instant,
    /// What the client was given to name this ceremony by.
    reference: Option<String>,
    stage: Stage,
}

/// What the client has to send next.
enum Stage {
    Assertion,
    Nonce(Box<Exchange>),
    Request([u8; 32]),
    Over,
}

/// What both sides have said before the client opens its commitment.
struct Exchange {
    /// The phone's key for this ceremony.
    ours: Pair,
    nonce: [u8; 32],
    /// The client's key and what else it is committed to, as it was sent.
    identity: Vec<u8>,
    client: [u8; 32],
    platform: i32,
    commitment: Vec<u8>,
    /// Whether the client has proved that it is the one that was scanned.
    continuity: bool,
}

/// Why something that the client sent is not taken: an error code and the reason.
type Refusal = (u16, String);

impl Connection {
    /// The phone has scanned the client's code, or the person has typed it: the client is offered its identity, after
    /// the passkey ceremony if the account needs one.
    pub(super) async fn claim(
        &mut self,
        phone: String,
        adv_secret: &[u8],
        outcome: Outcome,
    ) -> Step {
        self.who.phone = Some(phone.clone());
        if self.has_fault(&Fault::NoPairSuccess) {
            self.shared.see(Observation::PairingIgnored {
                connection: self.id,
                phone,
            });
            let _ = outcome.send(Err(Error::Pairing(
                "a fault keeps the phone from answering".to_owned(),
            )));
            return Step::Continue(());
        }
        let needed = self
            .shared
            .world()
            .account(&phone, now())
            .settings
            .needs_passkey;
        if !needed {
            return self.offer_identity(phone, adv_secret, outcome).await;
        }
        let Phase::Pairing(pairing) = &mut self.phase else {
            let _ = outcome.send(Err(Error::CodeExpired));
            return Step::Continue(());
        };
        let challenge = random();
        pairing.passkey = Some(Box::new(Ceremony {
            phone: phone.clone(),
            before: adv_secret.to_vec(),
            challenge,
            until: Instant::now() + self.shared.options.passkey_timeout,
            reference: None,
            stage: Stage::Assertion,
        }));
        let secret = passkey::encode(&challenge);
        self.shared.world().secrets.insert(secret);
        let mut children = Vec::new();
        if !self.has_fault(&Fault::NoPasskeyOptions) {
            children.extend(self.passkey_options());
        }
        let request = self.notification("passkey_prologue_request", children);
        let sent = self.send(&request).await;
        let connection = self.id;
        self.shared
            .see(Observation::PasskeyRequested { connection, phone });
        let _ = outcome.send(Err(Error::PasskeyNeeded { connection }));
        sent
    }

    /// A notification of the server's own.
    pub(super) fn notification(&mut self, kind: &'static str, children: Vec<Node>) -> Node {
        let id = self.request_id();
        NodeBuilder::new("notification")
            .attr("from", server_jid())
            .attr("type", kind)
            .attr("id", id)
            .attr("t", now())
            .children(children)
            .build()
    }

    fn ceremony(&mut self) -> Option<&mut Ceremony> {
        match &mut self.phase {
            Phase::Pairing(pairing) => pairing.passkey.as_deref_mut(),
            _ => None,
        }
    }

    /// What the passkey is to sign, if a ceremony is going on.
    fn passkey_options(&mut self) -> Option<Node> {
        let timeout = self.shared.options.passkey_timeout.as_millis();
        let timeout = u64::try_from(timeout).unwrap_or(u64::MAX);
        let ceremony = self.ceremony()?;
        let options = passkey::request(&ceremony.challenge, timeout);
        Some(
            NodeBuilder::new("passkey_request_options")
                .bytes(options.into_bytes())
                .build(),
        )
    }

    /// Answers a request that belongs to the ceremony. None: it is another request.
    pub(super) async fn answer_passkey(&mut self, stanza: &Node) -> Option<Step> {
        let request = stanza.children()?.first()?;
        let get = attr(stanza, "type").as_deref() == Some("get");
        let outcome = match request.tag.as_ref() {
            "ref" if get => self.reference(),
            "passkey_request_options" if get => self
                .passkey_options()
                .map(|options| (vec![options], Next::GoOn))
                .ok_or_else(none_going_on),
            "passkey_prologue" => self.prologue(request),
            "companion_nonce" => self.nonce(stanza),
            "encrypted_pairing_request" => self.pairing_request(stanza),
            _ => return None,
        };
        Some(self.conclude(stanza, outcome).await)
    }

    async fn conclude(
        &mut self,
        stanza: &Node,
        outcome: Result<(Vec<Node>, Next), Refusal>,
    ) -> Step {
        let (answer, next) = match outcome {
            Ok(outcome) => outcome,
            Err((code, error)) => {
                let connection = self.id;
                let phone = self.who.phone.clone().unwrap_or_default();
                self.shared.see(Observation::PasskeyRefused {
                    connection,
                    phone,
                    error,
                });
                let text = if code == 401 {
                    "not-authorized"
                } else {
                    "bad-request"
                };
                return self.send(&error_of(stanza, code, text)).await;
            }
        };
        self.send(&result_of(stanza).children(answer).build())
            .await?;
        match next {
            Next::GoOn => Step::Continue(()),
            Next::Continuation(identity) => {
                let identity = NodeBuilder::new("primary_ephemeral_identity")
                    .bytes(identity)
                    .build();
                let continuation = self.notification("crsc_continuation", vec![identity]);
                let due = Instant::now() + PHONE_TAKES;
                self.defer(due, DeferredWork::FromPhone(continuation));
                Step::Continue(())
            }
            Next::PairSuccess { phone, adv_secret } => {
                if self.has_fault(&Fault::NoPairSuccess) {
                    let connection = self.id;
                    self.shared
                        .see(Observation::PairingIgnored { connection, phone });
                    return Step::Continue(());
                }
                // Whoever scanned has been told that it goes on without them.
                let outcome = oneshot::channel().0;
                self.offer_identity(phone, &adv_secret, outcome).await
            }
        }
    }

    /// The client asks for something to name the ceremony by.
    fn reference(&mut self) -> Result<(Vec<Node>, Next), Refusal> {
        let reference = format!("4@{}", Key(random()).base64());
        let ceremony = self.ceremony().ok_or_else(none_going_on)?;
        ceremony.reference = Some(reference.clone());
        self.shared.world().secrets.insert(reference.clone());
        let node = NodeBuilder::new("ref")
            .bytes(reference.into_bytes())
            .build();
        Ok((vec![node], Next::GoOn))
    }

    /// The client sends the assertion, and its commitment.
    fn prologue(&mut self, request: &Node) -> Result<(Vec<Node>, Next), Refusal> {
        let refused = self.fault(|fault| match fault {
            Fault::RefuseAssertion(code) => Some(*code),
            _ => None,
        });
        let silent = self.has_fault(&Fault::NoContinuation);
        let spoiled = !silent && self.has_fault(&Fault::CorruptContinuation);
        let connection = self.id;
        let shared = std::sync::Arc::clone(&self.shared);
        let ceremony = self.ceremony().ok_or_else(none_going_on)?;
        let phone = ceremony.phone.clone();
        if let Some(code) = refused {
            return Err((code, "a fault says so".to_owned()));
        }
        if Instant::now() > ceremony.until {
            return Err((401, "the challenge is too old".to_owned()));
        }
        if !matches!(ceremony.stage, Stage::Assertion) {
            return Err((400, "the ceremony has gone on already".to_owned()));
        }
        let part = |tag| child_content(request, tag);
        let (Some(credential), Some(assertion), Some(payload)) = (
            part("credential_id"),
            part("webauthn_assertion"),
            part("prologue_payload"),
        ) else {
            return Err((400, "the prologue is not complete".to_owned()));
        };
        let passkey = {
            let mut world = shared.world();
            world
                .secrets
                .extend(std::str::from_utf8(assertion).map(str::to_owned));
            world.passkey(&phone, now())
        };
        passkey
            .check(&ceremony.challenge, credential, assertion)
            .map_err(|why| (401, why.to_owned()))?;
        let mut exchange = Exchange::read(payload, ceremony.reference.as_deref()).ok_or((
            400,
            "the prologue's payload is not one for this ceremony".to_owned(),
        ))?;
        if let Some(proof) = part("pairing_handoff_proof") {
            if proof != handoff_proof(&ceremony.before, payload) {
                return Err((401, "the proof of continuity is wrong".to_owned()));
            }
            exchange.continuity = true;
        }
        let mut identity = PrimaryEphemeralIdentity {
            public_key: Some(exchange.ours.public().to_vec()),
            nonce: Some(exchange.nonce.to_vec()),
        };
        let continuity = exchange.continuity;
        ceremony.stage = Stage::Nonce(Box::new(exchange));
        shared.see(Observation::PasskeyProved {
            connection,
            phone,
            continuity,
        });
        if silent {
            return Ok((Vec::new(), Next::GoOn));
        }
        if spoiled {
            identity.nonce = Some(vec![0; 7]);
        }
        Ok((Vec::new(), Next::Continuation(identity.encode_to_vec())))
    }

    /// The client opens its commitment: both sides know the code.
    fn nonce(&mut self, stanza: &Node) -> Result<(Vec<Node>, Next), Refusal> {
        let connection = self.id;
        let shared = std::sync::Arc::clone(&self.shared);
        let ceremony = self.ceremony().ok_or_else(none_going_on)?;
        let Stage::Nonce(exchange) = &ceremony.stage else {
            return Err((400, "nobody has asked for the nonce yet".to_owned()));
        };
        let nonce = child_content(stanza, "companion_nonce").unwrap_or_default();
        let hash = Sha256::digest([exchange.identity.as_slice(), nonce].concat());
        if nonce.len() != 32 || exchange.commitment != hash.as_slice() {
            return Err((400, "the nonce is not the one of the commitment".to_owned()));
        }
        let key = exchange
            .key(ceremony.reference.as_deref().unwrap_or_default())
            .ok_or((400, "the client's key is none".to_owned()))?;
        let code = exchange.code(nonce);
        let (skipped, phone) = (exchange.continuity, ceremony.phone.clone());
        ceremony.stage = Stage::Request(key);
        {
            let mut world = shared.world();
            world.secrets.insert(code.clone());
            world.secrets.insert(code.replace('-', ""));
        }
        shared.see(Observation::PasskeyCode {
            connection,
            phone,
            code,
            skipped,
        });
        Ok((Vec::new(), Next::GoOn))
    }

    /// The person has compared the codes, and the client sends its new secret.
    fn pairing_request(&mut self, stanza: &Node) -> Result<(Vec<Node>, Next), Refusal> {
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Err(none_going_on());
        };
        let registered = (
            pairing.registration.noise_key,
            pairing.registration.identity,
        );
        let ceremony = pairing.passkey.as_deref_mut().ok_or_else(none_going_on)?;
        let Stage::Request(key) = &ceremony.stage else {
            return Err((400, "the codes have not been compared yet".to_owned()));
        };
        let sealed = child_content(stanza, "encrypted_pairing_request").unwrap_or_default();
        let request = open(sealed, key).ok_or((
            400,
            "the pairing request does not open with the agreed key".to_owned(),
        ))?;
        let named = |key: Option<Vec<u8>>| Key::from_slice(&key?);
        let keys = (
            named(request.companion_public_key),
            named(request.companion_identity_key),
        );
        if keys != (Some(registered.0), Some(registered.1)) {
            let why = "the pairing request names other keys than the client registered";
            return Err((400, why.to_owned()));
        }
        let adv_secret = named(request.adv_secret).ok_or((
            400,
            "the pairing request has no secret of 32 bytes".to_owned(),
        ))?;
        ceremony.stage = Stage::Over;
        let phone = ceremony.phone.clone();
        self.shared.world().keep_secret(&adv_secret);
        let adv_secret = adv_secret.0.to_vec();
        Ok((Vec::new(), Next::PairSuccess { phone, adv_secret }))
    }
}

/// What follows an answer.
enum Next {
    GoOn,
    /// The phone answers with this.
    Continuation(Vec<u8>),
    PairSuccess {
        phone: String,
        adv_secret: Vec<u8>,
    },
}

impl Exchange {
    /// Reads what the client commits to, and makes the phone's half.
    fn read(payload: &[u8], reference: Option<&str>) -> Option<Self> {
        let payload = ProloguePayload::decode_from_slice(payload).ok()?;
        let commitment = payload.commitment.into_option()?.hash?;
        let identity = payload.companion_ephemeral_identity?;
        let said = CompanionEphemeralIdentity::decode_from_slice(&identity).ok()?;
        if said.r#ref.is_none() || said.r#ref.as_deref() != reference || commitment.len() != 32 {
            return None;
        }
        Some(Self {
            ours: Pair::generate(),
            nonce: random(),
            client: said.public_key?.try_into().ok()?,
            platform: said.device_type.map_or(0, |platform| platform.to_i32()),
            identity,
            commitment,
            continuity: false,
        })
    }

    /// The key that both sides derive.
    fn key(&self, reference: &str) -> Option<[u8; 32]> {
        let secret = self.ours.agree(&self.client)?;
        let salt = format!("Companion Pairing {} with ref {reference}", self.platform);
        let mut key = [0; 32];
        let info = b"Pairing Information Encryption Key";
        hkdf_sha256(&secret, Some(salt.as_bytes()), info, &mut key);
        Some(key)
    }

    /// The code that both sides show.
    fn code(&self, nonce: &[u8]) -> String {
        let hash = Sha256::digest([nonce, &self.ours.public()].concat());
        let mut bits = self.nonce[..5]
            .iter()
            .zip(&hash[..5])
            .fold(0u64, |bits, (nonce, hash)| {
                bits << 8 | u64::from(nonce ^ hash)
            });
        let mut code = String::new();
        for at in 0..8 {
            if at == 4 {
                code.insert(0, '-');
            }
            let letter = usize::try_from(bits % 32).unwrap_or_default();
            code.insert(0, char::from(CROCKFORD[letter]));
            bits /= 32;
        }
        code
    }
}

/// What shows that a client knows the secret that the phone has read.
fn handoff_proof(before: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf_sha256(before, None, b"shortcake-passkey-handoff-v1", &mut key);
    hmac_sha256(&key, &[payload])
}

fn open(sealed: &[u8], key: &[u8; 32]) -> Option<PairingRequest> {
    let sealed = EncryptedPairingRequest::decode_from_slice(sealed).ok()?;
    let iv: [u8; 12] = sealed.iv?.try_into().ok()?;
    let mut plain = Vec::new();
    aes_256_gcm_decrypt(key, &iv, b"", &sealed.encrypted_payload?, &mut plain).ok()?;
    PairingRequest::decode_from_slice(&plain).ok()
}

fn none_going_on() -> Refusal {
    (400, "no passkey ceremony is going on".to_owned())
}
