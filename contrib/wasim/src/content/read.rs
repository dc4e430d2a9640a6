//! Reads what a message says.

use buffa::Message as _;
use wacore_binary::Jid;
use waproto::whatsapp::message::PollUpdateMessage;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::{ContextInfo, Message};

use super::{Content, FileReference, MediaKind};
use crate::person::phone_behind;

/// What was read in a message.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub content: Content,
    /// The id of the message that it replies to.
    pub reply_to: Option<String>,
    /// The phones of the people mentioned.
    pub mentions: Vec<String>,
    /// A vote, which can only be read with the poll.
    pub vote: Option<PollUpdateMessage>,
}

/// The key of a group that comes with a message.
pub(crate) fn take_group_key(message: &Message) -> Option<(String, Vec<u8>)> {
    let key = message.sender_key_distribution_message.as_option()?;
    let bytes = key.axolotl_sender_key_distribution_message.clone()?;
    Some((key.group_id.clone()?, bytes))
}

/// The message in the wrappers, of which there may be several.
pub(crate) fn unwrapped(message: &Message) -> &Message {
    let mut inner = message;
    for _ in 0..8 {
        let device_sent = inner.device_sent_message.as_option();
        let wrapped = [
            &inner.ephemeral_message,
            &inner.view_once_message,
            &inner.view_once_message_v2,
            &inner.document_with_caption_message,
            &inner.edited_message,
        ];
        let wrapped = wrapped
            .into_iter()
            .find_map(|wrapper| wrapper.as_option())
            .and_then(|wrapper| wrapper.message.as_option());
        let next = device_sent
            .and_then(|sent| sent.message.as_option())
            .or(wrapped);
        match next {
            Some(next) => inner = next,
            None => return inner,
        }
    }
    inner
}

/// What a message says. None when it says nothing, as one that only carries the key of a group.
pub(crate) fn read(message: &Message) -> Option<Read> {
    let message = unwrapped(message);
    let mut vote = None;
    let (content, details) = if let Some(text) = &message.conversation {
        (Content::text(text), None)
    } else if let Some(text) = message.extended_text_message.as_option() {
        let content = Content::text(text.text.as_deref().unwrap_or_default());
        (content, text.context_info.as_option())
    } else if let Some(found) = media(message) {
        found
    } else if let Some(place) = message.location_message.as_option() {
        let content = Content::Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: place.name.clone(),
        };
        (content, place.context_info.as_option())
    } else if let Some(card) = message.contact_message.as_option() {
        let content = Content::Contact {
            name: card.display_name.clone().unwrap_or_default(),
            vcard: card.vcard.clone().unwrap_or_default(),
        };
        (content, card.context_info.as_option())
    } else if let Some(found) = poll(message) {
        found
    } else if let Some(update) = message.poll_update_message.as_option() {
        vote = Some(update.clone());
        let of = update.poll_creation_message_key.id.clone();
        let content = Content::Vote {
            of: of.unwrap_or_default(),
            options: Vec::new(),
        };
        (content, None)
    } else if let Some(reaction) = message.reaction_message.as_option() {
        let content = Content::Reaction {
            to: reaction.key.id.clone().unwrap_or_default(),
            emoji: reaction.text.clone().unwrap_or_default(),
        };
        (content, None)
    } else {
        (about_a_message(message)?, None)
    };
    let quoted = details.and_then(|details| details.stanza_id.clone());
    Some(Read {
        content,
        reply_to: quoted,
        mentions: details.map(mentions).unwrap_or_default(),
        vote,
    })
}

fn mentions(context: &ContextInfo) -> Vec<String> {
    let jids = context.mentioned_jid.iter();
    jids.filter_map(|jid| phone_behind(&jid.parse::<Jid>().ok()?))
        .collect()
}

/// An edit, a revocation, or something else. None: nothing.
fn about_a_message(message: &Message) -> Option<Content> {
    if let Some(protocol) = message.protocol_message.as_option() {
        let of = protocol.key.id.clone().unwrap_or_default();
        match protocol.r#type {
            Some(Type::REVOKE) => return Some(Content::Revoke { of }),
            Some(Type::MESSAGE_EDIT) => {
                let text = protocol
                    .edited_message
                    .as_option()
                    .and_then(read)
                    .map(|read| read.content.texts().join(" "));
                return Some(Content::Edit {
                    of,
                    text: text.unwrap_or_default(),
                });
            }
            _ => {}
        }
    }
    let mut rest = message.clone();
    rest.sender_key_distribution_message.take();
    rest.message_context_info.take();
    let bytes = rest.encode_to_vec();
    if bytes.is_empty() {
        return None;
    }
    let parts = field_numbers(&bytes);
    Some(Content::Other {
        parts: parts
            .iter()
            .map(|number| format!("field {number}"))
            .collect::<Vec<String>>()
            .join(", "),
    })
}

/// The numbers of the fields of an encoded message, as far as it can be read.
fn field_numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(tag) = varint(&mut bytes) {
        let length = match tag & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut bytes),
            5 => Some(4),
            _ => None,
        };
        let length = length.and_then(|length| usize::try_from(length).ok());
        numbers.push(tag >> 3);
        let Some(rest) = length.and_then(|length| bytes.get(length..)) else {
            break;
        };
        bytes = rest;
    }
    numbers
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn poll(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    let forms = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ];
    let poll = forms.into_iter().find_map(|form| form.as_option())?;
    let options = poll.options.iter();
    let content = Content::Poll {
        question: poll.name.clone().unwrap_or_default(),
        options: options
            .filter_map(|option| option.option_name.clone())
            .collect(),
        selectable: poll.selectable_options_count.unwrap_or_default(),
    };
    Some((content, poll.context_info.as_option()))
}

fn media(message: &Message) -> Option<(Content, Option<&ContextInfo>)> {
    let (kind, file) = file(message)?;
    let (mime, caption, details) = match kind {
        MediaKind::Image => {
            let image = &message.image_message;
            (
                &image.mimetype,
                image.caption.clone(),
                image.context_info.as_option(),
            )
        }
        MediaKind::Video => {
            let video = &message.video_message;
            (
                &video.mimetype,
                video.caption.clone(),
                video.context_info.as_option(),
            )
        }
        MediaKind::Audio | MediaKind::Voice => {
            let audio = &message.audio_message;
            (&audio.mimetype, None, audio.context_info.as_option())
        }
        MediaKind::Document => {
            let document = &message.document_message;
            (
                &document.mimetype,
                document.caption.clone(),
                document.context_info.as_option(),
            )
        }
        MediaKind::Sticker => {
            let sticker = &message.sticker_message;
            (&sticker.mimetype, None, sticker.context_info.as_option())
        }
    };
    let content = Content::Media {
        media: kind,
        mime: mime.clone().unwrap_or_default(),
        caption,
        file_name: message.document_message.file_name.clone(),
        size: file.size,
        bytes: Vec::new(),
    };
    Some((content, details))
}

/// The parts of a message about a file that all kinds have.
macro_rules! reference {
    ($message:expr) => {
        $message.as_option().map(|file| FileReference {
            url: file.url.clone().unwrap_or_default(),
            direct_path: file.direct_path.clone().unwrap_or_default(),
            key: file.media_key.clone().unwrap_or_default(),
            sha256: file.file_sha256.clone().unwrap_or_default(),
            sealed_sha256: file.file_enc_sha256.clone().unwrap_or_default(),
            size: file.file_length.unwrap_or_default(),
        })
    };
}

/// The file that a message refers to, if it does.
pub(crate) fn file_of(message: &Message) -> Option<(MediaKind, FileReference)> {
    file(unwrapped(message))
}

fn file(message: &Message) -> Option<(MediaKind, FileReference)> {
    let sound = if message.audio_message.ptt == Some(true) {
        MediaKind::Voice
    } else {
        MediaKind::Audio
    };
    let files = [
        (MediaKind::Image, reference!(message.image_message)),
        (MediaKind::Video, reference!(message.video_message)),
        (sound, reference!(message.audio_message)),
        (MediaKind::Document, reference!(message.document_message)),
        (MediaKind::Sticker, reference!(message.sticker_message)),
    ];
    files
        .into_iter()
        .find_map(|(kind, file)| Some((kind, file?)))
}

#[cfg(test)]
mod tests {
    use super::super::{Write, write};
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let contents = [
            Content::text("text"),
            Content::Location {
                latitude: 52.5,
                longitude: -13.25,
                name: Some("here".to_owned()),
            },
            Content::Contact {
                name: "Ben".to_owned(),
                vcard: "BEGIN:VCARD".to_owned(),
            },
            Content::Poll {
                question: "when".to_owned(),
                options: vec!["now".to_owned(), "later".to_owned()],
                selectable: 1,
            },
            Content::Poll {
                question: "what".to_owned(),
                options: vec!["this".to_owned(), "that".to_owned()],
                selectable: 0,
            },
        ];
        for content in contents {
            let message = write(&content, Write::default()).unwrap();
            assert_eq!(read(&message).unwrap().content, content);
        }
    }

    #[test]
    fn every_kind_of_file_is_read_again() {
        for media in [
            MediaKind::Image,
            MediaKind::Video,
            MediaKind::Audio,
            MediaKind::Voice,
            MediaKind::Document,
            MediaKind::Sticker,
        ] {
            let content = Content::media(media, "a/b", b"bytes");
            let file = FileReference {
                direct_path: "/v/1".to_owned(),
                size: 5,
                ..FileReference::default()
            };
            let with = Write {
                file: Some(file.clone()),
                ..Write::default()
            };
            let message = write(&content, with).unwrap();
            assert_eq!(file_of(&message), Some((media, file)));
            let Content::Media {
                media: kind,
                mime,
                bytes,
                ..
            } = read(&message).unwrap().content
            else {
                panic!("another kind");
            };
            assert_eq!((kind, mime.as_str(), bytes.len()), (media, "a/b", 0));
        }
    }

    #[test]
    fn a_message_with_nothing_but_a_key_says_nothing() {
        assert!(read(&Message::default()).is_none());
        let mut message = Message::default();
        message.call = buffa::MessageField::some(waproto::whatsapp::message::Call::default());
        message.conversation = None;
        let other = read(&message).unwrap().content;
        assert_eq!(
            other,
            Content::Other {
                parts: "field 10".to_owned()
            }
        );
    }
}
