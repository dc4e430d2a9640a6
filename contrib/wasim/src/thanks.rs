//! Receipts of people: how far the messages of devices have got.

use wacore_binary::builder::NodeBuilder;

use crate::mailbox::{Class, Letter};
use crate::party::Address;
use crate::person::Chat;
use crate::saying::Receipt;
use crate::shared::now;
use crate::speech::group_jid;
use crate::world::World;

impl World {
    /// A person tells a device how far its messages have got. False: the device is not linked.
    pub(crate) fn thank(
        &mut self,
        person: &str,
        device: &Address,
        chat: &Chat,
        ids: &[String],
        receipt: Receipt,
    ) -> bool {
        let Some((first, rest)) = ids.split_first() else {
            return false;
        };
        let addressing = self.addressing(&device.phone, chat);
        let reader = addressing.jid(person, 0);
        let mut stanza = NodeBuilder::new("receipt")
            .attr("id", first.as_str())
            .attr("t", now());
        if let Some(word) = receipt.word() {
            stanza = stanza.attr("type", word);
        }
        let (from, participant) = match chat {
            Chat::Group(group) => {
                stanza = stanza
                    .attr("from", group_jid(group))
                    .attr("participant", reader);
                (group.clone(), Some(person.to_owned()))
            }
            Chat::Person(_) => {
                stanza = stanza.attr("from", reader);
                (person.to_owned(), None)
            }
        };
        if !rest.is_empty() {
            let items = rest
                .iter()
                .map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
            stanza = stanza.children([NodeBuilder::new("list").children(items).build()]);
        }
        let letter = Letter {
            stanza: stanza.build(),
            class: Class::Receipt,
            id: first.clone(),
            from,
            participant,
            plain: None,
        };
        self.post(device, letter)
    }
    /// The devices of a phone learn that its owner has read a message there. `at` in seconds since 1970.
    pub(crate) fn read_on_phone(&mut self, phone: &str, writer: &str, id: &str, at: u64) {
        let chat = Chat::Person(writer.to_owned());
        let addressing = self.addressing(phone, &chat);
        let stanza = NodeBuilder::new("receipt")
            .attr("from", addressing.jid(phone, 0))
            .attr("recipient", addressing.jid(writer, 0))
            .attr("type", "read-self")
            .attr("id", id)
            .attr("t", at)
            .build();
        for device in self.devices_of(phone) {
            let letter = Letter {
                stanza: stanza.clone(),
                class: Class::Receipt,
                id: id.to_owned(),
                from: phone.to_owned(),
                participant: None,
                plain: None,
            };
            self.post(&device, letter);
        }
    }
}
