//! What people say: encrypted for each device that should get it, and put in its mailbox.

use std::collections::BTreeSet;

use buffa::{Message as _, MessageField};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{DeviceSentMessage, SenderKeyDistributionMessage};

use crate::account::Account;
use crate::content::Content;
use crate::crypto::message_id;
use crate::fault::{Fault, Who};
use crate::mailbox::{Class, Letter};
use crate::party::{self, Address, Sealed, bundle, spoil};
use crate::person::{Addressing, Chat};
use crate::saying::Trouble;
use crate::shared::now;
use crate::stanza::server_jid;
use crate::world::World;

/// How few prekeys a device has when it is told to upload more.
const FEW_PREKEYS: usize = 5;

/// A message on its way to devices.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub id: String,
    /// The phone of whoever says it.
    pub from: String,
    pub chat: Chat,
    pub content: Content,
    /// Whether it is about a message of the speaker's own.
    pub about_own: bool,
    /// Encoded.
    pub plain: Vec<u8>,
    pub trouble: Option<Trouble>,
}

impl World {
    /// How the people in a chat are named to an account's devices.
    pub(crate) fn addressing(&self, account: &str, chat: &Chat) -> Addressing {
        let Some(account) = self.state.accounts.get(account) else {
            return Addressing::Pn;
        };
        match chat {
            Chat::Person(_) => account.settings.addressing,
            Chat::Group(jid) => account
                .groups
                .iter()
                .find(|group| group.jid == *jid)
                .map(|group| group.addressing)
                .unwrap_or_default(),
        }
    }

    /// The phones of the accounts that are in a group.
    pub(crate) fn accounts_in(&self, group: &str) -> Vec<String> {
        let has_it = |account: &&Account| account.groups.iter().any(|known| known.jid == group);
        let accounts = self.state.accounts.values().filter(has_it);
        accounts.map(|account| account.phone.clone()).collect()
    }

    /// The phones of the people in a group, accounts first.
    pub(crate) fn people_in(&self, group: &str) -> Vec<String> {
        let mut people = self.accounts_in(group);
        let mut seen: BTreeSet<String> = people.iter().cloned().collect();
        for account in self.accounts_in(group) {
            let Some(account) = self.state.accounts.get(&account) else {
                continue;
            };
            let known = account.groups.iter().filter(|known| known.jid == group);
            let known = known.flat_map(|known| known.people(&account.phone));
            people.extend(known.filter(|phone| seen.insert(phone.clone())));
        }
        people
    }

    /// The linked devices of a phone.
    pub(crate) fn devices_of(&self, phone: &str) -> Vec<Address> {
        let devices = self
            .state
            .accounts
            .get(phone)
            .map(|account| &account.devices);
        let ids = devices.into_iter().flatten().map(|(id, _)| *id);
        ids.map(|id| Address::new(phone, id)).collect()
    }

    /// The name that people see beside what somebody says.
    pub(crate) fn name_of(&self, phone: &str) -> String {
        match self.state.accounts.get(phone) {
            Some(account) => account.push_name.clone(),
            None => format!("Contact {}", &phone[phone.len().saturating_sub(4)..]),
        }
    }

    /// Notes that two people know each other.
    pub(crate) fn acquaint(&mut self, one: &str, other: &str) {
        let (one, other) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        self.state
            .acquainted
            .insert((one.to_owned(), other.to_owned()));
    }

    pub(crate) fn are_acquainted(&self, one: &str, other: &str) -> bool {
        let (one, other) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        self.state
            .acquainted
            .contains(&(one.to_owned(), other.to_owned()))
    }

    /// Encrypts something of a phone's for a device, with a new session if there is none.
    pub(crate) fn seal_for(
        &mut self,
        from: &str,
        to: &Address,
        plain: &[u8],
    ) -> party::Result<Sealed> {
        if !self.party(from).has_session(to) {
            self.meet(from, to)?;
        }
        self.party(from).encrypt(to, plain)
    }

    /// Starts a session of a phone with a device, which uses up one of the device's prekeys.
    pub(crate) fn meet(&mut self, phone: &str, device: &Address) -> party::Result<()> {
        let known = self.device_mut(&device.phone, device.device);
        let Some(known) = known else {
            return Err(
                wacore_libsignal::protocol::SignalProtocolError::InvalidArgument(
                    "the device is not linked".to_owned(),
                ),
            );
        };
        let prekey = (!known.prekeys.is_empty()).then(|| known.prekeys.remove(0));
        let left = known.prekeys.len();
        let bundle = bundle(known, prekey.as_ref())?;
        if prekey.is_some() && left == FEW_PREKEYS {
            self.post(device, few_prekeys(left));
        }
        self.party(phone).meet(device, &bundle)
    }

    /// Puts what is said in the mailboxes of all devices that should get it. Returns how many.
    pub(crate) fn speak(&mut self, draft: &Draft) -> usize {
        match draft.chat.clone() {
            Chat::Person(phone) => self.speak_to(draft, &phone),
            Chat::Group(group) => self.speak_in(draft, &group),
        }
    }

    fn speak_to(&mut self, draft: &Draft, phone: &str) -> usize {
        self.acquaint(&draft.from, phone);
        let mut devices = self.devices_of(phone);
        if draft.from != phone {
            devices.extend(self.devices_of(&draft.from));
        }
        let mut reached = 0;
        for device in devices {
            let (spoiled, twice) = self.troubles(draft, &device);
            let plain = self.plain_for(draft, &device);
            let sealed = match self.seal_for(&draft.from, &device, &plain) {
                Ok(sealed) => sealed,
                Err(error) => {
                    tracing::warn!("{} cannot be encrypted for {device}: {error}", draft.id);
                    continue;
                }
            };
            let sealed = vec![with_trouble(sealed, spoiled)];
            reached += usize::from(self.post_message(draft, &device, &sealed, None, twice));
        }
        reached
    }

    fn speak_in(&mut self, draft: &Draft, group: &str) -> usize {
        let accounts = self.accounts_in(group);
        let devices: Vec<Address> = accounts
            .iter()
            .flat_map(|account| self.devices_of(account))
            .collect();
        let (new, key, sealed) = match self.group_message(draft, group, &devices) {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!("{} cannot be encrypted for {group}: {error}", draft.id);
                return 0;
            }
        };
        let mut reached = 0;
        for device in devices {
            let (spoiled, twice) = self.troubles(draft, &device);
            let mut parts = Vec::new();
            if new.contains(&device) {
                let text = group_key_message(group, &key).encode_to_vec();
                match self.seal_for(&draft.from, &device, &text) {
                    Ok(sealed) => parts.push(sealed),
                    Err(error) => tracing::warn!("{device} gets no key of {group}: {error}"),
                }
            }
            parts.push(with_trouble(sealed.clone(), spoiled));
            reached += usize::from(self.post_message(draft, &device, &parts, None, twice));
        }
        reached
    }

    /// The devices that lack the speaker's key of a group, that key, and the message.
    fn group_message(
        &mut self,
        draft: &Draft,
        group: &str,
        devices: &[Address],
    ) -> party::Result<(Vec<Address>, Vec<u8>, Sealed)> {
        let withheld = draft.trouble == Some(Trouble::NoGroupKey);
        let party = self.party(&draft.from);
        if withheld {
            party.renew_group_key(group)?;
        }
        let new = party.give_group_key(group, devices);
        let key = party.group_key(group)?;
        let sealed = party.encrypt_for_group(group, &draft.plain)?;
        Ok((if withheld { Vec::new() } else { new }, key, sealed))
    }

    /// The message as this device gets it: what its own phone says elsewhere comes in a wrapper.
    pub(crate) fn plain_for(&self, draft: &Draft, device: &Address) -> Vec<u8> {
        let Chat::Person(phone) = &draft.chat else {
            return draft.plain.clone();
        };
        if device.phone != draft.from {
            return draft.plain.clone();
        }
        let inner = Message::decode_from_slice(&draft.plain).unwrap_or_default();
        let to = self.addressing(&device.phone, &draft.chat).jid(phone, 0);
        Message {
            message_context_info: inner.message_context_info.clone(),
            device_sent_message: MessageField::some(DeviceSentMessage {
                destination_jid: Some(to.to_string()),
                message: MessageField::some(inner),
                ..DeviceSentMessage::default()
            }),
            ..Message::default()
        }
        .encode_to_vec()
    }

    /// Whether this copy is spoiled, and whether it comes twice.
    fn troubles(&mut self, draft: &Draft, device: &Address) -> (bool, bool) {
        let who = Who {
            phone: Some(device.phone.clone()),
            device: self.device_jid(device),
        };
        let mut fault = |wanted: &Fault| {
            let found = self
                .faults
                .take(&who, |fault| (fault == wanted).then_some(()));
            found.is_some()
        };
        let spoiled = fault(&Fault::SpoilMessage);
        let twice = fault(&Fault::RepeatMessage);
        let trouble = draft.trouble;
        (
            spoiled || matches!(trouble, Some(Trouble::Spoiled(times)) if times > 0),
            twice || trouble == Some(Trouble::Twice),
        )
    }

    /// Puts a message in a device's mailbox. `count`: which time it is sent on demand.
    pub(crate) fn post_message(
        &mut self,
        draft: &Draft,
        device: &Address,
        parts: &[Sealed],
        count: Option<u32>,
        twice: bool,
    ) -> bool {
        let addressing = self.addressing(&device.phone, &draft.chat);
        let own = device.phone == draft.from;
        let mut stanza = self.envelope(draft, addressing, own);
        let children: Vec<Node> = if draft.trouble == Some(Trouble::Unavailable) && count.is_none()
        {
            vec![NodeBuilder::new("unavailable").build()]
        } else {
            let parts = parts.iter();
            parts
                .map(|part| encrypted(part, &draft.content, count))
                .collect()
        };
        stanza = stanza.children(children);
        let (from, participant) = match &draft.chat {
            Chat::Person(_) => (draft.from.clone(), None),
            Chat::Group(group) => (group.clone(), Some(draft.from.clone())),
        };
        let letter = Letter {
            stanza: stanza.build(),
            class: Class::Message,
            id: draft.id.clone(),
            from,
            participant,
            plain: Some(draft.plain.clone()),
        };
        if twice {
            self.post(device, letter.clone());
        }
        self.post(device, letter)
    }

    /// The stanza around a message; `own`: the device is one of the speaker's.
    fn envelope(&self, draft: &Draft, addressing: Addressing, own: bool) -> NodeBuilder {
        let speaker = addressing.jid(&draft.from, 0);
        let alternative = addressing.other().jid(&draft.from, 0);
        let mut stanza = NodeBuilder::new("message")
            .attr("id", draft.id.as_str())
            .attr("type", draft.content.stanza_type())
            .attr("t", now())
            .attr("notify", self.name_of(&draft.from));
        if let Some(edit) = draft.content.edit(draft.about_own) {
            stanza = stanza.attr("edit", edit);
        }
        match &draft.chat {
            Chat::Group(group) => {
                let alternative_name = match addressing {
                    Addressing::Lid => "participant_pn",
                    Addressing::Pn => "participant_lid",
                };
                stanza
                    .attr("from", group_jid(group))
                    .attr("participant", speaker)
                    .attr(alternative_name, alternative)
                    .attr("addressing_mode", addressing.word())
            }
            Chat::Person(phone) if own => stanza
                .attr("from", speaker)
                .attr("recipient", addressing.jid(phone, 0)),
            Chat::Person(_) => {
                let alternative_name = match addressing {
                    Addressing::Lid => "sender_pn",
                    Addressing::Pn => "sender_lid",
                };
                stanza
                    .attr("from", speaker)
                    .attr(alternative_name, alternative)
            }
        }
    }
}

/// The JID of a group, as it is written in attributes.
pub(crate) fn group_jid(group: &str) -> Jid {
    Jid::group(group.split('@').next().unwrap_or_default())
}

/// A message with the key of a group.
pub(crate) fn group_key_message(group: &str, key: &[u8]) -> Message {
    Message {
        sender_key_distribution_message: MessageField::some(SenderKeyDistributionMessage {
            group_id: Some(group.to_owned()),
            axolotl_sender_key_distribution_message: Some(key.to_vec()),
        }),
        ..Message::default()
    }
}

pub(crate) fn with_trouble(mut sealed: Sealed, spoiled: bool) -> Sealed {
    if spoiled {
        spoil(&mut sealed);
    }
    sealed
}

fn encrypted(part: &Sealed, content: &Content, count: Option<u32>) -> Node {
    let mut node = NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", part.kind)
        .bytes(part.bytes.clone());
    if let Some(count) = count {
        node = node.attr("count", count);
    }
    if let Some(media) = content.media_type() {
        node = node.attr("mediatype", media);
    }
    node.build()
}

/// Tells a device that it should upload prekeys.
fn few_prekeys(left: usize) -> Letter {
    let id = message_id();
    let count = NodeBuilder::new("count").attr("value", left).build();
    let stanza = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("type", "encrypt")
        .attr("id", id.as_str())
        .attr("t", now())
        .children([count])
        .build();
    Letter {
        stanza,
        class: Class::Notification,
        id,
        from: String::new(),
        participant: None,
        plain: None,
    }
}
