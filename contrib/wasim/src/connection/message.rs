//! The messages of a device: heard by people and passed on, refused, or lost.

use buffa::Message as _;
use wacore_binary::Node;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type;

use super::delay::DeferredWork;
use super::login::Session;
use super::query::ack;
use super::{Connection, Step};
use crate::content::unwrapped;
use crate::fault::{Fault, Stage};
use crate::hearing::{Hearing, addressee, jid_attr};
use crate::observation::Observation;
use crate::party::Address;
use crate::person::{Chat, phone_behind};
use crate::saying::Receipt;
use crate::stanza::{attr, content};

impl Connection {
    /// Takes a message. It is acknowledged when it is where it should be.
    pub(super) async fn take_message(&mut self, stanza: &Node, session: &Session) -> Step {
        let device = Address::new(&session.phone, session.device);
        if attr(stanza, "category").as_deref() == Some("peer") {
            self.send(&ack(stanza, "message")).await?;
            return self.take_peer_message(stanza, session, &device).await;
        }
        let Some(chat) = addressee(stanza) else {
            return self.send(&ack(stanza, "message")).await;
        };
        let id = attr(stanza, "id").unwrap_or_default();
        let ignored = |shared: &crate::shared::Shared| {
            shared.see(Observation::MessageIgnored {
                connection: self.id,
                jid: session.jid.clone(),
                to: chat.name().to_owned(),
                id: id.clone(),
            });
        };
        if self.has_fault(&Fault::LoseMessage) {
            ignored(&self.shared);
            return Step::Continue(());
        }
        let refused = self.shared.world().refusal(&device, &chat, stanza);
        if let Some(code) = refused {
            self.shared.see(Observation::MessageRefused {
                connection: self.id,
                jid: session.jid.clone(),
                to: chat.name().to_owned(),
                id,
                code,
            });
            let mut refusal = ack(stanza, "message");
            refusal.attrs.push("error", code);
            return self.acknowledge(refusal).await;
        }
        let silent = self.has_fault(&Fault::NoDelivered);
        let hearing = {
            let mut world = self.shared.world();
            let hearing = world.hear(&device, stanza);
            if let Some(hearing) = &hearing {
                world.react(&device, hearing, silent);
            }
            hearing
        };
        self.shared.persist_soon();
        if let Some(hearing) = hearing {
            self.tell_of(&hearing, session);
        }
        if self.has_fault(&Fault::LoseAck) {
            ignored(&self.shared);
            return Step::Continue(());
        }
        self.acknowledge(ack(stanza, "message")).await
    }

    async fn acknowledge(&mut self, ack: Node) -> Step {
        if let Some(due) = self.due(Stage::Ack) {
            self.defer(due, DeferredWork::Ack(ack));
            return Step::Continue(());
        }
        self.send(&ack).await
    }

    fn tell_of(&self, hearing: &Hearing, session: &Session) {
        self.shared.see(Observation::MessageReceived {
            connection: self.id,
            jid: session.jid.clone(),
            to: hearing.chat.name().to_owned(),
            id: hearing.id.clone(),
            kind: hearing.kind.to_owned(),
            readers: hearing.readers.len(),
            copies: hearing.copies,
            resent: hearing.resent,
        });
        for person in &hearing.unreadable {
            self.shared.see(Observation::MessageUnreadable {
                connection: self.id,
                jid: session.jid.clone(),
                person: person.clone(),
                id: hearing.id.clone(),
            });
        }
    }

    /// Takes a private message of a device to its own phone: mostly a request for the app-state keys. What the phone
    /// cannot read is taken for one.
    async fn take_peer_message(
        &mut self,
        stanza: &Node,
        session: &Session,
        device: &Address,
    ) -> Step {
        let to = jid_attr(stanza, "to");
        let to_phone = to.as_ref().and_then(phone_behind);
        if to_phone.as_ref() != Some(&session.phone) {
            return Step::Continue(());
        }
        let asked = self.shared.world().open_peer(device, stanza);
        let kind = asked.as_ref().and_then(|message| {
            let protocol = unwrapped(message).protocol_message.as_option()?;
            protocol.r#type
        });
        match kind {
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) | None => self.share_keys_again(session).await,
            Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE) => {
                if let Some(message) = asked {
                    let id = attr(stanza, "id").unwrap_or_default();
                    self.shared.world().answer_peer(device, &id, &message);
                }
                Step::Continue(())
            }
            Some(_) => Step::Continue(()),
        }
    }
}

impl crate::world::World {
    /// What people do with a message: who has got it says so, who could not read it asks for it again.
    fn react(&mut self, device: &Address, hearing: &Hearing, silent: bool) {
        for person in &hearing.unreadable {
            let count = hearing.count + 1;
            self.ask_again(person, device, &hearing.chat, &hearing.id, count);
        }
        if silent {
            return;
        }
        let ids = [hearing.id.clone()];
        for person in &hearing.readers {
            // The devices of the account know that it was delivered there when it comes back to them.
            if *person != device.phone {
                self.thank(person, device, &hearing.chat, &ids, Receipt::Delivered);
            }
        }
    }

    /// Decrypts what a device has sent its own phone in private.
    fn open_peer(&mut self, device: &Address, stanza: &Node) -> Option<Message> {
        let alone = stanza.get_optional_child("enc");
        let listed = || {
            let list = stanza.get_optional_child("participants")?;
            let mut people = list.get_children_by_tag("to");
            people
                .find(|person| jid_attr(person, "jid").is_some_and(|jid| jid.device == 0))?
                .get_optional_child("enc")
        };
        let sealed = alone.or_else(listed)?;
        let kind = attr(sealed, "type")?;
        let phone = device.phone.clone();
        let opened = self.party(&phone).decrypt(device, &kind, content(sealed)?);
        match opened {
            Ok(plain) => Message::decode_from_slice(&plain).ok(),
            Err(error) => {
                tracing::debug!("{phone} cannot read what {device} tells it: {error}");
                None
            }
        }
    }
}

impl Connection {
    /// Notes that the device is seen to write something.
    pub(super) fn note_typing(&self, stanza: &Node, session: &Session) {
        let child = stanza.children().and_then(<[Node]>::first);
        let state = match child {
            Some(child) if attr(child, "media").as_deref() == Some("audio") => "recording",
            Some(child) if child.tag == "composing" => "composing",
            _ => "paused",
        };
        let to = addressee(stanza).map_or_else(
            || attr(stanza, "to").unwrap_or_default(),
            |chat| match chat {
                Chat::Person(name) | Chat::Group(name) => name,
            },
        );
        self.shared.see(Observation::Typing {
            connection: self.id,
            jid: session.jid.clone(),
            to,
            state: state.to_owned(),
        });
    }
}
