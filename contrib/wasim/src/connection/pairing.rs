//! Pairing by QR code: references, the phone's scan, and the client's proof of its keys.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::delay::DeferredWork;
use super::identity::{Spoiled, Statement};
use super::registration::Registration;
use super::{Connection, Phase, Step, pair_code, passkey};
use crate::Error;
use crate::account::Device;
use crate::crypto::{Bytes, random};
use crate::ending::StreamError;
use crate::fault::{Fault, Stage};
use crate::observation::Observation;
use crate::order::{Outcome, Scanned};
use crate::settings::Hosting;
use crate::shared::now;
use crate::stanza::{attr, error_of, result_of, server_jid};
use crate::wire::Goodbye;
use crate::world::Showing;

/// How long the phone takes for its part in a passkey ceremony. It is another machine: the client has long read the
/// server's answer, and done what follows from it, when the phone's arrives.
pub(super) const PHONE_TAKES: Duration = Duration::from_millis(250);

/// A client that wants to be linked.
pub(crate) struct Pairing {
    pub(super) registration: Registration,
    /// The id of the request that brought the references, until it is acknowledged.
    unacknowledged: Option<String>,
    /// A pairing that waits for the client's signature.
    waiting: Option<Waiting>,
    pub(super) code: pair_code::Code,
    pub(super) passkey: Option<Box<passkey::Ceremony>>,
}

/// The end of a pairing.
pub(super) struct Restart {
    /// Whether the client is not told to come back.
    withheld: bool,
    jid: String,
    outcome: Outcome,
}

/// A device that is about to be linked: it has been told its identity, and has to sign it.
struct Waiting {
    request: String,
    phone: String,
    device: u16,
    key_index: u32,
    statement: Statement,
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
            passkey: None,
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

    /// WhatsApp retires the secret in the code that the client shows: it has to show a new one with the same reference.
    pub(super) async fn refresh_registration(&mut self) -> Step {
        if !matches!(self.phase, Phase::Pairing(_)) {
            return Step::Continue(());
        }
        let refresh = NodeBuilder::new("companion_reg_refresh").build();
        let notification = self.notification("companion_reg_refresh", vec![refresh]);
        self.send(&notification).await
    }

    pub(super) async fn answer_unpaired(&mut self, stanza: &Node) -> Step {
        if stanza.tag != "iq" {
            return Step::Continue(());
        }
        let kind = attr(stanza, "type").unwrap_or_default();
        if kind == "result" || kind == "error" {
            return self.answered(stanza, kind == "error").await;
        }
        if self.ignores_unpaired(stanza) {
            return Step::Continue(());
        }
        match self.answer_passkey(stanza).await {
            Some(step) => step,
            None => match stanza.get_optional_child("link_code_companion_reg") {
                Some(request) => self.answer_pair_code(stanza, request).await,
                None if kind == "get" && attr(stanza, "xmlns").as_deref() == Some("w:p") => {
                    self.send(&result_of(stanza).build()).await
                }
                None => self.send(&error_of(stanza, 401, "not-authorized")).await,
            },
        }
    }

    /// Whether a fault leaves this request of a client that is not linked without an answer. Such requests all have
    /// one namespace, so they go by the names of their children.
    fn ignores_unpaired(&self, stanza: &Node) -> bool {
        let Some(request) = stanza.children().and_then(<[Node]>::first) else {
            return false;
        };
        let unanswered = self.fault(|fault| {
            let ours = matches!(fault, Fault::NoAnswerTo(to) if *to == request.tag.as_ref());
            ours.then_some(())
        });
        if unanswered.is_some() {
            self.shared.see(Observation::RequestIgnored {
                connection: self.id,
                jid: String::new(),
                namespace: request.tag.to_string(),
            });
        }
        unanswered.is_some()
    }

    /// The phone has scanned the code: tell the client who it now belongs to.
    pub(super) async fn scanned(&mut self, scanned: Scanned) -> Step {
        let Scanned {
            phone,
            adv_secret,
            outcome,
        } = scanned;
        self.claim(phone, &adv_secret, outcome).await
    }

    /// Sends `<pair-success>`: what the account says about the device, which it can prove by the
    /// secret only the client and the phone know.
    pub(super) async fn offer_identity(
        &mut self,
        phone: String,
        adv_secret: &[u8],
        outcome: Outcome,
    ) -> Step {
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
        let statement = Statement::new(&account, key_index, &identity);
        let spoiled = Spoiled {
            hmac: self.has_fault(&Fault::CorruptHmac),
            account_signature: self.has_fault(&Fault::CorruptAccountSignature),
        };
        let container = statement.container(adv_secret, spoiled);
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        pairing.waiting = Some(Waiting {
            request: request.clone(),
            phone,
            device,
            key_index,
            statement,
            outcome,
        });
        let hosted = account.settings.hosting != Hosting::Not;
        let mut children = vec![
            NodeBuilder::new("device-identity").bytes(container).build(),
            NodeBuilder::new("platform")
                .attr("name", if hosted { "smba" } else { "android" })
                .build(),
        ];
        if hosted {
            let name = account.push_name.as_str();
            children.push(NodeBuilder::new("biz").attr("name", name).build());
        }
        if !self.has_fault(&Fault::NoDevice) {
            let device = NodeBuilder::new("device")
                .attr("jid", account.jid(device))
                .attr("lid", account.lid(device));
            children.push(device.build());
        }
        let success = NodeBuilder::new("pair-success").children(children).build();
        let success = request_node(&request, success);
        let after_ceremony =
            matches!(&self.phase, Phase::Pairing(pairing) if pairing.passkey.is_some());
        let due = self.due(Stage::PairSuccess);
        if let Some(due) = due.or_else(|| after_ceremony.then(|| Instant::now() + PHONE_TAKES)) {
            self.defer(due, DeferredWork::FromPhone(success));
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
        match waiting.statement.verify(&pairing.registration, answer) {
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
        outcome: oneshot::Receiver<Result<String, Error>>,
        deadline: Duration,
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
