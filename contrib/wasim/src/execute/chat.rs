//! Commands about conversations: what people say, show and do.

use buffa::Message as _;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{Message, MessageKey};

use crate::Error;
use crate::command::{Answer, Command};
use crate::content::{Content, FileReference, Quoted, Write, file_of, read, write};
use crate::conversation::{ChatMessage, News};
use crate::crypto::{Key, message_id};
use crate::media::{open, seal};
use crate::order::{Order, Then, Work};
use crate::party::Address;
use crate::person::{Addressing, Chat, person};
use crate::saying::{Receipt, Saying, Trouble, Typing};
use crate::shared::{Shared, now};
use crate::speech::{Draft, group_jid};
use crate::vote::{Ballot, SealedVote};
use crate::world::World;

impl Shared {
    pub(super) fn execute_in_chat(&self, command: Command) -> Result<Answer, Error> {
        let answer = match command {
            Command::Say { saying } => self.say(saying),
            Command::Messages { after, chat, id } => {
                self.messages(after, chat.as_deref(), id.as_deref())
            }
            Command::Media { id } => self.media(&id),
            Command::LoseMedia {
                id,
                status,
                for_good,
            } => self.lose_media(&id, status, for_good),
            Command::RenewMediaAuth => {
                self.world().media.renew_auth();
                Ok(Answer::Done)
            }
            Command::SendReceipt { from, ids, receipt } => self.send_receipt(&from, &ids, receipt),
            Command::AskAgain { from, id } => self.ask_again(&from, &id),
            Command::Typing { from, to, typing } => self.typing(&from, &to, typing),
            Command::PersonPresence {
                from,
                to,
                available,
            } => self.person_presence(&from, &to, available),
            Command::Mailbox { device } => self.mailbox(&device),
            other => Err(Error::Invalid(format!("{other:?} is not about a chat"))),
        };
        self.persist_soon();
        answer
    }

    fn say(&self, saying: Saying) -> Result<Answer, Error> {
        let from = person(&saying.from)?;
        let chat = Chat::read(&saying.to)?;
        let file = match &saying.content {
            // Files are encrypted without holding anybody up.
            Content::Media { media, bytes, .. } => Some(seal(*media, bytes)),
            _ => None,
        };
        let mut world = self.world();
        if let Chat::Group(group) = &chat
            && world.accounts_in(group).is_empty()
        {
            return Err(Error::Invalid(format!("nobody is in the group {group}")));
        }
        let file = file.map(|(sealed, reference)| {
            let direct_path = world.media.put(sealed);
            if let Some(key) = Key::from_slice(&reference.key) {
                world.keep_secret(&key);
            }
            FileReference {
                url: self.media_url(&direct_path),
                direct_path,
                ..reference
            }
        });
        let id = saying.id.clone().unwrap_or_else(message_id);
        let with = world.gather(&saying, &from, &chat, file)?;
        let about_own = with
            .key
            .as_ref()
            .is_none_or(|key| key.from_me == Some(true));
        let message = write(&saying.content, with)
            .ok_or_else(|| Error::Invalid(format!("{} cannot be said", saying.content.kind())))?;
        let mut draft = Draft {
            id: id.clone(),
            from,
            chat,
            content: saying.content,
            about_own,
            plain: message.encode_to_vec(),
            trouble: saying.trouble,
        };
        world.enter_message(&mut draft, &saying.mentions, saying.reply_to);
        world.speak(&draft);
        world.conversations.announce();
        Ok(Answer::Said { id })
    }

    fn messages(&self, after: u64, chat: Option<&str>, id: Option<&str>) -> Result<Answer, Error> {
        let chat = chat.map(Chat::read).transpose()?;
        let in_chat = |message: &ChatMessage| {
            let name = chat.as_ref().map(Chat::name);
            name.is_none_or(|name| message.to == name || message.from == name)
        };
        let (next, messages) = self.world().conversations.since(after, |message| {
            in_chat(message) && id.is_none_or(|id| message.id == id)
        });
        Ok(Answer::Messages { next, messages })
    }

    fn media(&self, id: &str) -> Result<Answer, Error> {
        let (kind, file, sealed) = {
            let mut world = self.world();
            let entry = world.conversations.find(id, |_| true);
            let plain = entry.map(|entry| entry.plain.clone());
            let plain = plain.ok_or_else(|| Error::NoSuchMessage(id.to_owned()))?;
            let message = Message::decode_from_slice(&plain).unwrap_or_default();
            let (kind, file) = file_of(&message).ok_or_else(|| bad_media(id, "it has none"))?;
            let sealed = world.media.get(&file.direct_path);
            (kind, file, sealed)
        };
        let sealed = sealed.map_err(|status| bad_media(id, &format!("HTTP {status}")))?;
        let bytes = open(kind, &file, &sealed).map_err(|problem| bad_media(id, problem))?;
        Ok(Answer::Media { bytes })
    }

    fn lose_media(&self, id: &str, status: u16, for_good: bool) -> Result<Answer, Error> {
        let mut world = self.world();
        let entry = world.conversations.find(id, |_| true);
        let plain = entry.map(|entry| entry.plain.clone());
        let plain = plain.ok_or_else(|| Error::NoSuchMessage(id.to_owned()))?;
        let message = Message::decode_from_slice(&plain).unwrap_or_default();
        let (_, file) = file_of(&message).ok_or_else(|| bad_media(id, "it has none"))?;
        if !world.media.lose(&file.direct_path, status, for_good) {
            return Err(bad_media(id, "the server does not have it"));
        }
        Ok(Answer::Done)
    }

    fn send_receipt(&self, from: &str, ids: &[String], receipt: Receipt) -> Result<Answer, Error> {
        let from = person(from)?;
        let mut world = self.world();
        for id in ids {
            let (device, chat) = world.author(id, &from)?;
            world.thank(&from, &device, &chat, std::slice::from_ref(id), receipt);
        }
        Ok(Answer::Done)
    }

    fn ask_again(&self, from: &str, id: &str) -> Result<Answer, Error> {
        let from = person(from)?;
        let mut world = self.world();
        let (device, chat) = world.author(id, &from)?;
        world.party(&from).forget(&device);
        world.ask_again(&from, &device, &chat, id, 1);
        Ok(Answer::Done)
    }

    fn typing(&self, from: &str, to: &str, typing: Typing) -> Result<Answer, Error> {
        let (from, chat) = (person(from)?, Chat::read(to)?);
        let state = match typing {
            Typing::Composing => NodeBuilder::new("composing"),
            Typing::Recording => NodeBuilder::new("composing").attr("media", "audio"),
            Typing::Paused => NodeBuilder::new("paused"),
        };
        let state = state.build();
        let accounts = match &chat {
            Chat::Person(phone) => vec![phone.clone()],
            Chat::Group(group) => self.world().accounts_in(group),
        };
        for account in accounts.iter().filter(|account| **account != from) {
            let jid = self.world().addressing(account, &chat).jid(&from, 0);
            let stanza = NodeBuilder::new("chatstate");
            let stanza = match &chat {
                Chat::Group(group) => stanza
                    .attr("from", group_jid(group))
                    .attr("participant", jid),
                Chat::Person(_) => stanza.attr("from", jid),
            };
            self.show(account, &stanza.children([state.clone()]).build());
        }
        Ok(Answer::Done)
    }

    fn person_presence(&self, from: &str, to: &str, available: bool) -> Result<Answer, Error> {
        let (from, to) = (person(from)?, person(to)?);
        let jid = self
            .world()
            .addressing(&to, &Chat::Person(from.clone()))
            .jid(&from, 0);
        let mut stanza = NodeBuilder::new("presence").attr("from", jid);
        if !available {
            stanza = stanza.attr("type", "unavailable").attr("last", now());
        }
        self.show(&to, &stanza.build());
        Ok(Answer::Done)
    }

    /// Shows something to the connected devices of a phone. It does not wait for those that are away.
    fn show(&self, phone: &str, stanza: &Node) {
        let world = self.world();
        for device in world.devices_of(phone) {
            let jid = world.device_jid(&device);
            let connection = jid.and_then(|jid| world.logins.get(&jid));
            let Some(link) = connection.and_then(|connection| world.links.get(connection)) else {
                continue;
            };
            // One that does not keep up misses it.
            let _ = link.orders.try_send(Order {
                work: Work::Send {
                    nodes: vec![stanza.clone()],
                    then: Then::GoOn,
                },
                done: tokio::sync::oneshot::channel().0,
            });
        }
    }

    fn mailbox(&self, device: &str) -> Result<Answer, Error> {
        let world = self.world();
        let jid = world.find(device)?.jid;
        let jid = jid.ok_or_else(|| Error::NoSuchDevice(device.to_owned()))?;
        let waiting = world.state.mailboxes.get(&jid);
        let waiting = waiting.map(crate::mailbox::Mailbox::waiting);
        let waiting = waiting.unwrap_or_default();
        Ok(Answer::Mailbox {
            messages: waiting.messages,
            receipts: waiting.receipts,
            notifications: waiting.notifications,
        })
    }
}

fn bad_media(id: &str, problem: &str) -> Error {
    Error::BadMedia {
        id: id.to_owned(),
        problem: problem.to_owned(),
    }
}

impl World {
    /// Gathers what a message refers to.
    fn gather(
        &mut self,
        saying: &Saying,
        from: &str,
        chat: &Chat,
        file: Option<FileReference>,
    ) -> Result<Write, Error> {
        let addressing = self.addressing_between(from, chat);
        let in_chat = |message: &ChatMessage| match chat {
            Chat::Group(group) => message.to == *group,
            Chat::Person(phone) => {
                let ends = [message.from.as_str(), message.to.as_str()];
                ends.contains(&phone.as_str()) && ends.contains(&from)
            }
        };
        let mut known = |id: &str| {
            let entry = self.conversations.find(id, in_chat);
            let entry = entry.map(|entry| (entry.message.from.clone(), entry.plain.clone()));
            entry.ok_or_else(|| Error::NoSuchMessage(id.to_owned()))
        };
        let quoted = match &saying.reply_to {
            Some(id) => {
                let (author, plain) = known(id)?;
                Some(Quoted {
                    id: id.clone(),
                    participant: addressing.jid(&author, 0).to_string(),
                    message: Message::decode_from_slice(&plain).unwrap_or_default(),
                })
            }
            None => None,
        };
        let target = match saying.content.about() {
            Some(id) => Some((id.to_owned(), known(id)?)),
            None => None,
        };
        let key = target.as_ref().map(|(id, (author, _))| MessageKey {
            remote_jid: Some(match chat {
                Chat::Group(group) => group.clone(),
                Chat::Person(phone) => addressing.jid(phone, 0).to_string(),
            }),
            from_me: Some(author == from),
            id: Some(id.clone()),
            participant: matches!(chat, Chat::Group(_))
                .then(|| addressing.jid(author, 0).to_string()),
        });
        let mentioned: Result<Vec<String>, Error> = saying
            .mentions
            .iter()
            .map(|phone| Ok(addressing.jid(&person(phone)?, 0).to_string()))
            .collect();
        let vote = match (&saying.content, &target) {
            (Content::Vote { options, .. }, Some((id, (author, plain)))) => {
                Some(seal_vote(options, id, author, from, plain, addressing)?)
            }
            _ => None,
        };
        Ok(Write {
            quoted,
            mentioned: mentioned?,
            key,
            file,
            vote,
        })
    }

    /// How people are named in what is said in a chat: as the account in it has it.
    fn addressing_between(&self, from: &str, chat: &Chat) -> Addressing {
        match chat {
            Chat::Person(phone) => {
                let is_account = self.state.accounts.contains_key(phone);
                self.addressing(if is_account { phone } else { from }, chat)
            }
            Chat::Group(group) => {
                let account = self.accounts_in(group).into_iter().next();
                self.addressing(&account.unwrap_or_default(), chat)
            }
        }
    }

    /// Enters what somebody says in the conversations.
    fn enter_message(&mut self, draft: &mut Draft, mentions: &[String], reply_to: Option<String>) {
        let spoil = match draft.trouble {
            Some(Trouble::Spoiled(times)) => times.saturating_sub(1),
            _ => 0,
        };
        let position = self.conversations.add(News {
            id: draft.id.clone(),
            from: draft.from.clone(),
            to: draft.chat.name().to_owned(),
            device: None,
            plain: draft.plain.clone(),
            spoil,
            unavailable: draft.trouble == Some(Trouble::Unavailable),
        });
        // Without the file itself.
        let message = Message::decode_from_slice(&draft.plain).unwrap_or_default();
        let content = match &draft.content {
            Content::Media { .. } => read(&message).map(|read| read.content),
            other => Some(other.clone()),
        };
        if let Some(entry) = self.conversations.get_mut(position) {
            entry.message.content = content;
            entry.message.mentions = mentions.to_vec();
            entry.message.reply_to = reply_to;
            entry.message.readers.push(draft.from.clone());
        }
    }

    /// The device that wrote a message, and the chat, for somebody in it.
    fn author(&mut self, id: &str, reader: &str) -> Result<(Address, Chat), Error> {
        let none = || Error::NoSuchMessage(id.to_owned());
        let found = self.conversations.find(id, |message| {
            message.device.is_some() && (message.to == reader || message.to.ends_with("@g.us"))
        });
        let message = found.map(|entry| entry.message.clone()).ok_or_else(none)?;
        let jid = message.device.ok_or_else(none)?;
        let (phone, device) = self.find(&jid)?.device.ok_or_else(none)?;
        Ok((Address { phone, device }, Chat::read(&message.to)?))
    }
}

/// A vote in a poll, whose secret comes with it.
fn seal_vote(
    options: &[String],
    poll: &str,
    creator: &str,
    voter: &str,
    plain: &[u8],
    addressing: Addressing,
) -> Result<SealedVote, Error> {
    let message = Message::decode_from_slice(plain).unwrap_or_default();
    let secret = message.message_context_info.message_secret.clone();
    let secret = secret.ok_or_else(|| Error::Invalid(format!("{poll} is no poll")))?;
    let [creator, voter] = [creator, voter].map(|phone| addressing.jid(phone, 0).to_string());
    let ballot = Ballot {
        secret: &secret,
        poll,
        creator: &creator,
        voter: &voter,
    };
    Ok(ballot.seal(options))
}
