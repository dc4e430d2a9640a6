//! People and the JIDs they go by: their phone number, or the number under which others see them.

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

use crate::Error;
use crate::account::{lid_of, phone_number, phone_of};

/// How people are named on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// By their phone number (`@s.whatsapp.net`).
    #[default]
    Pn,
    /// By their hidden number (`@lid`).
    Lid,
}

impl Addressing {
    /// As the attribute `addressing_mode` has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pn => "pn",
            Self::Lid => "lid",
        }
    }

    /// The JID of a device, or of a phone (device 0).
    pub(crate) fn jid(self, phone: &str, device: u16) -> Jid {
        match self {
            Self::Pn => Jid::pn_device(phone, device),
            Self::Lid => Jid::lid_device(lid_of(phone), device),
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Pn => Self::Lid,
            Self::Lid => Self::Pn,
        }
    }
}

/// The phone of whoever goes by a JID.
pub(crate) fn phone_behind(jid: &Jid) -> Option<String> {
    match jid.server {
        Server::Pn | Server::Hosted => phone_number(jid.user.as_str()).ok(),
        Server::Lid | Server::HostedLid => phone_of(jid.user.as_str()),
        _ => None,
    }
}

/// The JIDs of a person, without a device, by either number.
pub(crate) fn both_jids(phone: &str) -> [String; 2] {
    [Addressing::Lid, Addressing::Pn].map(|addressing| addressing.jid(phone, 0).to_string())
}

/// Where something is said: a person, or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chat {
    /// A phone number.
    Person(String),
    /// The JID of a group.
    Group(String),
}

impl Chat {
    /// Reads a phone number, the JID of a person or the JID of a group.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        if let Ok(phone) = phone_number(text) {
            return Ok(Self::Person(phone));
        }
        let jid: Option<Jid> = text.parse().ok();
        jid.as_ref()
            .and_then(Self::of)
            .ok_or_else(|| Error::BadPhone(text.to_owned()))
    }

    pub(crate) fn of(jid: &Jid) -> Option<Self> {
        match jid.server {
            Server::Group => Some(Self::Group(jid.to_string())),
            _ => phone_behind(jid).map(Self::Person),
        }
    }

    /// The phone number, or the JID of the group.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Person(name) | Self::Group(name) => name,
        }
    }
}

/// The phone of a person named by number or by JID.
pub(crate) fn person(text: &str) -> Result<String, Error> {
    match Chat::read(text)? {
        Chat::Person(phone) => Ok(phone),
        Chat::Group(_) => Err(Error::BadPhone(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_behind_either_number() {
        for addressing in [Addressing::Pn, Addressing::Lid] {
            for device in [0, 3] {
                let jid = addressing.jid("15550001001", device);
                assert_eq!(jid.device, device);
                assert_eq!(phone_behind(&jid).as_deref(), Some("15550001001"));
                assert_eq!(person(&jid.to_string()).unwrap(), "15550001001");
            }
        }
        assert_eq!(phone_behind(&Jid::group("120363")), None);
    }

    #[test]
    fn chats_are_people_and_groups() {
        let group = "1203630001@g.us";
        assert_eq!(Chat::read(group).unwrap(), Chat::Group(group.to_owned()));
        let person = Chat::Person("15550001001".to_owned());
        assert_eq!(Chat::read("+15550001001").unwrap(), person);
        assert_eq!(Chat::read("100015550001001@lid").unwrap(), person);
        for bad in ["", "x", "status@broadcast", "x@s.whatsapp.net"] {
            assert!(Chat::read(bad).is_err(), "{bad}");
        }
    }
}
