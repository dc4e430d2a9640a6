//! What was said and heard, in order.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::content::Content;
use crate::shared::now_milliseconds;

/// How many messages a server remembers.
const KEPT: usize = 131_072;

/// A message, as the people in its chat have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Its number; the first message of a server has 0.
    pub position: u64,
    /// When it came, in milliseconds since 1970.
    pub at: u64,
    /// Its id.
    pub id: String,
    /// The phone of whoever wrote it.
    pub from: String,
    /// The phone it was written to, or the JID of a group.
    pub to: String,
    /// The device that it came from (JID). None: the phone itself.
    pub device: Option<String>,
    /// What it says. Empty for a message that nobody could read yet.
    pub content: Option<Content>,
    /// The id of the message that it replies to.
    pub reply_to: Option<String>,
    /// The phones of the people mentioned.
    pub mentions: Vec<String>,
    /// The phones that could read it, in the order in which they did.
    pub readers: Vec<String>,
    /// How often the device has sent it without being asked to. More than 1 is a repetition, which people see once.
    pub copies: u32,
    /// How often it was sent again because somebody who could not read it had asked.
    pub resent: u32,
}

/// A message with what is needed to send it again.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub message: ChatMessage,
    /// Encoded, as a phone encrypts it.
    pub plain: Vec<u8>,
    /// How many of the next copies nobody can read.
    pub spoil: u32,
    /// Whether the server has it for phones only.
    pub unavailable: bool,
    /// How many people wait for it to be sent again.
    pub asked: u32,
    taken: bool,
}

/// The messages of a server.
#[derive(Debug)]
pub(crate) struct Conversations {
    /// How many are remembered.
    capacity: usize,
    entries: VecDeque<Entry>,
    next: u64,
    by_id: HashMap<String, Vec<u64>>,
    changed: watch::Sender<u64>,
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            capacity: KEPT,
            entries: VecDeque::new(),
            next: 0,
            by_id: HashMap::new(),
            changed: watch::Sender::new(0),
        }
    }
}

/// A message that is new.
pub(crate) struct News {
    pub id: String,
    pub from: String,
    pub to: String,
    pub device: Option<String>,
    pub plain: Vec<u8>,
    pub spoil: u32,
    pub unavailable: bool,
}

impl Conversations {
    /// Adds a message. Returns its position.
    pub(crate) fn add(&mut self, news: News) -> u64 {
        if self.entries.len() == self.capacity {
            self.forget_oldest();
        }
        let position = self.next;
        self.next += 1;
        self.by_id
            .entry(news.id.clone())
            .or_default()
            .push(position);
        self.entries.push_back(Entry {
            message: ChatMessage {
                position,
                at: now_milliseconds(),
                id: news.id,
                from: news.from,
                to: news.to,
                device: news.device,
                content: None,
                reply_to: None,
                mentions: Vec::new(),
                readers: Vec::new(),
                copies: 1,
                resent: 0,
            },
            plain: news.plain,
            spoil: news.spoil,
            unavailable: news.unavailable,
            asked: 0,
            taken: false,
        });
        position
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else {
            return;
        };
        if let Some(positions) = self.by_id.get_mut(&oldest.message.id) {
            positions.retain(|position| *position != oldest.message.position);
            if positions.is_empty() {
                self.by_id.remove(&oldest.message.id);
            }
        }
    }

    /// Wakes whoever waits for a message.
    pub(crate) fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get_mut(&mut self, position: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.message.position;
        let place = usize::try_from(position.checked_sub(first)?).ok()?;
        self.entries.get_mut(place)
    }

    /// The latest message of this id that fits.
    pub(crate) fn find(
        &mut self,
        id: &str,
        fits: impl Fn(&ChatMessage) -> bool,
    ) -> Option<&mut Entry> {
        let positions = self.by_id.get(id)?.clone();
        let position = positions.into_iter().rev().find(|position| {
            self.get_mut(*position)
                .is_some_and(|entry| fits(&entry.message))
        })?;
        self.get_mut(position)
    }

    /// The earliest fitting message that nobody has taken yet.
    pub(crate) fn take(&mut self, fits: impl Fn(&ChatMessage) -> bool) -> Option<ChatMessage> {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| !entry.taken && fits(&entry.message))?;
        entry.taken = true;
        Some(entry.message.clone())
    }

    /// The messages that fit from a position on.
    pub(crate) fn since(
        &self,
        position: u64,
        fits: impl Fn(&ChatMessage) -> bool,
    ) -> (u64, Vec<ChatMessage>) {
        let fitting = self
            .entries
            .iter()
            .map(|entry| &entry.message)
            .filter(|message| message.position >= position && fits(message));
        (self.next, fitting.cloned().collect())
    }

    /// Everything that people have written.
    pub(crate) fn texts(&self) -> Vec<String> {
        let contents = self
            .entries
            .iter()
            .filter_map(|entry| entry.message.content.as_ref());
        contents
            .flat_map(|content| content.texts().into_iter().map(str::to_owned))
            .filter(|text| !text.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(id: &str, from: &str) -> News {
        News {
            id: id.to_owned(),
            from: from.to_owned(),
            to: "15550001001".to_owned(),
            device: None,
            plain: Vec::new(),
            spoil: 0,
            unavailable: false,
        }
    }

    #[test]
    fn messages_are_found_by_id_and_by_whose_they_are() {
        let mut conversations = Conversations::default();
        for (id, from) in [("A", "15559990001"), ("A", "15559990002"), ("B", "x")] {
            conversations.add(news(id, from));
        }
        let from = |phone: &'static str| move |message: &ChatMessage| message.from == phone;
        let found = conversations.find("A", from("15559990001")).unwrap();
        assert_eq!(found.message.position, 0);
        let found = conversations.find("A", |_| true).unwrap();
        assert_eq!(found.message.position, 1);
        assert!(conversations.find("A", from("x")).is_none());
        let (next, since) = conversations.since(1, |_| true);
        assert_eq!((next, since.len(), since[0].position), (3, 2, 1));
    }

    #[test]
    fn each_message_is_taken_once() {
        let mut conversations = Conversations::default();
        for id in ["A", "B"] {
            conversations.add(news(id, "15559990001"));
        }
        assert_eq!(
            conversations.take(|message| message.id == "B").unwrap().id,
            "B"
        );
        assert_eq!(conversations.take(|_| true).unwrap().id, "A");
        assert!(conversations.take(|_| true).is_none());
    }

    #[test]
    fn the_oldest_are_forgotten_and_their_ids_with_them() {
        let mut conversations = Conversations {
            capacity: 3,
            ..Conversations::default()
        };
        for number in 0..5 {
            conversations.add(news(&number.to_string(), "x"));
        }
        assert!(conversations.find("1", |_| true).is_none());
        assert!(conversations.find("2", |_| true).is_some());
        assert_eq!(conversations.by_id.len(), 3);
    }
}
