//! Groups, and the people in them.

use serde::{Deserialize, Serialize};

use crate::person::Addressing;

/// A group a phone is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its JID, ending in `@g.us`.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// How many people are in it, the phone's owner included. Who is not among `members` is made up.
    pub size: u32,
    /// The phones of people in it, besides the owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// How the people in it are named on the wire.
    #[serde(default)]
    pub addressing: Addressing,
}

impl Group {
    /// A group of three.
    #[must_use]
    pub fn new(jid: &str, subject: &str) -> Self {
        Self {
            jid: jid.to_owned(),
            subject: subject.to_owned(),
            size: 3,
            members: Vec::new(),
            addressing: Addressing::Pn,
        }
    }

    /// With these people in it, besides the phone's owner, and nobody else.
    #[must_use]
    pub fn with_members(mut self, phones: &[&str]) -> Self {
        self.members = phones.iter().map(|phone| (*phone).to_owned()).collect();
        self.size = u32::try_from(self.members.len() + 1).unwrap_or(u32::MAX);
        self
    }

    /// With people named by their hidden numbers.
    #[must_use]
    pub fn by_lid(mut self) -> Self {
        self.addressing = Addressing::Lid;
        self
    }

    /// The phones of the people in it, the owner's first. Those that are made up have numbers from 15559000001 on.
    pub(crate) fn people(&self, owner: &str) -> Vec<String> {
        let size = usize::try_from(self.size.min(MOST_PEOPLE)).unwrap_or_default();
        let mut people = vec![owner.to_owned()];
        let made_up = (1..=MOST_PEOPLE).map(|number| format!("1555{:07}", 9_000_000 + number));
        let known = self.members.iter().filter(|phone| *phone != owner).cloned();
        people.extend(known);
        let missing = size.saturating_sub(people.len());
        let made_up = made_up.filter(|phone| phone != owner && !self.members.contains(phone));
        let made_up: Vec<String> = made_up.take(missing).collect();
        people.extend(made_up);
        people
    }
}

/// Of a group, so many people are described and written to.
const MOST_PEOPLE: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_owner_its_members_and_made_up_people() {
        let owner = "15550001001";
        let group = Group::new("1203630001@g.us", "Room");
        assert_eq!(group.people(owner), [owner, "15559000001", "15559000002"]);
        let group = group.with_members(&["15559000001", owner, "15559990001"]);
        assert_eq!(group.size, 4);
        let people = group.people(owner);
        assert_eq!(people[..3], [owner, "15559000001", "15559990001"]);
        assert_eq!(people[3..], ["15559000002"]);
        let huge = Group {
            size: u32::MAX,
            ..group
        };
        assert_eq!(huge.people(owner).len(), 1024);
    }
}
