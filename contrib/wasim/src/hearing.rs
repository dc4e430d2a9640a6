//! What devices send: decrypted on the phones it is for, and passed on to linked devices.

use buffa::Message as _;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeValue};
use waproto::whatsapp::Message;

use crate::content::{Content, Read, read, take_group_key, unwrapped};
use crate::conversation::News;
use crate::fault::{Fault, Who};
use crate::mailbox::{Class, Letter};
use crate::party::Address;
use crate::person::{Addressing, Chat, both_jids, phone_behind};
use crate::shared::now;
use crate::speech::group_jid;
use crate::stanza::{attr, content};
use crate::vote::Ballot;
use crate::world::World;

/// Of a large group, so many people take notice of what devices say. The others are a crowd.
const ATTENDING: usize = 16;

/// What became of a message of a device's.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub chat: Chat,
    pub id: String,
    pub kind: &'static str,
    /// How often it came.
    pub copies: u32,
    pub resent: bool,
    pub readers: Vec<String>,
    /// Who could not read it.
    pub unreadable: Vec<String>,
    /// Which time it was sent on demand.
    pub count: u32,
}

/// Something encrypted in a stanza, and for whom it is. None: for all in the group.
struct Part<'a> {
    to: Option<Jid>,
    kind: String,
    bytes: &'a [u8],
    node: &'a Node,
}

/// Whether a phone could read something.
enum Opened {
    Read(Box<Message>),
    /// It was read before.
    Before,
    Unreadable,
}

/// The JID in an attribute.
pub(crate) fn jid_attr(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name).and_then(NodeValue::to_jid)
}

/// Where a stanza of a device's is to go: a person or a group. None: anywhere else.
pub(crate) fn addressee(stanza: &Node) -> Option<Chat> {
    Chat::of(&jid_attr(stanza, "to")?)
}

fn parts(stanza: &Node) -> Vec<Part<'_>> {
    let part = |to: Option<Jid>, node| {
        Some(Part {
            to,
            kind: attr(node, "type")?,
            bytes: content(node)?,
            node,
        })
    };
    let to = jid_attr(stanza, "to");
    let alone = match to.as_ref().map(Chat::of) {
        // What is sent again in a group is for one of its people.
        Some(Some(Chat::Group(_))) => jid_attr(stanza, "participant"),
        _ => to,
    };
    let mut parts = Vec::new();
    if let Some(list) = stanza.get_optional_child("participants") {
        for person in list.get_children_by_tag("to") {
            let to = jid_attr(person, "jid");
            let sealed = person.get_children_by_tag("enc");
            parts.extend(sealed.filter_map(|node| part(to.clone(), node)));
        }
    }
    let direct = stanza.get_children_by_tag("enc");
    parts.extend(direct.filter_map(|node| part(alone.clone(), node)));
    parts
}

impl World {
    /// Takes a message of a device's. None when it is not for people or groups.
    pub(crate) fn hear(&mut self, device: &Address, stanza: &Node) -> Option<Hearing> {
        let chat = addressee(stanza)?;
        let id = attr(stanza, "id")?;
        let parts = parts(stanza);
        let count = parts
            .iter()
            .filter_map(|part| attr(part.node, "count")?.parse().ok())
            .max();
        if let Chat::Person(phone) = &chat {
            self.acquaint(&device.phone, phone);
        }
        let (position, copies) = self.count_copy(device, &chat, &id, count.is_some());
        let mut hearing = Hearing {
            chat,
            id,
            kind: "other",
            copies,
            resent: count.is_some(),
            readers: Vec::new(),
            unreadable: Vec::new(),
            count: count.unwrap_or_default(),
        };
        let pretend = self.fault_of(device, &Fault::AskAgain);
        let attending = match &hearing.chat {
            Chat::Group(group) => {
                let mut people = self.people_in(group);
                people.truncate(ATTENDING);
                Some(people)
            }
            Chat::Person(_) => None,
        };
        for part in parts.iter().filter(|part| part.kind != "skmsg") {
            let Some(person) = part.to.as_ref().and_then(phone_behind) else {
                continue;
            };
            let is_phone = part.to.as_ref().is_some_and(|to| to.device == 0);
            let attends = attending
                .as_ref()
                .is_none_or(|people| people.contains(&person));
            if !is_phone || !attends {
                continue;
            }
            let pretend = pretend && person != device.phone;
            let opened = self.open(device, &person, part, pretend);
            self.note(&mut hearing, position, device, &person, opened);
        }
        if let Chat::Group(group) = hearing.chat.clone() {
            for part in parts.iter().filter(|part| part.kind == "skmsg") {
                for person in attending.iter().flatten() {
                    let pretend = pretend && *person != device.phone;
                    let opened = self.open_in_group(device, &group, person, part, pretend);
                    self.note(&mut hearing, position, device, person, opened);
                }
            }
        }
        self.pass_on(device, &hearing, stanza, &parts);
        if let Some(entry) = self.conversations.get_mut(position) {
            hearing.kind = entry
                .message
                .content
                .as_ref()
                .map_or("other", Content::kind);
        }
        self.conversations.announce();
        Some(hearing)
    }

    /// Whether a fault is in force for a device, counted as used.
    pub(crate) fn fault_of(&mut self, device: &Address, wanted: &Fault) -> bool {
        let who = Who {
            phone: Some(device.phone.clone()),
            device: self.device_jid(device),
        };
        let found = self
            .faults
            .take(&who, |fault| (fault == wanted).then_some(()));
        found.is_some()
    }

    /// The message's place in the conversations, and how often it came without being asked for.
    fn count_copy(&mut self, device: &Address, chat: &Chat, id: &str, resent: bool) -> (u64, u32) {
        let known = self.conversations.find(id, |message| {
            message.from == device.phone && message.to == chat.name()
        });
        if let Some(entry) = known {
            // Not every client says that it was asked to.
            if resent || entry.asked > 0 {
                entry.asked = entry.asked.saturating_sub(1);
                entry.message.resent += 1;
            } else {
                entry.message.copies += 1;
            }
            return (entry.message.position, entry.message.copies);
        }
        let jid = self.device_jid(device);
        let position = self.conversations.add(News {
            id: id.to_owned(),
            from: device.phone.clone(),
            to: chat.name().to_owned(),
            device: jid,
            plain: Vec::new(),
            spoil: 0,
            unavailable: false,
        });
        (position, 1)
    }

    /// Decrypts something on a phone.
    fn open(&mut self, device: &Address, phone: &str, part: &Part<'_>, pretend: bool) -> Opened {
        let party = self.party(phone);
        if pretend {
            party.forget(device);
            return Opened::Unreadable;
        }
        opened(party.decrypt(device, &part.kind, part.bytes))
    }

    /// Decrypts something for a group on a phone.
    fn open_in_group(
        &mut self,
        device: &Address,
        group: &str,
        phone: &str,
        part: &Part<'_>,
        pretend: bool,
    ) -> Opened {
        let party = self.party(phone);
        if pretend {
            party.forget(device);
            return Opened::Unreadable;
        }
        opened(party.decrypt_of_group(group, device, part.bytes))
    }

    /// Notes what a person could read, and takes a group's key from it.
    fn note(
        &mut self,
        hearing: &mut Hearing,
        position: u64,
        device: &Address,
        person: &String,
        opened: Opened,
    ) {
        let message = match opened {
            Opened::Read(message) => message,
            Opened::Before => {
                push_new(&mut hearing.readers, person);
                return;
            }
            Opened::Unreadable => {
                push_new(&mut hearing.unreadable, person);
                return;
            }
        };
        if let Some((group, key)) = take_group_key(unwrapped(&message)) {
            let taken = self.party(person).take_group_key(&group, device, &key);
            if let Err(error) = taken {
                tracing::warn!("{person} cannot take the key of {device}: {error}");
            }
        }
        let Some(mut read) = read(&message) else {
            return;
        };
        push_new(&mut hearing.readers, person);
        hearing.unreadable.retain(|other| other != person);
        let first = self.conversations.get_mut(position).is_some_and(|entry| {
            push_new(&mut entry.message.readers, person);
            entry.message.content.is_none()
        });
        if !first {
            return;
        }
        self.count_vote(&mut read, &device.phone);
        if let Some(entry) = self.conversations.get_mut(position) {
            entry.plain = unwrapped(&message).encode_to_vec();
            entry.message.content = Some(read.content);
            entry.message.reply_to = read.reply_to;
            entry.message.mentions = read.mentions;
        }
    }

    /// Reads a vote with the poll that it is for.
    fn count_vote(&mut self, read: &mut Read, voter: &str) {
        let (Some(update), Content::Vote { of, options }) = (&read.vote, &mut read.content) else {
            return;
        };
        let Some(vote) = update.vote.as_option() else {
            return;
        };
        let Some(entry) = self.conversations.find(of, |message| {
            matches!(message.content, Some(Content::Poll { .. }))
        }) else {
            return;
        };
        let Some(Content::Poll { options: all, .. }) = entry.message.content.clone() else {
            return;
        };
        let poll = Message::decode_from_slice(&entry.plain).unwrap_or_default();
        let secret = poll.message_context_info.message_secret.clone();
        let creator = entry.message.from.clone();
        for creator in both_jids(&creator) {
            for voter in both_jids(voter) {
                let ballot = Ballot {
                    secret: secret.as_deref().unwrap_or_default(),
                    poll: of,
                    creator: &creator,
                    voter: &voter,
                };
                if let Some(chosen) = ballot.open(vote, &all) {
                    *options = chosen;
                    return;
                }
            }
        }
    }

    /// Gives linked devices what is for them, which nobody but they can read.
    fn pass_on(&mut self, device: &Address, hearing: &Hearing, stanza: &Node, parts: &[Part<'_>]) {
        let mut devices: Vec<Address> = Vec::new();
        for part in parts {
            let Some(to) = part.to.as_ref().filter(|to| to.device > 0) else {
                continue;
            };
            if let Some(phone) = phone_behind(to) {
                push_new(&mut devices, &Address::new(&phone, to.device));
            }
        }
        let for_all = parts.iter().any(|part| part.to.is_none());
        if let (Chat::Group(group), true) = (&hearing.chat, for_all) {
            for account in self.accounts_in(group) {
                for other in self.devices_of(&account) {
                    push_new(&mut devices, &other);
                }
            }
        }
        for other in devices.iter().filter(|other| *other != device) {
            let is_theirs = |to: &Jid| {
                to.device == other.device && phone_behind(to).as_ref() == Some(&other.phone)
            };
            let children: Vec<Node> = parts
                .iter()
                .filter(|part| part.to.as_ref().is_none_or(is_theirs))
                .map(|part| part.node.clone())
                .chain(stanza.get_optional_child("device-identity").cloned())
                .collect();
            let letter = self.letter_of(device, other, hearing, stanza, children);
            self.post(other, letter);
        }
    }

    /// A message of one device's as another one gets it.
    fn letter_of(
        &self,
        device: &Address,
        other: &Address,
        hearing: &Hearing,
        stanza: &Node,
        children: Vec<Node>,
    ) -> Letter {
        let addressing = self.addressing(&other.phone, &hearing.chat);
        let sender = addressing.jid(&device.phone, device.device);
        let alternative = addressing.other().jid(&device.phone, 0);
        let mut message = NodeBuilder::new("message")
            .attr("id", hearing.id.as_str())
            .attr("t", now())
            .attr("notify", self.name_of(&device.phone));
        for name in ["type", "edit"] {
            if let Some(value) = stanza.attrs.get(name) {
                message = message.attr(name, value.clone());
            }
        }
        let (message, from, participant) = match &hearing.chat {
            Chat::Group(group) => (
                message
                    .attr("from", group_jid(group))
                    .attr("participant", sender)
                    .attr("addressing_mode", addressing.word()),
                group.clone(),
                Some(device.phone.clone()),
            ),
            Chat::Person(phone) if other.phone == device.phone => (
                message
                    .attr("from", sender)
                    .attr("recipient", addressing.jid(phone, 0)),
                device.phone.clone(),
                None,
            ),
            Chat::Person(_) => (
                message.attr("from", sender).attr(
                    match addressing {
                        Addressing::Lid => "sender_pn",
                        Addressing::Pn => "sender_lid",
                    },
                    alternative,
                ),
                device.phone.clone(),
                None,
            ),
        };
        Letter {
            stanza: message.children(children).build(),
            class: Class::Message,
            id: hearing.id.clone(),
            from,
            participant,
            plain: None,
        }
    }
}

fn push_new<T: PartialEq + Clone>(list: &mut Vec<T>, new: &T) {
    if !list.contains(new) {
        list.push(new.clone());
    }
}

fn opened(result: crate::party::Result<Vec<u8>>) -> Opened {
    use wacore_libsignal::protocol::SignalProtocolError;
    match result {
        Ok(plain) => match Message::decode_from_slice(&plain) {
            Ok(message) => Opened::Read(Box::new(message)),
            Err(_) => Opened::Unreadable,
        },
        Err(SignalProtocolError::DuplicatedMessage(..)) => Opened::Before,
        Err(error) => {
            tracing::debug!("a phone cannot read a message: {error}");
            Opened::Unreadable
        }
    }
}
