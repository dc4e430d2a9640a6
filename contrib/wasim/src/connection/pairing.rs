//! Pairing by QR code: references, the phone's scan, and the client's proof of its keys.

use buffa::Message as _;
use tokio::time::{Instant, timeout_at};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC,
};

use super::delay::DeferredWork;
use super::registration::Registration;
use super::{Connection, Phase, Step, pair_code};
use crate::Error;
use crate::account::Device;
use crate::crypto::{Bytes, hmac_sha256, random};
use crate::ending::StreamError;
use crate::fault::{Fault, Stage};
use crate::observation::Observation;
use crate::order::{Outcome, Scanned};
use crate::shared::now;
use crate::stanza::{attr, child_content, error_of, result_of, server_jid};
use crate::wire::Goodbye;
use crate::world::Showing;

/// The prefix of what the account signs: this device belongs to the account.
const ACCOUNT_SIGNATURE: &[u8] = &[6, 0];

/// The prefix of what the device signs: it belongs to this account.
const DEVICE_SIGNATURE: &[u8] = &[6, 1];

/// A client that wants to be linked.
pub(crate) struct Pairing {
    registration: Registration,
    /// The id of the request that brought the references, until it is acknowledged.
    unacknowledged: Option<String>,
    /// A pairing that waits for the client's signature.
    waiting: Option<Waiting>,
    pub(super) code: pair_code::Code,
}

/// The end of a pairing.
pub(super) struct Restart {
    /// Whether the client is not told to come back.
    withheld: bool,
    jid: String,
    outcome: Outcome,
}

struct Waiting {
    request: String,
    phone: String,
    device: u16,
    key_index: u32,
    /// The encoded `ADVDeviceIdentity` that both sides sign.
    details: Vec<u8>,
    account_key: [u8; 32],
    account_signature: Vec<u8>,
    outcome: Outcome,
}

impl Connection {
    /// A client that is not linked yet: gives it references to show.
    pub(super) async fn register(&mut self, registration: Registration) -> Step {
        if let Some(failure) = self.told_failure() {
            return self.refuse(&failure, String::new()).await;
        }
        {
            let mut world = self.shared.world();
            world.keep_secret(&registration.noise_key);
            world.keep_secret(&registration.identity);
            if let Some(link) = world.links.get_mut(&self.id) {
                link.stage = "pairing";
                link.showing = Some(Showing {
                    refs: Vec::new(),
                    noise_key: registration.noise_key,
                    identity: registration.identity,
                    code: None,
                });
            }
        }
        self.phase = Phase::Pairing(Box::new(Pairing {
            registration,
            unacknowledged: None,
            waiting: None,
            code: pair_code::Code::default(),
        }));
        if let Some(due) = self.due(Stage::Refs) {
            self.defer(due, DeferredWork::Refs);
            return Step::Continue(());
        }
        self.send_refs().await
    }

    pub(super) async fn send_refs(&mut self) -> Step {
        let count = self.fault(|fault| match fault {
            Fault::Refs(count) => Some(*count),
            _ => None,
        });
        let refs: Vec<String> = (0..count.unwrap_or(self.shared.options.refs))
            .map(|_| reference())
            .collect();
        let request = self.request_id();
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        pairing.unacknowledged = Some(request.clone());
        {
            let mut world = self.shared.world();
            world.secrets.extend(refs.iter().cloned());
            let showing = world
                .links
                .get_mut(&self.id)
                .and_then(|link| link.showing.as_mut());
            if let Some(showing) = showing {
                showing.refs.extend(refs.iter().cloned());
            }
        }
        if !refs.is_empty() {
            let children = refs
                .iter()
                .map(|text| NodeBuilder::new("ref").bytes(text.as_bytes()).build());
            let offer = NodeBuilder::new("pair-device").children(children).build();
            self.send(&request_node(&request, offer)).await?;
        }
        self.shared.see(Observation::Pairing {
            connection: self.id,
            refs,
        });
        Step::Continue(())
    }

    pub(super) async fn answer_unpaired(&mut self, stanza: &Node) -> Step {
        if stanza.tag != "iq" {
            return Step::Continue(());
        }
        let kind = attr(stanza, "type").unwrap_or_default();
        match kind.as_str() {
            "result" | "error" => self.answered(stanza, kind == "error").await,
            _ => match stanza.get_optional_child("link_code_companion_reg") {
                Some(request) => self.answer_pair_code(stanza, request).await,
                None if kind == "get" && attr(stanza, "xmlns").as_deref() == Some("w:p") => {
                    self.send(&result_of(stanza).build()).await
                }
                None => self.send(&error_of(stanza, 401, "not-authorized")).await,
            },
        }
    }

    /// The phone has scanned the code: tell the client who it now belongs to.
    pub(super) async fn scanned(&mut self, scanned: Scanned) -> Step {
        let Scanned {
            phone,
            adv_secret,
            outcome,
        } = scanned;
        self.offer_identity(phone, &adv_secret, outcome).await
    }

    /// Sends `<pair-success>`: what the account says about the device, which it can prove by the
    /// secret only the client and the phone know.
    pub(super) async fn offer_identity(
        &mut self,
        phone: String,
        adv_secret: &[u8],
        outcome: Outcome,
    ) -> Step {
        self.who.phone = Some(phone.clone());
        let request = self.request_id();
        let Phase::Pairing(pairing) = &mut self.phase else {
            let _ = outcome.send(Err(Error::CodeExpired));
            return Step::Continue(());
        };
        let identity = pairing.registration.identity;
        let next = {
            let mut world = self.shared.world();
            let account = world.account(&phone, now());
            account.next_device().map(|next| (account.clone(), next))
        };
        let Some((account, (device, key_index))) = next else {
            let _ = outcome.send(Err(Error::Pairing(format!(
                "{phone} has no room for another device"
            ))));
            return Step::Continue(());
        };
        let details = ADVDeviceIdentity {
            raw_id: Some(account.raw_id),
            timestamp: Some(now()),
            key_index: Some(key_index),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(ADVEncryptionType::E2EE),
        }
        .encode_to_vec();
        let message = [ACCOUNT_SIGNATURE, &details, &identity.0].concat();
        let account_signature = account.identity.sign(&message).to_vec();
        let mut sent_signature = account_signature.clone();
        pairing.waiting = Some(Waiting {
            request: request.clone(),
            phone,
            device,
            key_index,
            details: details.clone(),
            account_key: account.identity.public(),
            account_signature,
            outcome,
        });
        if self.has_fault(&Fault::CorruptAccountSignature) {
            sent_signature[7] ^= 1;
        }
        let signed = ADVSignedDeviceIdentity {
            details: Some(details),
            account_signature_key: Some(account.identity.public().to_vec()),
            account_signature: Some(sent_signature),
            device_signature: None,
        }
        .encode_to_vec();
        let mut hmac = hmac_sha256(adv_secret, &[&signed]);
        if self.has_fault(&Fault::CorruptHmac) {
            hmac[0] ^= 1;
        }
        let container = ADVSignedDeviceIdentityHMAC {
            details: Some(signed),
            hmac: Some(hmac.to_vec()),
            account_type: None,
        };
        let mut children = vec![
            NodeBuilder::new("device-identity")
                .bytes(container.encode_to_vec())
                .build(),
            NodeBuilder::new("platform").attr("name", "android").build(),
        ];
        if !self.has_fault(&Fault::NoDevice) {
            let device = NodeBuilder::new("device")
                .attr("jid", account.jid(device))
                .attr("lid", account.lid(device));
            children.push(device.build());
        }
        let success = NodeBuilder::new("pair-success").children(children).build();
        let success = request_node(&request, success);
        if let Some(due) = self.due(Stage::PairSuccess) {
            self.defer(due, DeferredWork::PairSuccess(success));
            return Step::Continue(());
        }
        self.send(&success).await
    }

    /// The client answers a request of the server's.
    async fn answered(&mut self, answer: &Node, refused: bool) -> Step {
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        let id = attr(answer, "id");
        if id.is_some() && id == pairing.unacknowledged {
            pairing.unacknowledged = None;
            self.shared.see(Observation::PairingAcknowledged {
                connection: self.id,
            });
            return Step::Continue(());
        }
        let Some(waiting) = pairing
            .waiting
            .take_if(|waiting| id.as_ref() == Some(&waiting.request))
        else {
            return Step::Continue(());
        };
        if refused {
            let error = answer.get_optional_child("error");
            let code = error
                .and_then(|error| attr(error, "code"))
                .unwrap_or_default();
            let text = error
                .and_then(|error| attr(error, "text"))
                .unwrap_or_default();
            return self.fail_pairing(waiting, format!("the client refused: {code} {text}"));
        }
        match verify(&waiting, &pairing.registration, answer) {
            Ok(signed_identity) => self.link(waiting, signed_identity).await,
            Err(why) => {
                let step = self.fail_pairing(waiting, why.to_owned());
                self.send(&stream_error(&StreamError::code(500))).await?;
                step?;
                Step::Break(Goodbye::Close)
            }
        }
    }

    fn fail_pairing(&self, waiting: Waiting, error: String) -> Step {
        let Waiting { phone, outcome, .. } = waiting;
        self.shared.see(Observation::PairingFailed {
            connection: self.id,
            phone,
            error: error.clone(),
        });
        let _ = outcome.send(Err(Error::Pairing(error)));
        Step::Continue(())
    }

    /// The client has proved its keys: it is a device of the account from now on.
    async fn link(&mut self, waiting: Waiting, signed_identity: Vec<u8>) -> Step {
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        let registration = pairing.registration.clone();
        let device = Device {
            id: waiting.device,
            key_index: waiting.key_index,
            name: registration.name,
            noise_key: registration.noise_key,
            identity: registration.identity,
            registration_id: registration.id,
            linked_at: now(),
            signed_identity: Bytes(signed_identity),
            signed_prekey: registration.signed_prekey,
            prekeys: Vec::new(),
            keys_shared: false,
        };
        let jid = {
            let mut world = self.shared.world();
            let account = world.account(&waiting.phone, now());
            account.devices.insert(waiting.device, device);
            let jid = account.jid(waiting.device).to_string();
            if let Some(link) = world.links.get_mut(&self.id) {
                link.showing = None;
            }
            jid
        };
        self.shared.persist().await;
        self.who.device = Some(jid.clone());
        self.phase = Phase::Unknown;
        self.shared.see(Observation::Paired {
            connection: self.id,
            jid: jid.clone(),
        });
        let restart = Restart {
            withheld: self.has_fault(&Fault::NoRestart),
            jid,
            outcome: waiting.outcome,
        };
        if let Some(due) = self.due(Stage::Restart) {
            self.defer(due, DeferredWork::Restart(restart));
            return Step::Continue(());
        }
        self.restart(restart).await
    }

    /// Tells the client to come back as the device that it is now.
    pub(super) async fn restart(&mut self, restart: Restart) -> Step {
        if restart.withheld {
            let _ = restart.outcome.send(Ok(restart.jid));
            return Step::Continue(());
        }
        let sent = self.send(&stream_error(&StreamError::code(515))).await;
        let _ = restart.outcome.send(Ok(restart.jid));
        sent?;
        Step::Break(Goodbye::Close)
    }

    /// Waits for the outcome of a pairing, for as long as a phone would.
    pub(crate) async fn outcome_within(
        outcome: tokio::sync::oneshot::Receiver<Result<String, Error>>,
        deadline: std::time::Duration,
    ) -> Result<String, Error> {
        match timeout_at(Instant::now() + deadline, outcome).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::ClientGone),
            Err(_) => Err(Error::Pairing(format!(
                "the client did not answer within {deadline:?}"
            ))),
        }
    }
}

/// Checks what the client signed. Returns the device's identity with both signatures, encoded.
fn verify(
    waiting: &Waiting,
    registration: &Registration,
    answer: &Node,
) -> Result<Vec<u8>, &'static str> {
    let signed = answer
        .get_optional_child("pair-device-sign")
        .and_then(|sign| child_content(sign, "device-identity"))
        .and_then(|bytes| ADVSignedDeviceIdentity::decode_from_slice(bytes).ok())
        .ok_or("the answer to pair-success carries no device identity")?;
    if signed.details.as_ref() != Some(&waiting.details) {
        return Err("the client signed other details than it was sent");
    }
    let message = [
        DEVICE_SIGNATURE,
        &waiting.details,
        &registration.identity.0,
        &waiting.account_key,
    ]
    .concat();
    let signature = signed.device_signature.as_deref().unwrap_or_default();
    let identity = registration
        .identity
        .public()
        .ok_or("the client's identity key is none")?;
    if !identity.verify_signature(&message, signature) {
        return Err(
            "the device signature is not one of the identity key that the client registered",
        );
    }
    let whole = ADVSignedDeviceIdentity {
        account_signature_key: Some(waiting.account_key.to_vec()),
        account_signature: Some(waiting.account_signature.clone()),
        ..signed
    };
    Ok(whole.encode_to_vec())
}

fn request_node(id: &str, child: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "set")
        .attr("id", id)
        .attr("xmlns", "md")
        .children([child])
        .build()
}

/// A stream error as a node; the ones made here always are one.
pub(super) fn stream_error(error: &StreamError) -> Node {
    error
        .stanza()
        .to_node()
        .unwrap_or_else(|_| NodeBuilder::new("stream:error").build())
}

/// What a QR code begins with.
fn reference() -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(random::<66>());
    format!("2@{text}")
}
