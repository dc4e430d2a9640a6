//! What waits for a device until the device has acknowledged it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use wacore_binary::{Node, OwnedNodeRef};

use crate::crypto::Bytes;

/// The mailboxes, by the JIDs of their devices.
pub(crate) type Mailboxes = BTreeMap<String, Mailbox>;

/// What waits for one device, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mailbox {
    items: VecDeque<Item>,
    last_number: u64,
}

/// A stanza that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Its place in the mailbox.
    pub number: u64,
    pub class: Class,
    pub id: String,
    /// The phone or group that it comes from.
    pub from: String,
    /// The phone of whoever in the group it comes from.
    pub participant: Option<String>,
    /// How often it was sent.
    #[serde(default)]
    pub attempts: u32,
    /// The stanza in its binary form.
    stanza: Bytes,
    /// The message in it, to be encrypted again on demand.
    pub plain: Option<Bytes>,
}

/// What kind of stanza waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Message,
    Receipt,
    Notification,
}

impl Class {
    pub(crate) fn of(tag: &str) -> Option<Self> {
        match tag {
            "message" => Some(Self::Message),
            "receipt" => Some(Self::Receipt),
            "notification" => Some(Self::Notification),
            _ => None,
        }
    }
}

/// Something to put in a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub stanza: Node,
    pub class: Class,
    pub id: String,
    pub from: String,
    pub participant: Option<String>,
    pub plain: Option<Vec<u8>>,
}

/// How many stanzas of each class wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub messages: usize,
    pub receipts: usize,
    pub notifications: usize,
}

impl Waiting {
    pub(crate) fn total(self) -> usize {
        self.messages + self.receipts + self.notifications
    }
}

/// What a device says it has got.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledgement {
    pub class: Class,
    pub ids: Vec<String>,
    /// Whom it thanks: a phone or a group.
    pub to: Option<String>,
    pub participant: Option<String>,
    /// One copy only, the oldest: the stanza was handled, which does not say that the message was read.
    pub one_copy: bool,
}

impl Mailbox {
    pub(crate) fn put(&mut self, letter: Letter) {
        let Ok(stanza) = wacore_binary::marshal(&letter.stanza) else {
            tracing::warn!("a stanza that cannot be written does not wait");
            return;
        };
        self.last_number += 1;
        self.items.push_back(Item {
            number: self.last_number,
            class: letter.class,
            id: letter.id,
            from: letter.from,
            participant: letter.participant,
            attempts: 0,
            stanza: Bytes(stanza),
            plain: letter.plain.map(Bytes),
        });
    }

    /// The number of the last item so far.
    pub(crate) fn last_number(&self) -> u64 {
        self.last_number
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        for item in &self.items {
            match item.class {
                Class::Message => waiting.messages += 1,
                Class::Receipt => waiting.receipts += 1,
                Class::Notification => waiting.notifications += 1,
            }
        }
        waiting
    }

    /// Whether something numbered `number` or less waits.
    pub(crate) fn has_until(&self, number: u64) -> bool {
        self.items
            .front()
            .is_some_and(|first| first.number <= number)
    }

    /// The first item after `number`, counted as sent once more.
    pub(crate) fn next_after(&mut self, number: u64) -> Option<(Item, Node)> {
        let place = self.items.partition_point(|item| item.number <= number);
        let item = self.items.get_mut(place)?;
        item.attempts += 1;
        let plain = wacore_binary::util::unpack(&item.stanza.0).ok()?;
        let node = OwnedNodeRef::new(plain.into_owned()).ok()?.to_owned_node();
        let mut head = item.clone();
        head.stanza = Bytes::default();
        head.plain = None;
        Some((head, node))
    }

    /// The number of the first item after `number`.
    pub(crate) fn number_after(&self, number: u64) -> Option<u64> {
        let place = self.items.partition_point(|item| item.number <= number);
        self.items.get(place).map(|item| item.number)
    }

    /// Removes what is acknowledged among what was sent, up to `sent`. Returns the ids of what was removed.
    pub(crate) fn acknowledge(&mut self, sent: u64, thanks: &Acknowledgement) -> Vec<String> {
        let mut removed = Vec::new();
        for id in &thanks.ids {
            while let Some(place) = self
                .items
                .iter()
                .position(|item| item.number <= sent && item.id == *id && thanks.is_for(item))
            {
                self.items.remove(place);
                removed.push(id.clone());
                if thanks.one_copy {
                    break;
                }
            }
        }
        removed
    }

    /// The message of this id that waits, to be encrypted again.
    pub(crate) fn plain(&self, id: &str, from: &str) -> Option<Vec<u8>> {
        let fits = |item: &&Item| item.id == id && item.from == from && item.plain.is_some();
        let item = self.items.iter().rfind(fits)?;
        item.plain.clone().map(|plain| plain.0)
    }
}

impl Acknowledgement {
    fn is_for(&self, item: &Item) -> bool {
        let same = |theirs: &Option<String>, ours: Option<&String>| {
            theirs.is_none() || ours.is_none() || theirs.as_ref() == ours
        };
        item.class == self.class
            && same(&self.to, Some(&item.from))
            && same(&self.participant, item.participant.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    fn letter(id: &str, from: &str) -> Letter {
        Letter {
            stanza: NodeBuilder::new("message").attr("id", id).build(),
            class: Class::Message,
            id: id.to_owned(),
            from: from.to_owned(),
            participant: None,
            plain: Some(b"plain".to_vec()),
        }
    }

    fn thanks(ids: &[&str], to: Option<&str>) -> Acknowledgement {
        Acknowledgement {
            class: Class::Message,
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            to: to.map(str::to_owned),
            participant: None,
            one_copy: false,
        }
    }

    #[test]
    fn what_was_sent_waits_until_it_is_acknowledged() {
        let mut mailbox = Mailbox::default();
        for id in ["A", "B", "C"] {
            mailbox.put(letter(id, "x"));
        }
        let (item, node) = mailbox.next_after(0).unwrap();
        assert_eq!((item.id.as_str(), item.attempts), ("A", 1));
        assert_eq!(node.tag, "message");
        assert!(mailbox.acknowledge(1, &thanks(&["B"], None)).is_empty());
        assert_eq!(mailbox.acknowledge(1, &thanks(&["A"], None)), ["A"]);
        let (item, _) = mailbox.next_after(0).unwrap();
        assert_eq!((item.id.as_str(), item.number), ("B", 2));
        assert_eq!(mailbox.next_after(0).unwrap().0.attempts, 2);
        assert_eq!(mailbox.next_after(3).map(|(item, _)| item.id), None);
        assert_eq!(mailbox.waiting().total(), 2);
    }

    #[test]
    fn ids_belong_to_chats() {
        let mut mailbox = Mailbox::default();
        mailbox.put(letter("A", "x"));
        mailbox.put(letter("A", "y"));
        assert_eq!(mailbox.acknowledge(9, &thanks(&["A"], Some("y"))), ["A"]);
        assert_eq!(mailbox.next_after(0).unwrap().0.from, "x");
        let receipt = Acknowledgement {
            class: Class::Receipt,
            ..thanks(&["A"], None)
        };
        assert!(mailbox.acknowledge(9, &receipt).is_empty());
    }

    #[test]
    fn a_handled_stanza_is_one_copy_and_a_delivery_is_all() {
        let mut mailbox = Mailbox::default();
        for _ in 0..3 {
            mailbox.put(letter("A", "x"));
        }
        let one = Acknowledgement {
            one_copy: true,
            ..thanks(&["A"], None)
        };
        assert_eq!(mailbox.acknowledge(9, &one), ["A"]);
        assert_eq!(mailbox.waiting().messages, 2);
        assert_eq!(mailbox.acknowledge(9, &thanks(&["A"], None)), ["A", "A"]);
    }

    #[test]
    fn a_mailbox_survives_being_written_down() {
        let mut mailbox = Mailbox::default();
        mailbox.put(letter("A", "x"));
        let text = serde_json::to_string(&mailbox).unwrap();
        let mut read: Mailbox = serde_json::from_str(&text).unwrap();
        assert_eq!(read.next_after(0).unwrap().1.tag, "message");
        assert_eq!(read.plain("A", "x").as_deref(), Some(b"plain".as_slice()));
        read.put(letter("B", "x"));
        assert_eq!(read.last_number(), 2);
    }
}
