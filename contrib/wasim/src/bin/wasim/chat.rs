//! Commands about conversations: what people say, show and do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wasim::{Addressing, Command, Content, MediaKind, Receipt, Saying, Trouble, Typing};

use crate::verbs::argument;

/// What people do.
#[derive(Debug, Subcommand)]
pub(crate) enum ChatVerb {
    /// Let somebody say something; prints the id of the message
    ///
    /// A contact to an account, an account's own phone to a contact, or either in a group.
    Say {
        /// The phone number of whoever says it
        from: String,
        /// To whom: a phone number, or the JID of a group
        to: String,
        /// The text, the caption of a file, the question of a poll, or - to read it from standard input
        #[arg(default_value = "")]
        text: String,
        #[command(flatten)]
        what: Box<What>,
        #[command(flatten)]
        how: Box<How>,
    },
    /// List messages that were said and heard, a JSON object a line
    Messages {
        /// Only those in the chat with this person (phone number) or in this group (JID)
        #[arg(long, value_name = "PHONE|GROUP")]
        chat: Option<String>,
        /// Only those with this id
        #[arg(long)]
        id: Option<String>,
        /// From this position on
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
    },
    /// Write the file of a message to standard output, fetched and opened as its reader does
    Media {
        /// The id of the message
        id: String,
    },
    /// Let the servers lose the file of a message
    LoseMedia {
        /// The id of the message
        id: String,
        /// What whoever fetches it is told
        #[arg(long, default_value_t = 410)]
        status: u16,
        /// The phone loses it, too
        #[arg(long)]
        for_good: bool,
    },
    /// Refuse uploads (401) until the client has asked for another permission
    RenewMediaAuth,
    /// Let somebody tell the devices that wrote messages how far these have got
    Receipt {
        /// The phone number of whoever tells it
        from: String,
        /// delivered, read or played
        #[arg(value_parser = receipt)]
        receipt: Receipt,
        /// The ids of the messages
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Let somebody lose the session with a device, and ask for one of its messages again
    AskAgain {
        /// The phone number of whoever asks
        from: String,
        /// The id of the message
        id: String,
    },
    /// Let somebody be seen to write
    Typing {
        /// The phone number of whoever writes
        from: String,
        /// To whom: a phone number, or the JID of a group
        to: String,
        /// composing, recording or paused
        #[arg(value_parser = typing, default_value = "composing")]
        typing: Typing,
    },
    /// Let somebody be there, or go
    Presence {
        /// The person's phone number
        from: String,
        /// Whose devices are told: a phone number
        to: String,
        /// available or unavailable
        #[arg(value_parser = available, action = clap::ArgAction::Set)]
        available: bool,
    },
    /// Count what waits for a device until it has acknowledged it
    Mailbox {
        /// A device's JID, the number of a phone with one device, or #N for a connection
        #[arg(value_name = "JID")]
        device: String,
    },
    /// How people in an account's direct chats are named on the wire
    Addressing {
        /// The phone's number
        phone: String,
        /// pn or lid
        #[arg(value_parser = addressing)]
        addressing: Addressing,
    },
}

/// What is said, if not a text.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct What {
    /// Send a picture
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Send a film
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Send a voice message
    #[arg(long, value_name = "FILE")]
    voice: Option<PathBuf>,
    /// Send any file
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Send a place
    #[arg(long, value_name = "LATITUDE,LONGITUDE", allow_hyphen_values = true)]
    location: Option<String>,
    /// Send somebody's card
    #[arg(long, value_name = "VCARD")]
    contact: Option<String>,
    /// Ask for one of these answers
    #[arg(long, value_name = "ANSWER", num_args = 2..)]
    poll: Vec<String>,
    /// Vote in the poll of this id for the answer in the text
    #[arg(long, value_name = "ID")]
    vote: Option<String>,
    /// React to the message of this id with the text; without a text, take it back
    #[arg(long, value_name = "ID")]
    react: Option<String>,
    /// Replace the text of the message of this id
    #[arg(long, value_name = "ID")]
    edit: Option<String>,
    /// Take the message of this id back
    #[arg(long, value_name = "ID")]
    revoke: Option<String>,
}

/// How it is said.
#[derive(Args, Debug)]
pub(crate) struct How {
    /// As a reply to the message of this id
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Mention this person
    #[arg(long, value_name = "PHONE")]
    mention: Vec<String>,
    /// With this id
    #[arg(long)]
    id: Option<String>,
    /// What goes wrong: twice, spoiled, spoiled=TIMES, no-group-key or unavailable
    #[arg(long, value_parser = trouble)]
    trouble: Option<Trouble>,
}

impl ChatVerb {
    pub(crate) fn command(self) -> Result<Command, String> {
        Ok(match self {
            Self::Say {
                from,
                to,
                text,
                what,
                how,
            } => Command::Say {
                saying: how.saying(&from, &to, what.content(argument(text)?)?),
            },
            Self::Messages { chat, id, after } => Command::Messages { after, chat, id },
            Self::Media { id } => Command::Media { id },
            Self::LoseMedia {
                id,
                status,
                for_good,
            } => Command::LoseMedia {
                id,
                status,
                for_good,
            },
            Self::RenewMediaAuth => Command::RenewMediaAuth,
            Self::Receipt { from, receipt, ids } => Command::SendReceipt { from, ids, receipt },
            Self::AskAgain { from, id } => Command::AskAgain { from, id },
            Self::Typing { from, to, typing } => Command::Typing { from, to, typing },
            Self::Presence {
                from,
                to,
                available,
            } => Command::PersonPresence {
                from,
                to,
                available,
            },
            Self::Mailbox { device } => Command::Mailbox { device },
            Self::Addressing { phone, addressing } => Command::SetAddressing { phone, addressing },
        })
    }
}

impl How {
    fn saying(self, from: &str, to: &str, content: Content) -> Saying {
        let mut saying = Saying::new(from, to, content);
        saying.reply_to = self.reply_to;
        saying.mentions = self.mention;
        saying.id = self.id;
        saying.trouble = self.trouble;
        saying
    }
}

impl What {
    fn content(self, text: String) -> Result<Content, String> {
        let files = [
            (self.image, MediaKind::Image, "image/jpeg"),
            (self.video, MediaKind::Video, "video/mp4"),
            (self.voice, MediaKind::Voice, "audio/ogg; codecs=opus"),
            (
                self.document,
                MediaKind::Document,
                "application/octet-stream",
            ),
        ];
        let file = files
            .into_iter()
            .find_map(|(path, kind, mime)| Some((path?, kind, mime)));
        if let Some((path, kind, mime)) = file {
            return file_content(&path, kind, mime, text);
        }
        if let Some(place) = self.location {
            return location(&place, text);
        }
        if let Some(vcard) = self.contact {
            return Ok(Content::Contact { name: text, vcard });
        }
        if !self.poll.is_empty() {
            return Ok(Content::Poll {
                question: text,
                options: self.poll,
                selectable: 1,
            });
        }
        if let Some(of) = self.vote {
            let options = vec![text].into_iter().filter(|text| !text.is_empty());
            return Ok(Content::Vote {
                of,
                options: options.collect(),
            });
        }
        if let Some(to) = self.react {
            return Ok(Content::Reaction { to, emoji: text });
        }
        if let Some(of) = self.edit {
            return Ok(Content::Edit { of, text });
        }
        if let Some(of) = self.revoke {
            return Ok(Content::Revoke { of });
        }
        if text.is_empty() {
            return Err("nothing to say: give a text, or see `wasim say --help`".to_owned());
        }
        Ok(Content::Text { text })
    }
}

fn file_content(
    path: &std::path::Path,
    media: MediaKind,
    mime: &str,
    text: String,
) -> Result<Content, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Content::Media {
        media,
        mime: mime.to_owned(),
        caption: Some(text).filter(|text| !text.is_empty()),
        file_name: name.filter(|_| media == MediaKind::Document),
        size: bytes.len() as u64,
        bytes,
    })
}

fn location(place: &str, text: String) -> Result<Content, String> {
    let degrees = || {
        let (latitude, longitude) = place.split_once(',')?;
        Some((latitude.parse().ok()?, longitude.parse().ok()?))
    };
    let (latitude, longitude) =
        degrees().ok_or("a place is two numbers, such as 52.5,13.4".to_owned())?;
    Ok(Content::Location {
        latitude,
        longitude,
        name: Some(text).filter(|text| !text.is_empty()),
    })
}

fn trouble(text: &str) -> Result<Trouble, String> {
    match text {
        "twice" => Ok(Trouble::Twice),
        "spoiled" => Ok(Trouble::Spoiled(1)),
        "no-group-key" => Ok(Trouble::NoGroupKey),
        "unavailable" => Ok(Trouble::Unavailable),
        other => other
            .strip_prefix("spoiled=")
            .and_then(|times| times.parse().ok())
            .map(Trouble::Spoiled)
            .ok_or_else(|| "twice, spoiled, spoiled=TIMES, no-group-key or unavailable".to_owned()),
    }
}

fn receipt(text: &str) -> Result<Receipt, String> {
    match text {
        "delivered" => Ok(Receipt::Delivered),
        "read" => Ok(Receipt::Read),
        "played" => Ok(Receipt::Played),
        _ => Err("delivered, read or played".to_owned()),
    }
}

fn typing(text: &str) -> Result<Typing, String> {
    match text {
        "composing" => Ok(Typing::Composing),
        "recording" => Ok(Typing::Recording),
        "paused" => Ok(Typing::Paused),
        _ => Err("composing, recording or paused".to_owned()),
    }
}

fn available(text: &str) -> Result<bool, String> {
    match text {
        "available" => Ok(true),
        "unavailable" => Ok(false),
        _ => Err("available or unavailable".to_owned()),
    }
}

fn addressing(text: &str) -> Result<Addressing, String> {
    match text {
        "pn" => Ok(Addressing::Pn),
        "lid" => Ok(Addressing::Lid),
        _ => Err("pn or lid".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Verb};

    fn said(words: &[&str]) -> Result<Saying, String> {
        let words = ["wasim", "say", "15559990001", "15550001001"]
            .iter()
            .chain(words);
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        let Verb::Chat(verb) = arguments.verb else {
            panic!("another verb");
        };
        match verb.command()? {
            Command::Say { saying } => Ok(saying),
            other => panic!("another command: {other:?}"),
        }
    }

    #[test]
    fn what_is_said_is_read() {
        assert_eq!(said(&["hello"]).unwrap().content, Content::text("hello"));
        let reaction = said(&["x", "--react", "3A01"]).unwrap();
        assert_eq!(
            reaction.content,
            Content::Reaction {
                to: "3A01".to_owned(),
                emoji: "x".to_owned()
            }
        );
        let place = said(&["--location", "-52.5,13"]).unwrap();
        assert!(
            matches!(place.content, Content::Location { latitude, .. } if (latitude + 52.5).abs() < 1e-9)
        );
        let poll = said(&["when", "--poll", "now", "later"]).unwrap();
        assert!(matches!(poll.content, Content::Poll { options, .. } if options.len() == 2));
        let how = said(&[
            "x",
            "--reply-to",
            "A",
            "--mention",
            "1555",
            "--trouble",
            "spoiled=3",
        ]);
        let how = how.unwrap();
        assert_eq!(how.reply_to.as_deref(), Some("A"));
        assert_eq!(how.trouble, Some(Trouble::Spoiled(3)));
        for bad in [
            vec![],
            vec!["x", "--edit", "A", "--revoke", "B"],
            vec!["--location", "here"],
            vec!["x", "--trouble", "spoiled=x"],
            vec!["--image", "/nonexistent"],
        ] {
            assert!(said(&bad).is_err(), "{bad:?}");
        }
    }
}
