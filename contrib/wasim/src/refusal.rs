//! Messages that WhatsApp refuses, and with which code.

use wacore_binary::Node;

use crate::fault::{Fault, Who};
use crate::party::Address;
use crate::person::Chat;
use crate::shared::now;
use crate::stanza::attr;
use crate::world::World;

/// A time-lock keeps the account from writing to somebody new.
const TIMELOCKED: u16 = 463;

/// The account has had as many chats with new people as it may.
const CAPPED: u16 = 475;

/// The group names its people in another way by now.
const STALE_ADDRESSING: u16 = 421;

/// There is no such group, or the account is not in it.
const NOT_FOUND: u16 = 404;

impl World {
    /// The code with which a message of a device's is refused, if it is.
    pub(crate) fn refusal(&mut self, device: &Address, chat: &Chat, stanza: &Node) -> Option<u16> {
        let who = Who {
            phone: Some(device.phone.clone()),
            device: self.device_jid(device),
        };
        let told = self.faults.take(&who, |fault| match fault {
            Fault::RefuseMessage(code) => Some(*code),
            _ => None,
        });
        told.or_else(|| self.rule(device, chat, stanza))
    }

    fn rule(&self, device: &Address, chat: &Chat, stanza: &Node) -> Option<u16> {
        let account = self.state.accounts.get(&device.phone)?;
        match chat {
            Chat::Group(jid) => {
                let group = account.groups.iter().find(|group| group.jid == *jid);
                let Some(group) = group else {
                    return Some(NOT_FOUND);
                };
                let mode = attr(stanza, "addressing_mode");
                let stale = mode.is_some_and(|mode| mode != group.addressing.word());
                stale.then_some(STALE_ADDRESSING)
            }
            Chat::Person(phone) => {
                if *phone == device.phone || self.are_acquainted(&device.phone, phone) {
                    return None;
                }
                let settings = &account.settings;
                let locked = settings
                    .timelock
                    .as_ref()
                    .is_some_and(|lock| lock.until.is_none_or(|until| until > now()));
                let capped = settings
                    .chat_limit
                    .as_ref()
                    .is_some_and(|limit| limit.status == "CAPPED");
                match (locked, capped) {
                    (true, _) => Some(TIMELOCKED),
                    (false, true) => Some(CAPPED),
                    (false, false) => None,
                }
            }
        }
    }
}
