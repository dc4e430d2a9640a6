//! Writes what a person says as the protocol has it.

use buffa::MessageField;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AudioMessage, ContactMessage, DocumentMessage, ExtendedTextMessage, ImageMessage,
    LocationMessage, PollCreationMessage, PollUpdateMessage, ProtocolMessage, ReactionMessage,
    StickerMessage, VideoMessage,
};
use waproto::whatsapp::{ContextInfo, Message, MessageContextInfo, MessageKey};

use super::{Content, FileReference, MediaKind};
use crate::crypto::random;
use crate::shared::now_milliseconds;
use crate::vote::SealedVote;

/// What has to be known to write a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// The message that it replies to.
    pub quoted: Option<Quoted>,
    /// The JIDs of the people mentioned.
    pub mentioned: Vec<String>,
    /// The message that it is about.
    pub key: Option<MessageKey>,
    pub file: Option<FileReference>,
    pub vote: Option<SealedVote>,
}

/// A message as a reply quotes it.
#[derive(Clone, Debug)]
pub(crate) struct Quoted {
    pub id: String,
    pub participant: String,
    pub message: Message,
}

/// The message in the protocol's form. None when something is missing that its kind needs.
pub(crate) fn write(content: &Content, with: Write) -> Option<Message> {
    let details = details(&with);
    let mut message = Message::default();
    match content {
        Content::Text { text } if details.is_set() => {
            message.extended_text_message = MessageField::some(ExtendedTextMessage {
                text: Some(text.clone()),
                context_info: details,
                ..ExtendedTextMessage::default()
            });
        }
        Content::Text { text } => message.conversation = Some(text.clone()),
        Content::Media { .. } => write_media(&mut message, content, with.file?, details)?,
        Content::Location {
            latitude,
            longitude,
            name,
        } => {
            message.location_message = MessageField::some(LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                context_info: details,
                ..LocationMessage::default()
            });
        }
        Content::Contact { name, vcard } => {
            message.contact_message = MessageField::some(ContactMessage {
                display_name: Some(name.clone()),
                vcard: Some(vcard.clone()),
                context_info: details,
                ..ContactMessage::default()
            });
        }
        Content::Poll {
            question,
            options,
            selectable,
        } => write_poll(&mut message, question, options, *selectable, details),
        Content::Vote { .. } => {
            message.poll_update_message = MessageField::some(PollUpdateMessage {
                poll_creation_message_key: field(with.key?),
                vote: field(with.vote?.into()),
                sender_timestamp_ms: i64::try_from(now_milliseconds()).ok(),
                ..PollUpdateMessage::default()
            });
        }
        Content::Reaction { emoji, .. } => {
            message.reaction_message = MessageField::some(ReactionMessage {
                key: field(with.key?),
                text: Some(emoji.clone()),
                sender_timestamp_ms: i64::try_from(now_milliseconds()).ok(),
                ..ReactionMessage::default()
            });
        }
        Content::Edit { text, .. } => {
            let edited = Message {
                conversation: Some(text.clone()),
                ..Message::default()
            };
            message.protocol_message = MessageField::some(ProtocolMessage {
                key: field(with.key?),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: field(edited),
                timestamp_ms: i64::try_from(now_milliseconds()).ok(),
                ..ProtocolMessage::default()
            });
        }
        Content::Revoke { .. } => {
            message.protocol_message = MessageField::some(ProtocolMessage {
                key: field(with.key?),
                r#type: Some(Type::REVOKE),
                ..ProtocolMessage::default()
            });
        }
        Content::Other { .. } => return None,
    }
    Some(message)
}

fn field<T: Default>(value: T) -> MessageField<T> {
    MessageField::some(value)
}

fn details(with: &Write) -> MessageField<ContextInfo> {
    if with.quoted.is_none() && with.mentioned.is_empty() {
        return MessageField::default();
    }
    let mut context = ContextInfo {
        mentioned_jid: with.mentioned.clone(),
        ..ContextInfo::default()
    };
    if let Some(quoted) = &with.quoted {
        context.stanza_id = Some(quoted.id.clone());
        context.participant = Some(quoted.participant.clone());
        context.quoted_message = field(quoted.message.clone());
    }
    field(context)
}

fn write_poll(
    message: &mut Message,
    question: &str,
    options: &[String],
    selectable: u32,
    details: MessageField<ContextInfo>,
) {
    let options = options.iter().map(|option| PollOption {
        option_name: Some(option.clone()),
        ..PollOption::default()
    });
    let poll = field(PollCreationMessage {
        name: Some(question.to_owned()),
        options: options.collect(),
        selectable_options_count: Some(selectable),
        context_info: details,
        ..PollCreationMessage::default()
    });
    if selectable == 1 {
        message.poll_creation_message_v3 = poll;
    } else {
        message.poll_creation_message = poll;
    }
    // Votes are encrypted with it.
    message.message_context_info = field(MessageContextInfo {
        message_secret: Some(random::<32>().to_vec()),
        ..MessageContextInfo::default()
    });
}

/// Fills the fields that all kinds of files have.
macro_rules! file_message {
    ($kind:ident, $file:ident, $mime:ident, $context:ident) => {
        $kind {
            url: Some($file.url),
            direct_path: Some($file.direct_path),
            media_key: Some($file.key),
            file_sha256: Some($file.sha256),
            file_enc_sha256: Some($file.sealed_sha256),
            file_length: Some($file.size),
            mimetype: Some($mime.clone()),
            media_key_timestamp: i64::try_from(now_milliseconds() / 1000).ok(),
            context_info: $context,
            ..$kind::default()
        }
    };
}

fn write_media(
    message: &mut Message,
    content: &Content,
    file: FileReference,
    details: MessageField<ContextInfo>,
) -> Option<()> {
    let Content::Media {
        media,
        mime,
        caption,
        file_name,
        ..
    } = content
    else {
        return None;
    };
    match media {
        MediaKind::Image => {
            let mut image = file_message!(ImageMessage, file, mime, details);
            image.caption.clone_from(caption);
            message.image_message = field(image);
        }
        MediaKind::Video => {
            let mut video = file_message!(VideoMessage, file, mime, details);
            video.caption.clone_from(caption);
            message.video_message = field(video);
        }
        MediaKind::Audio | MediaKind::Voice => {
            let mut audio = file_message!(AudioMessage, file, mime, details);
            audio.ptt = Some(*media == MediaKind::Voice);
            message.audio_message = field(audio);
        }
        MediaKind::Document => {
            let mut document = file_message!(DocumentMessage, file, mime, details);
            document.caption.clone_from(caption);
            document.file_name.clone_from(file_name);
            message.document_message = field(document);
        }
        MediaKind::Sticker => {
            message.sticker_message = field(file_message!(StickerMessage, file, mime, details));
        }
    }
    Some(())
}

/// Puts another path in a message that refers to a file.
pub(crate) fn set_direct_path(message: &mut Message, path: &str) {
    let paths = [
        message
            .image_message
            .as_option_mut()
            .map(|file| &mut file.direct_path),
        message
            .video_message
            .as_option_mut()
            .map(|file| &mut file.direct_path),
        message
            .audio_message
            .as_option_mut()
            .map(|file| &mut file.direct_path),
        message
            .document_message
            .as_option_mut()
            .map(|file| &mut file.direct_path),
        message
            .sticker_message
            .as_option_mut()
            .map(|file| &mut file.direct_path),
    ];
    for path_of in paths.into_iter().flatten() {
        *path_of = Some(path.to_owned());
    }
}
