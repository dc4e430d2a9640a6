//! What somebody says on request, and what goes wrong with it.

use serde::{Deserialize, Serialize};

use crate::content::Content;

/// Something that a person says in a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    /// Who: a phone number.
    pub from: String,
    /// To whom: a phone number, or the JID of a group.
    pub to: String,
    /// What.
    pub content: Content,
    /// The id of the message that it replies to.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The phones of the people whom it mentions.
    #[serde(default)]
    pub mentions: Vec<String>,
    /// Its id. None: a new one.
    #[serde(default)]
    pub id: Option<String>,
    /// What goes wrong.
    #[serde(default)]
    pub trouble: Option<Trouble>,
}

impl Saying {
    /// `from` says `content` to `to`.
    #[must_use]
    pub fn new(from: &str, to: &str, content: Content) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            content,
            reply_to: None,
            mentions: Vec::new(),
            id: None,
            trouble: None,
        }
    }

    /// A text.
    #[must_use]
    pub fn text(from: &str, to: &str, text: &str) -> Self {
        Self::new(from, to, Content::text(text))
    }

    /// As a reply to the message of this id.
    #[must_use]
    pub fn replying_to(mut self, id: &str) -> Self {
        self.reply_to = Some(id.to_owned());
        self
    }

    /// Mentions these people.
    #[must_use]
    pub fn mentioning(mut self, phones: &[&str]) -> Self {
        self.mentions = phones.iter().map(|phone| (*phone).to_owned()).collect();
        self
    }

    /// With this id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// With something going wrong.
    #[must_use]
    pub fn with(mut self, trouble: Trouble) -> Self {
        self.trouble = Some(trouble);
        self
    }
}

/// What goes wrong with something that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Each device gets it twice, byte for byte.
    Twice,
    /// The first copies, so many, cannot be decrypted. What is sent when a device asks again counts as a copy.
    Spoiled(u32),
    /// In a group: the devices do not have the key it is encrypted with.
    NoGroupKey,
    /// The server has nothing for linked devices: only the phone can read it.
    Unavailable,
}

/// How far a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// It is on the reader's phone.
    Delivered,
    /// It was read.
    Read,
    /// It was played.
    Played,
}

impl Receipt {
    /// As the attribute `type` has it; a delivery has none.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Delivered => None,
            Self::Read => Some("read"),
            Self::Played => Some("played"),
        }
    }
}

/// What somebody is seen to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Typing {
    /// A text.
    Composing,
    /// A voice message.
    Recording,
    /// Nothing any more.
    Paused,
}
