//! The world of one server: accounts, connections, and faults.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use wacore_binary::{Jid, Server};

use crate::Error;
use crate::account::{Account, Device, Person, phone_number};
use crate::conversation::Conversations;
use crate::crypto::{Key, hex};
use crate::ending::{Failure, UnlinkAnswer};
use crate::fault::Faults;
use crate::mailbox::Letter;
use crate::media::MediaStore;
use crate::order::Order;
use crate::party::{Address, Party};
use crate::passkey::Passkey;
use crate::received::{Received, ReceivedStanza};
use crate::state::State;

/// The shared state of a server. Held under a lock for moments only, never across an await.
pub(crate) struct World {
    pub state: State,
    pub links: BTreeMap<u64, Link>,
    /// What the latest connections that have ended had received.
    ended: VecDeque<(u64, Received)>,
    /// The connection each device is logged in on, by JID.
    pub logins: HashMap<String, u64>,
    pub faults: Faults,
    /// How the next login of a device is refused, by JID.
    pub failures: HashMap<String, Failure>,
    pub unlink: UnlinkAnswer,
    /// Exceptions to `unlink`, by JID, phone number or connection.
    unlink_for: HashMap<String, UnlinkAnswer>,
    /// Exceptions to both for the next requests: for whom, how, and how many are left.
    unlink_next: Vec<(Option<String>, UnlinkAnswer, u32)>,
    pub secrets: BTreeSet<String>,
    pub conversations: Conversations,
    pub media: MediaStore,
    next_connection: u64,
}

/// Of how many ended connections the stanzas are remembered.
const ENDED_KEPT: usize = 64;

/// A connection, seen from outside.
pub(crate) struct Link {
    pub orders: mpsc::Sender<Order>,
    pub stage: &'static str,
    pub jid: Option<String>,
    pub showing: Option<Showing>,
    pub received: Received,
    /// Wakes it when something is in its device's mailbox.
    pub mail: Arc<Notify>,
}

/// The ways in which an unpaired client can be paired.
#[derive(Clone, Debug)]
pub(crate) struct Showing {
    pub refs: Vec<String>,
    pub noise_key: Key,
    pub identity: Key,
    /// The phone it asked to be linked to by code, and its key for that, encrypted with the code.
    pub code: Option<(String, Vec<u8>)>,
}

/// What a name given in a command stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Phone and number of a linked device.
    pub device: Option<(String, u16)>,
    pub jid: Option<String>,
    pub connection: Option<u64>,
}

impl World {
    pub(crate) fn new(state: State) -> Self {
        let mut world = Self {
            state,
            links: BTreeMap::new(),
            ended: VecDeque::new(),
            logins: HashMap::new(),
            faults: Faults::default(),
            failures: HashMap::new(),
            unlink: UnlinkAnswer::default(),
            unlink_for: HashMap::new(),
            unlink_next: Vec::new(),
            secrets: BTreeSet::new(),
            conversations: Conversations::default(),
            media: MediaStore::default(),
            next_connection: 1,
        };
        let accounts = world.state.accounts.values();
        let keys: Vec<Key> = accounts.flat_map(Account::secrets).collect();
        for key in &keys {
            world.keep_secret(key);
        }
        world
    }

    /// Notes a secret key in the forms in which it could leak.
    pub(crate) fn keep_secret(&mut self, key: &Key) {
        self.secrets.insert(key.base64());
        self.secrets.insert(hex(&key.0));
    }

    /// Notes the token in a refusal, if there is one.
    pub(crate) fn keep_token(&mut self, failure: &Failure) {
        self.secrets.extend(failure.appeal_token.clone());
    }

    /// Enters a connection, and gives it its number and what wakes it for its mail.
    pub(crate) fn enter(&mut self, orders: mpsc::Sender<Order>) -> (u64, Arc<Notify>) {
        let id = self.next_connection;
        self.next_connection += 1;
        let mail = Arc::new(Notify::new());
        let link = Link {
            mail: Arc::clone(&mail),
            orders,
            stage: "handshake",
            jid: None,
            showing: None,
            received: Received::default(),
        };
        self.links.insert(id, link);
        (id, mail)
    }

    /// Forgets a connection. Returns the device that was logged in on it.
    pub(crate) fn leave(&mut self, id: u64) -> Option<String> {
        let link = self.links.remove(&id)?;
        if self.ended.len() == ENDED_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back((id, link.received));
        let jid = link.jid?;
        if self.logins.get(&jid) == Some(&id) {
            self.logins.remove(&jid);
        }
        Some(jid)
    }

    /// The stanzas that came on a connection that is there, or has ended a short time ago.
    pub(crate) fn received(&self, name: &str) -> Result<Vec<ReceivedStanza>, Error> {
        let number: Option<u64> = name
            .strip_prefix('#')
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            let mut ended = self.ended.iter();
            if let Some((_, received)) = ended.find(|(id, _)| *id == number) {
                return Ok(received.list());
            }
        }
        let connection = self.find(name)?.connection;
        connection
            .and_then(|connection| self.links.get(&connection))
            .map(|link| link.received.list())
            .ok_or_else(|| Error::NotConnected(name.to_owned()))
    }

    /// The account of a phone, made if there is none. `now` in seconds since 1970.
    pub(crate) fn account(&mut self, phone: &str, now: u64) -> &mut Account {
        if !self.state.accounts.contains_key(phone) {
            let account = Account::new(&self.state.certificate.secret(), phone, now);
            for key in account.secrets() {
                self.keep_secret(&key);
            }
            self.state.accounts.insert(phone.to_owned(), account);
        }
        self.state
            .accounts
            .get_mut(phone)
            .expect("invariant: it was there or has just been inserted")
    }

    /// The passkey of a phone's owner, made if there is none.
    pub(crate) fn passkey(&mut self, phone: &str, now: u64) -> Passkey {
        let passkey = &mut self.account(phone, now).settings.passkey;
        passkey.get_or_insert_with(Passkey::generate).clone()
    }

    pub(crate) fn device(&self, phone: &str, id: u16) -> Option<&Device> {
        self.state.accounts.get(phone)?.devices.get(&id)
    }

    pub(crate) fn device_mut(&mut self, phone: &str, id: u16) -> Option<&mut Device> {
        self.state.accounts.get_mut(phone)?.devices.get_mut(&id)
    }

    /// Unlinks a device. Returns its JID, if it was linked.
    pub(crate) fn remove(&mut self, phone: &str, id: u16) -> Option<String> {
        let account = self.state.accounts.get_mut(phone)?;
        account.devices.remove(&id)?;
        let jid = account.jid(id).to_string();
        self.failures.remove(&jid);
        self.unlink_for.remove(&jid);
        // A device that is linked later under the same number has other keys, and no mail yet.
        self.state.mailboxes.remove(&jid);
        let address = Address::new(phone, id);
        for party in self.state.parties.values_mut() {
            party.forget(&address);
        }
        Some(jid)
    }

    /// The phone of a person as a Signal party.
    pub(crate) fn party(&mut self, phone: &str) -> &mut Party {
        let secret = self.state.certificate.secret();
        let account = self.state.accounts.get(phone);
        let party = self.state.parties.entry(phone.to_owned()).or_default();
        party.own_keys(&secret, phone, || {
            account.map_or_else(|| Person::new(&secret, phone), Account::person)
        });
        party
    }

    /// The JID of a linked device.
    pub(crate) fn device_jid(&self, device: &Address) -> Option<String> {
        let account = self.state.accounts.get(&device.phone)?;
        account
            .devices
            .contains_key(&device.device)
            .then(|| account.jid(device.device).to_string())
    }

    /// Puts something in a device's mailbox, and wakes the device. False: it is not linked.
    pub(crate) fn post(&mut self, device: &Address, letter: Letter) -> bool {
        let Some(jid) = self.device_jid(device) else {
            return false;
        };
        self.state
            .mailboxes
            .entry(jid.clone())
            .or_default()
            .put(letter);
        let login = self.logins.get(&jid);
        if let Some(link) = login.and_then(|connection| self.links.get(connection)) {
            link.mail.notify_one();
        }
        true
    }

    /// Sets how requests to be unlinked are answered: everyone's, or those of `who`; the next `times`, or all.
    pub(crate) fn set_unlink(
        &mut self,
        who: Option<String>,
        answer: UnlinkAnswer,
        times: Option<u32>,
    ) {
        match (who, times) {
            (who, Some(times)) => self.unlink_next.push((who, answer, times)),
            (Some(who), None) => {
                self.unlink_for.insert(who, answer);
            }
            (None, None) => {
                self.unlink_for.clear();
                self.unlink_next.clear();
                self.unlink = answer;
            }
        }
    }

    /// How a device's request to be unlinked is answered. Counts it as answered.
    pub(crate) fn unlink_answer(
        &mut self,
        connection: u64,
        phone: &str,
        jid: &str,
    ) -> UnlinkAnswer {
        let connection = format!("#{connection}");
        let names = [connection.as_str(), jid, phone];
        self.unlink_next.retain(|(_, _, times)| *times > 0);
        let next = self
            .unlink_next
            .iter_mut()
            .find(|(who, _, _)| who.as_deref().is_none_or(|who| names.contains(&who)));
        if let Some((_, answer, times)) = next {
            *times -= 1;
            return *answer;
        }
        let single = names.iter().find_map(|name| self.unlink_for.get(*name));
        single.copied().unwrap_or(self.unlink)
    }

    /// What `name` stands for: a JID, a phone with one device, or `#7`.
    pub(crate) fn find(&self, name: &str) -> Result<Named, Error> {
        let unknown = || Error::NoSuchDevice(name.to_owned());
        if let Some(number) = name.strip_prefix('#') {
            let connection: u64 = number.parse().map_err(|_| unknown())?;
            let link = self.links.get(&connection).ok_or_else(unknown)?;
            let device = link.jid.as_deref().and_then(|jid| self.parse(jid));
            return Ok(Named {
                device,
                jid: link.jid.clone(),
                connection: Some(connection),
            });
        }
        let (phone, id) = self.parse(name).ok_or_else(unknown)?;
        let account = self.state.accounts.get(&phone).ok_or_else(unknown)?;
        let id = match id {
            0 => only_device(account)?,
            id if account.devices.contains_key(&id) => id,
            _ => return Err(unknown()),
        };
        let jid = account.jid(id).to_string();
        Ok(Named {
            connection: self.logins.get(&jid).copied(),
            device: Some((phone, id)),
            jid: Some(jid),
        })
    }

    /// Phone and device number of a JID or a phone number; 0 is the phone itself.
    fn parse(&self, name: &str) -> Option<(String, u16)> {
        if let Ok(phone) = phone_number(name) {
            return Some((phone, 0));
        }
        let jid: Jid = name.parse().ok()?;
        match jid.server {
            Server::Pn => Some((jid.user.to_string(), jid.device)),
            Server::Lid => {
                let account = self
                    .state
                    .accounts
                    .values()
                    .find(|account| account.lid == jid.user.as_str())?;
                Some((account.phone.clone(), jid.device))
            }
            _ => None,
        }
    }
}

fn only_device(account: &Account) -> Result<u16, Error> {
    let mut ids = account.devices.keys();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(*id),
        _ => Err(Error::Ambiguous {
            phone: account.phone.clone(),
            count: account.devices.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(devices: &[(&str, u16)]) -> World {
        let mut world = World::new(State::new(0));
        for (phone, id) in devices {
            let account = world.account(phone, 0);
            let device = Device::for_test(*id);
            account.devices.insert(*id, device);
        }
        world
    }

    #[test]
    fn devices_go_by_jid_hidden_jid_and_lone_phone() {
        let world = world(&[("15550001001", 3), ("15550001002", 1), ("15550001002", 2)]);
        let jid = "15550001001:3@s.whatsapp.net";
        for name in [
            jid,
            "15550001001",
            "+15550001001",
            "100015550001001:3@lid",
            "15550001001@s.whatsapp.net",
        ] {
            let named = world.find(name).unwrap();
            assert_eq!(named.jid.as_deref(), Some(jid), "{name}");
            assert_eq!(named.device, Some(("15550001001".to_owned(), 3)));
        }
        assert!(matches!(
            world.find("15550001002"),
            Err(Error::Ambiguous { count: 2, .. })
        ));
        assert!(world.find("15550001002:2@s.whatsapp.net").is_ok());
        for name in [
            "",
            "#1",
            "#x",
            "15550001009",
            "15550001001:4@s.whatsapp.net",
            "x@g.us",
        ] {
            assert!(
                matches!(world.find(name), Err(Error::NoSuchDevice(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn unlinks_are_answered_by_the_closest_rule() {
        use UnlinkAnswer::{CloseSocket, Freeze, Ignore, Refuse, Result, ResultThenConflict};
        let (phone, jid) = ("15550001001", "15550001001:1@s.whatsapp.net");
        let mut world = world(&[(phone, 1)]);
        let some = |name: &str| Some(name.to_owned());
        let ask = |world: &mut World, connection| world.unlink_answer(connection, phone, jid);
        assert_eq!(ask(&mut world, 1), ResultThenConflict);
        world.set_unlink(some(phone), Ignore, None);
        world.set_unlink(some(jid), Result, None);
        world.set_unlink(some("#1"), CloseSocket, None);
        assert_eq!(ask(&mut world, 1), CloseSocket);
        assert_eq!(ask(&mut world, 2), Result);
        world.set_unlink(some("15550001002"), Refuse(500), Some(9));
        world.set_unlink(None, Freeze, Some(1));
        assert_eq!(ask(&mut world, 2), Freeze);
        assert_eq!(ask(&mut world, 2), Result);
        world.set_unlink(None, Ignore, None);
        assert_eq!(ask(&mut world, 1), Ignore);
    }

    #[test]
    fn a_connection_that_was_replaced_does_not_log_its_successor_out() {
        let mut world = world(&[("15550001001", 1)]);
        let (orders, _inbox) = mpsc::channel(1);
        let jid = "15550001001:1@s.whatsapp.net".to_owned();
        let (old, new) = (world.enter(orders.clone()).0, world.enter(orders).0);
        for id in [old, new] {
            world.links.get_mut(&id).unwrap().jid = Some(jid.clone());
            world.logins.insert(jid.clone(), id);
        }
        assert_eq!(world.leave(old), Some(jid.clone()));
        assert_eq!(world.logins.get(&jid), Some(&new));
        assert_eq!(world.leave(new), Some(jid.clone()));
        assert!(world.logins.is_empty());
    }
}
