//! What a message says, and how that is written in the protocol.

mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::crypto::base64_bytes;

pub(crate) use self::read::{Read, file_of, read, take_group_key, unwrapped};
pub(crate) use self::write::{Quoted, Write, set_direct_path, write};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// A file.
    Media {
        /// How it is shown.
        media: MediaKind,
        /// Its type, such as `image/png`.
        mime: String,
        /// A text with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        /// Its name, for a document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
        /// How many bytes it has. Filled in by the server.
        #[serde(default)]
        size: u64,
        /// The file, for a message that is to be said. Of one that was heard it is empty: see
        /// [`Command::Media`](crate::Command::Media).
        #[serde(default, with = "base64_bytes", skip_serializing_if = "Vec::is_empty")]
        bytes: Vec<u8>,
    },
    /// A place.
    Location {
        /// In degrees.
        latitude: f64,
        /// In degrees.
        longitude: f64,
        /// What it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A card of somebody.
    Contact {
        /// Whose.
        name: String,
        /// The card, as a vCard.
        vcard: String,
    },
    /// A question with answers to choose from.
    Poll {
        /// The question.
        question: String,
        /// The answers.
        options: Vec<String>,
        /// How many one may choose; 0: any number.
        #[serde(default)]
        selectable: u32,
    },
    /// A choice in a poll.
    Vote {
        /// The id of the poll.
        of: String,
        /// The answers; none takes the vote back.
        options: Vec<String>,
    },
    /// A reaction to a message.
    Reaction {
        /// The id of the message.
        to: String,
        /// The reaction; empty takes it back.
        emoji: String,
    },
    /// Another text for an earlier message.
    Edit {
        /// The id of the message.
        of: String,
        /// The new text.
        text: String,
    },
    /// An earlier message is taken back.
    Revoke {
        /// The id of the message.
        of: String,
    },
    /// Anything else.
    Other {
        /// The names of its parts, as the protocol has them.
        parts: String,
    },
}

impl Content {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text {
            text: text.to_owned(),
        }
    }

    /// A file.
    #[must_use]
    pub fn media(media: MediaKind, mime: &str, bytes: &[u8]) -> Self {
        Self::Media {
            media,
            mime: mime.to_owned(),
            caption: None,
            file_name: None,
            size: bytes.len() as u64,
            bytes: bytes.to_vec(),
        }
    }

    /// The kind in one word, which is no secret: `text`, `media`, `reaction`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Media { .. } => "media",
            Self::Location { .. } => "location",
            Self::Contact { .. } => "contact",
            Self::Poll { .. } => "poll",
            Self::Vote { .. } => "vote",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Revoke { .. } => "revoke",
            Self::Other { .. } => "other",
        }
    }

    /// The texts in it that people have written.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text { text } | Self::Edit { text, .. } => vec![text],
            Self::Media {
                caption, file_name, ..
            } => [caption, file_name]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            Self::Location { name, .. } => name.iter().map(String::as_str).collect(),
            Self::Contact { name, vcard } => vec![name, vcard],
            Self::Poll {
                question, options, ..
            } => std::iter::once(question)
                .chain(options)
                .map(String::as_str)
                .collect(),
            Self::Vote { options, .. } => options.iter().map(String::as_str).collect(),
            Self::Reaction { .. } | Self::Revoke { .. } | Self::Other { .. } => Vec::new(),
        }
    }

    /// The type of the stanza that carries it.
    pub(crate) fn stanza_type(&self) -> &'static str {
        match self {
            Self::Media { .. } | Self::Location { .. } | Self::Contact { .. } => "media",
            Self::Poll { .. } | Self::Vote { .. } => "poll",
            Self::Reaction { .. } => "reaction",
            _ => "text",
        }
    }

    /// The attribute `mediatype` of what is encrypted.
    pub(crate) fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Media { media, .. } => Some(match media {
                MediaKind::Image => "image",
                MediaKind::Video => "video",
                MediaKind::Audio => "audio",
                MediaKind::Voice => "ptt",
                MediaKind::Document => "document",
                MediaKind::Sticker => "sticker",
            }),
            Self::Location { .. } => Some("location"),
            Self::Contact { .. } => Some("vcard"),
            _ => None,
        }
    }

    /// The attribute `edit` of the stanza. `own`: the message that it is about is the speaker's.
    pub(crate) fn edit(&self, own: bool) -> Option<&'static str> {
        match self {
            Self::Edit { .. } => Some("1"),
            Self::Revoke { .. } if own => Some("7"),
            Self::Revoke { .. } => Some("8"),
            Self::Reaction { emoji, .. } if emoji.is_empty() => Some("7"),
            _ => None,
        }
    }

    /// The id of the message that it is about.
    pub(crate) fn about(&self) -> Option<&str> {
        match self {
            Self::Vote { of, .. } | Self::Edit { of, .. } | Self::Revoke { of } => Some(of),
            Self::Reaction { to, .. } => Some(to),
            _ => None,
        }
    }
}

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// A sound that was spoken just now.
    Voice,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// What the keys of such a file are derived for.
    pub(crate) fn purpose(self) -> &'static [u8] {
        match self {
            Self::Image | Self::Sticker => b"WhatsApp Image Keys",
            Self::Video => b"WhatsApp Video Keys",
            Self::Audio | Self::Voice => b"WhatsApp Audio Keys",
            Self::Document => b"WhatsApp Document Keys",
        }
    }
}

/// Where an encrypted file is, and what opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileReference {
    pub url: String,
    pub direct_path: String,
    pub key: Vec<u8>,
    pub sha256: Vec<u8>,
    pub sealed_sha256: Vec<u8>,
    pub size: u64,
}
