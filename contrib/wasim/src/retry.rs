//! Messages that could not be read: asked for again by devices and by people, and sent again.

use buffa::{Message as _, MessageField};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::SenderKeyDistributionMessage;

use crate::account::PublicPreKey;
use crate::connection::{number, prekey, prekey_node};
use crate::content::{Content, read};
use crate::conversation::ChatMessage;
use crate::crypto::Key;
use crate::hearing::jid_attr;
use crate::mailbox::{Class, Letter};
use crate::party::{self, Address, Bundle};
use crate::person::{Chat, phone_behind};
use crate::shared::now;
use crate::speech::{Draft, group_jid, with_trouble};
use crate::stanza::{attr, child_content};
use crate::world::World;

/// How often a message is sent again to one device.
const MOST_RETRIES: u32 = 5;

/// A device asks somebody to send a message again.
#[derive(Debug)]
pub(crate) struct RetryRequest {
    pub id: String,
    /// The phone that is asked.
    author: String,
    /// The chat as its people see it: the other one of a direct chat, or the group.
    chat: Chat,
    pub count: u32,
    keys: Option<DeviceKeys>,
}

/// The keys that a device sends along.
#[derive(Debug)]
struct DeviceKeys {
    registration_id: u32,
    identity: Key,
    signed_prekey: PublicPreKey,
    prekey: Option<PublicPreKey>,
}

impl DeviceKeys {
    fn read(receipt: &Node) -> Option<Self> {
        let keys = receipt.get_optional_child("keys")?;
        let id = number(child_content(receipt, "registration")?);
        Some(Self {
            registration_id: u32::try_from(id).ok()?,
            identity: Key::from_slice(child_content(keys, "identity")?)?,
            signed_prekey: prekey(keys.get_optional_child("skey")?)?,
            prekey: keys.get_optional_child("key").and_then(prekey),
        })
    }
}

impl RetryRequest {
    /// Reads a receipt of type `retry` of a device's.
    pub(crate) fn read(device: &Address, receipt: &Node) -> Option<Self> {
        let to = jid_attr(receipt, "to")?;
        let retry = receipt.get_optional_child("retry")?;
        let id = attr(retry, "id").or_else(|| attr(receipt, "id"))?;
        let count = attr(retry, "count").and_then(|count| count.parse().ok());
        let (author, chat) = match Chat::of(&to)? {
            Chat::Group(group) => {
                let author = phone_behind(&jid_attr(receipt, "participant")?)?;
                (author, Chat::Group(group))
            }
            // What its own phone has written to somebody.
            Chat::Person(phone) if phone == device.phone => {
                let recipient = jid_attr(receipt, "recipient");
                let recipient = recipient.as_ref().and_then(phone_behind);
                (phone.clone(), Chat::Person(recipient.unwrap_or(phone)))
            }
            Chat::Person(phone) => (phone, Chat::Person(device.phone.clone())),
        };
        Some(Self {
            id,
            author,
            chat,
            count: count.unwrap_or(1),
            keys: DeviceKeys::read(receipt),
        })
    }
}

impl World {
    /// Sends a message again, encrypted anew, to a device that could not read it. False: there is no such message, or
    /// it was sent too often.
    pub(crate) fn say_again(&mut self, device: &Address, request: &RetryRequest) -> bool {
        if request.count > MOST_RETRIES {
            return false;
        }
        let Some((plain, spoiled)) = self.remembered(device, request) else {
            return false;
        };
        let Ok(message) = Message::decode_from_slice(&plain) else {
            return false;
        };
        let content = read(&message).map_or(
            Content::Other {
                parts: String::new(),
            },
            |read| read.content,
        );
        let about_own = content.about().is_some_and(|about| {
            let found = self.conversations.find(about, |_| true);
            found.is_some_and(|entry| entry.message.from == request.author)
        });
        let draft = Draft {
            id: request.id.clone(),
            from: request.author.clone(),
            chat: request.chat.clone(),
            content,
            about_own,
            plain,
            trouble: None,
        };
        match self.seal_again(device, request, &draft) {
            Ok(sealed) => {
                let parts = [with_trouble(sealed, spoiled)];
                self.post_message(&draft, device, &parts, Some(request.count), false)
            }
            Err(error) => {
                tracing::warn!("{} cannot be sent again: {error}", request.id);
                false
            }
        }
    }

    /// The message asked for, and whether this copy of it is spoiled, too.
    fn remembered(&mut self, device: &Address, request: &RetryRequest) -> Option<(Vec<u8>, bool)> {
        let author = &request.author;
        let chat = request.chat.name();
        let entry = self.conversations.find(&request.id, |message| {
            message.from == *author && message.to == chat
        });
        if let Some(entry) = entry.filter(|entry| !entry.plain.is_empty()) {
            let spoiled = entry.spoil > 0;
            entry.spoil = entry.spoil.saturating_sub(1);
            return Some((entry.plain.clone(), spoiled));
        }
        let from = match &request.chat {
            Chat::Group(group) => group,
            Chat::Person(_) => author,
        };
        let mailbox = self.state.mailboxes.get(&self.device_jid(device)?)?;
        Some((mailbox.plain(&request.id, from)?, false))
    }

    /// Encrypts in a new session; in a group, the key of the group comes along.
    fn seal_again(
        &mut self,
        device: &Address,
        request: &RetryRequest,
        draft: &Draft,
    ) -> party::Result<party::Sealed> {
        match &request.keys {
            Some(keys) => {
                let bundle = Bundle {
                    registration_id: keys.registration_id,
                    device: device.device,
                    identity: keys.identity,
                    signed: &keys.signed_prekey,
                    prekey: keys.prekey.as_ref(),
                };
                let bundle = bundle.build()?;
                self.party(&draft.from).meet(device, &bundle)?;
            }
            None => self.meet(&draft.from, device)?,
        }
        let mut plain = self.plain_for(draft, device);
        if let Chat::Group(group) = &draft.chat {
            let party = self.party(&draft.from);
            let key = party.group_key(group)?;
            party.give_group_key(group, std::slice::from_ref(device));
            let mut message = Message::decode_from_slice(&plain).unwrap_or_default();
            message.sender_key_distribution_message =
                MessageField::some(SenderKeyDistributionMessage {
                    group_id: Some(group.clone()),
                    axolotl_sender_key_distribution_message: Some(key),
                });
            plain = message.encode_to_vec();
        }
        self.party(&draft.from).encrypt(device, &plain)
    }

    /// A person asks a device to send a message again, with keys for a new session. False: the device is not linked.
    pub(crate) fn ask_again(
        &mut self,
        person: &str,
        device: &Address,
        chat: &Chat,
        id: &str,
        count: u32,
    ) -> bool {
        let own = |message: &ChatMessage| message.from == device.phone && message.to == chat.name();
        if let Some(entry) = self.conversations.find(id, own) {
            entry.asked += 1;
        }
        let addressing = self.addressing(&device.phone, chat);
        let offer = match self.party(person).offer() {
            Ok(offer) => offer,
            Err(error) => {
                tracing::warn!("{person} has no keys to offer: {error}");
                return false;
            }
        };
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("id", id)
            .attr("t", now())
            .attr("count", count)
            .build();
        let keys = NodeBuilder::new("keys").children([
            NodeBuilder::new("type").bytes([5]).build(),
            NodeBuilder::new("identity").bytes(offer.identity.0).build(),
            prekey_node("key", &offer.prekey),
            prekey_node("skey", &offer.signed_prekey),
        ]);
        let registration = NodeBuilder::new("registration")
            .bytes(offer.registration_id.to_be_bytes())
            .build();
        let mut receipt = NodeBuilder::new("receipt")
            .attr("id", id)
            .attr("type", "retry")
            .attr("t", now());
        let asker = addressing.jid(person, 0);
        let (from, participant) = match chat {
            Chat::Group(group) => {
                receipt = receipt
                    .attr("from", group_jid(group))
                    .attr("participant", asker);
                (group.clone(), Some(person.to_owned()))
            }
            Chat::Person(phone) => {
                receipt = receipt.attr("from", asker);
                if person == device.phone {
                    receipt = receipt.attr("recipient", addressing.jid(phone, 0));
                }
                (person.to_owned(), None)
            }
        };
        let letter = Letter {
            stanza: receipt
                .children([retry, registration, keys.build()])
                .build(),
            class: Class::Receipt,
            id: id.to_owned(),
            from,
            participant,
            plain: None,
        };
        self.post(device, letter)
    }
}
