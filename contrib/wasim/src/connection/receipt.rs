//! What a device says of what it was sent: that it has it, that it was read, or that it could not be read.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::login::Session;
use super::query::ack;
use super::{Connection, Step};
use crate::hearing::{addressee, jid_attr};
use crate::mailbox::{Acknowledgement, Class, Letter};
use crate::observation::Observation;
use crate::party::Address;
use crate::person::{Chat, phone_behind};
use crate::retry::RetryRequest;
use crate::shared::now;
use crate::speech::group_jid;
use crate::stanza::attr;
use crate::world::World;

/// Receipts that do not say that a message was read.
const NOT_DELIVERED: [&str; 3] = ["retry", "server-error", "enc_rekey_retry"];

impl Connection {
    pub(super) async fn take_receipt(&mut self, stanza: &Node, session: &Session) -> Step {
        self.send(&ack(stanza, "receipt")).await?;
        let kind = attr(stanza, "type").unwrap_or_else(|| "delivery".to_owned());
        let device = Address::new(&session.phone, session.device);
        match kind.as_str() {
            "retry" => return self.take_retry(stanza, session, &device).await,
            "server-error" => return self.take_media_retry(stanza, session, &device),
            _ => {}
        }
        self.delivered(stanza, session).await;
        let ids = ids(stanza);
        let to = addressee(stanza);
        if !NOT_DELIVERED.contains(&kind.as_str()) {
            let thanks = Acknowledgement {
                class: Class::Message,
                ids: ids.clone(),
                to: to.as_ref().map(|chat| chat.name().to_owned()),
                participant: participant(stanza),
                one_copy: false,
            };
            self.acknowledged(session, &thanks, &kind);
        }
        if attr(stanza, "category").is_none() {
            self.shared.see(Observation::ReceiptReceived {
                connection: self.id,
                jid: session.jid.clone(),
                to: to
                    .as_ref()
                    .map_or_else(String::new, |chat| chat.name().to_owned()),
                ids: ids.clone(),
                receipt: kind.clone(),
            });
        }
        if let Some(chat) = to {
            let mut world = self.shared.world();
            world.pass_receipt_on(&device, &chat, &ids, &kind);
        }
        self.deliver_after_thanks(&session.jid).await
    }

    /// Takes an acknowledgement of a single stanza.
    pub(super) async fn take_ack(&mut self, stanza: &Node, session: &Session) -> Step {
        self.delivered(stanza, session).await;
        let class = attr(stanza, "class").and_then(|class| Class::of(&class));
        let (Some(class), Some(id)) = (class, attr(stanza, "id")) else {
            return Step::Continue(());
        };
        let thanks = Acknowledgement {
            class,
            ids: vec![id],
            to: addressee(stanza).map(|chat| chat.name().to_owned()),
            participant: participant(stanza),
            one_copy: true,
        };
        let how = match attr(stanza, "error") {
            Some(error) => format!("refused: {error}"),
            None => "ack".to_owned(),
        };
        self.acknowledged(session, &thanks, &how);
        self.deliver_after_thanks(&session.jid).await
    }

    /// Takes what is acknowledged out of the device's mailbox.
    fn acknowledged(&self, session: &Session, thanks: &Acknowledgement, how: &str) {
        let sent = self.sent_mail();
        let removed = {
            let mut world = self.shared.world();
            let mailbox = world.state.mailboxes.get_mut(&session.jid);
            mailbox.map(|mailbox| mailbox.acknowledge(sent, thanks))
        };
        let removed = removed.unwrap_or_default();
        if removed.is_empty() {
            return;
        }
        self.shared.persist_soon();
        if thanks.class == Class::Message {
            self.shared.see(Observation::MessageAcknowledged {
                connection: self.id,
                jid: session.jid.clone(),
                ids: removed,
                receipt: how.to_owned(),
            });
        }
    }

    /// The device could not read a message.
    async fn take_retry(&mut self, stanza: &Node, session: &Session, device: &Address) -> Step {
        let from_own_phone = jid_attr(stanza, "to")
            .as_ref()
            .and_then(phone_behind)
            .is_some_and(|phone| phone == session.phone);
        if from_own_phone && attr(stanza, "recipient").is_none() {
            return self.share_keys_again(session).await;
        }
        let Some(request) = RetryRequest::read(device, stanza) else {
            return Step::Continue(());
        };
        let answered = {
            let mut world = self.shared.world();
            world.pass_retry_on(device, stanza) || world.say_again(device, &request)
        };
        self.shared.persist_soon();
        self.shared.see(Observation::RetryRequested {
            connection: self.id,
            jid: session.jid.clone(),
            to: addressee(stanza).map_or_else(String::new, |chat| chat.name().to_owned()),
            id: request.id.clone(),
            count: request.count,
            answered,
        });
        Step::Continue(())
    }
}

/// The ids that a receipt is about.
fn ids(stanza: &Node) -> Vec<String> {
    let listed = stanza
        .get_optional_child("list")
        .and_then(Node::children)
        .unwrap_or_default();
    attr(stanza, "id")
        .into_iter()
        .chain(listed.iter().filter_map(|item| attr(item, "id")))
        .collect()
}

fn participant(stanza: &Node) -> Option<String> {
    phone_behind(&jid_attr(stanza, "participant")?)
}

impl World {
    /// Tells the devices that wrote messages how far these have got with this device.
    fn pass_receipt_on(&mut self, device: &Address, chat: &Chat, ids: &[String], kind: &str) {
        for id in ids {
            let written_here = |message: &crate::conversation::ChatMessage| match chat {
                Chat::Group(group) => message.to == *group,
                Chat::Person(phone) => message.from == *phone && message.to == device.phone,
            };
            let author = self
                .conversations
                .find(id, |message| {
                    message.device.is_some() && written_here(message)
                })
                .and_then(|entry| entry.message.device.clone())
                .and_then(|jid| self.find(&jid).ok())
                .and_then(|named| named.device);
            let Some((phone, number)) = author.filter(|(phone, _)| *phone != device.phone) else {
                continue;
            };
            let author = Address {
                phone,
                device: number,
            };
            let seen_there = match chat {
                Chat::Group(_) => chat.clone(),
                Chat::Person(_) => Chat::Person(device.phone.clone()),
            };
            let addressing = self.addressing(&author.phone, &seen_there);
            let reader = addressing.jid(&device.phone, device.device);
            let mut receipt = NodeBuilder::new("receipt")
                .attr("id", id.as_str())
                .attr("t", now());
            if kind != "delivery" {
                receipt = receipt.attr("type", kind);
            }
            let (receipt, from, participant) = match chat {
                Chat::Group(group) => (
                    receipt
                        .attr("from", group_jid(group))
                        .attr("participant", reader),
                    group.clone(),
                    Some(device.phone.clone()),
                ),
                Chat::Person(_) => (receipt.attr("from", reader), device.phone.clone(), None),
            };
            let letter = Letter {
                stanza: receipt.build(),
                class: Class::Receipt,
                id: id.clone(),
                from,
                participant,
                plain: None,
            };
            self.post(&author, letter);
        }
    }

    /// Passes a device's wish for a message on to the linked device that wrote it. False: a phone did.
    fn pass_retry_on(&mut self, device: &Address, stanza: &Node) -> bool {
        let group = match addressee(stanza) {
            Some(Chat::Group(group)) => Some(group),
            _ => None,
        };
        let name = if group.is_some() { "participant" } else { "to" };
        let author = jid_attr(stanza, name).filter(|jid| jid.device > 0);
        let Some((phone, number)) = author.and_then(|jid| Some((phone_behind(&jid)?, jid.device)))
        else {
            return false;
        };
        let author = Address {
            phone,
            device: number,
        };
        let chat = match &group {
            Some(group) => Chat::Group(group.clone()),
            None => Chat::Person(device.phone.clone()),
        };
        let asker = self
            .addressing(&author.phone, &chat)
            .jid(&device.phone, device.device);
        let id = attr(stanza, "id").unwrap_or_default();
        let receipt = NodeBuilder::new("receipt")
            .attr("id", id.as_str())
            .attr("type", "retry")
            .attr("t", now());
        let mut receipt = match &group {
            Some(group) => receipt
                .attr("from", group_jid(group))
                .attr("participant", asker),
            None => receipt.attr("from", asker),
        };
        if let Some(recipient) = stanza.attrs.get("recipient") {
            receipt = receipt.attr("recipient", recipient.clone());
        }
        let children = stanza.children().unwrap_or_default().to_vec();
        let letter = Letter {
            stanza: receipt.children(children).build(),
            class: Class::Receipt,
            id,
            from: group.clone().unwrap_or_else(|| device.phone.clone()),
            participant: group.map(|_| device.phone.clone()),
            plain: None,
        };
        self.post(&author, letter)
    }
}
