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
}
