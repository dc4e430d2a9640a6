//! Methods for conversations: what people say, hear and do.

use std::time::Duration;

use crate::command::{Answer, Command};
use crate::content::Content;
use crate::conversation::ChatMessage;
use crate::person::Addressing;
use crate::saying::{Receipt, Saying, Typing};
use crate::{Error, Server};

impl Server {
    /// Somebody says something. Returns the id of the message.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`], [`Error::NoSuchMessage`] for a message that it is about, or [`Error::Invalid`].
    pub async fn say(&self, saying: Saying) -> Result<String, Error> {
        match self.execute(Command::Say { saying }).await? {
            Answer::Said { id } => Ok(id),
            other => Err(Error::Invalid(format!("unexpected answer {other:?}"))),
        }
    }

    /// Somebody says a text to a person, or in a group. Returns the id of the message.
    ///
    /// # Errors
    ///
    /// As for [`say`](Self::say).
    pub async fn say_text(&self, from: &str, to: &str, text: &str) -> Result<String, Error> {
        self.say(Saying::text(from, to, text)).await
    }

    /// Somebody says any content to a person, or in a group. Returns the id of the message.
    ///
    /// # Errors
    ///
    /// As for [`say`](Self::say).
    pub async fn say_content(
        &self,
        from: &str,
        to: &str,
        content: Content,
    ) -> Result<String, Error> {
        self.say(Saying::new(from, to, content)).await
    }

    /// The messages that were said and heard since `position`, oldest first, as far as they are remembered.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn messages(&self, position: u64) -> Result<Vec<ChatMessage>, Error> {
        let command = Command::Messages {
            after: position,
            chat: None,
            id: None,
        };
        match self.execute(command).await? {
            Answer::Messages { messages, .. } => Ok(messages),
            _ => Ok(Vec::new()),
        }
    }

    /// The file of a message, fetched and opened as its reader does, with every hash checked.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMessage`] or [`Error::BadMedia`].
    pub async fn media(&self, id: &str) -> Result<Vec<u8>, Error> {
        match self.execute(Command::Media { id: id.to_owned() }).await? {
            Answer::Media { bytes } => Ok(bytes),
            other => Err(Error::Invalid(format!("unexpected answer {other:?}"))),
        }
    }

    /// Whoever fetches the file of a message gets this HTTP status from now on; `for_good`: the phone does not have
    /// it any more either.
    ///
    /// # Errors
    ///
    /// As for [`media`](Self::media).
    pub async fn lose_media(&self, id: &str, status: u16, for_good: bool) -> Result<(), Error> {
        self.done(Command::LoseMedia {
            id: id.to_owned(),
            status,
            for_good,
        })
        .await
    }

    /// Somebody tells the devices that wrote these messages how far they have got.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`] or [`Error::NoSuchMessage`].
    pub async fn send_receipt(
        &self,
        from: &str,
        ids: &[&str],
        receipt: Receipt,
    ) -> Result<(), Error> {
        self.done(Command::SendReceipt {
            from: from.to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            receipt,
        })
        .await
    }

    /// Somebody has lost the session with the device that wrote a message, and asks for the message again.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`] or [`Error::NoSuchMessage`].
    pub async fn ask_again(&self, from: &str, id: &str) -> Result<(), Error> {
        self.done(Command::AskAgain {
            from: from.to_owned(),
            id: id.to_owned(),
        })
        .await
    }

    /// Somebody is seen to write to a person, or in a group.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn typing(&self, from: &str, to: &str, typing: Typing) -> Result<(), Error> {
        self.done(Command::Typing {
            from: from.to_owned(),
            to: to.to_owned(),
            typing,
        })
        .await
    }

    /// Somebody is there, or has gone: the connected devices of the account `to` are told.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn person_presence(
        &self,
        from: &str,
        to: &str,
        available: bool,
    ) -> Result<(), Error> {
        self.done(Command::PersonPresence {
            from: from.to_owned(),
            to: to.to_owned(),
            available,
        })
        .await
    }

    /// How many messages, receipts and notifications wait for a device.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] or [`Error::Ambiguous`].
    pub async fn waiting(&self, device: &str) -> Result<usize, Error> {
        let device = device.to_owned();
        match self.execute(Command::Mailbox { device }).await? {
            Answer::Mailbox {
                messages,
                receipts,
                notifications,
            } => Ok(messages + receipts + notifications),
            _ => Ok(0),
        }
    }

    /// How the people in an account's direct chats are named on the wire. Clients that are connected learn it for what
    /// they send at their next login.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_addressing(&self, phone: &str, addressing: Addressing) -> Result<(), Error> {
        let phone = phone.to_owned();
        self.done(Command::SetAddressing { phone, addressing })
            .await
    }

    /// Waits for a message that fits, said or heard, and returns the earliest that no `wait_message` has returned yet.
    /// What came before the call counts.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] when nothing fitted in time.
    pub async fn wait_message(
        &self,
        fits: impl Fn(&ChatMessage) -> bool,
        deadline: Duration,
    ) -> Result<ChatMessage, Error> {
        let shared = self.shared();
        let mut changed = shared.world().conversations.subscribe();
        let search = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = shared.world().conversations.take(&fits) {
                    return Ok(found);
                }
                if changed.changed().await.is_err() {
                    return Err(Error::Stopped);
                }
            }
        };
        tokio::time::timeout(deadline, search)
            .await
            .unwrap_or(Err(Error::Deadline(deadline)))
    }

    /// Waits until `person` could read a message from a device. Returns the earliest that no call has returned yet.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] when none came in time.
    pub async fn wait_heard(&self, person: &str, deadline: Duration) -> Result<ChatMessage, Error> {
        let heard = |message: &ChatMessage| {
            message.device.is_some() && message.readers.iter().any(|reader| reader == person)
        };
        self.wait_message(heard, deadline).await
    }

    /// How often devices have sent a message of this id without being asked to. More than 1 is a repetition.
    #[must_use]
    pub fn copies(&self, id: &str) -> u32 {
        let mut world = self.shared().world();
        let found = world
            .conversations
            .find(id, |message| message.device.is_some());
        found.map_or(0, |entry| entry.message.copies)
    }

    /// Everything that people have written, for tests that search logs and files for it.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.shared().world().conversations.texts()
    }
}
