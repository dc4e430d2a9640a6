//! Methods for what can be set for an account.

use crate::command::{Answer, Command};
use crate::settings::{AppState, ChatLimit, Hosting, Timelock};
use crate::{Error, Server};

impl Server {
    /// Whether a new device of `phone` has to prove the passkey of the account's owner. `scan` and `link_by_code` then
    /// answer with [`Error::PasskeyNeeded`], and the pairing goes on between the client and WhatsApp until it is
    /// [`Paired`](crate::Observation::Paired).
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_passkey(&self, phone: &str, needed: bool) -> Result<(), Error> {
        self.done(Command::SetPasskey {
            phone: phone.to_owned(),
            needed,
        })
        .await
    }

    /// The owner's passkey signs what WhatsApp asks for (`options`, JSON as the client was sent it). Returns the
    /// assertion, JSON as a browser gives it out.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`], or [`Error::Invalid`] for a request that a browser would refuse on WhatsApp Web's page.
    pub async fn sign_passkey(&self, phone: &str, options: &str) -> Result<String, Error> {
        let command = Command::SignPasskey {
            phone: phone.to_owned(),
            options: options.to_owned(),
        };
        match self.execute(command).await? {
            Answer::Assertion { assertion } => Ok(assertion),
            other => Err(Error::Invalid(format!("unexpected answer {other:?}"))),
        }
    }

    /// Sets or lifts a time-lock, and tells the account's connected devices.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_timelock(&self, phone: &str, timelock: Option<Timelock>) -> Result<(), Error> {
        self.done(Command::SetTimelock {
            phone: phone.to_owned(),
            timelock,
            quiet: false,
        })
        .await
    }

    /// Sets or lifts the limit on new chats, and tells the account's connected devices.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_chat_limit(&self, phone: &str, limit: Option<ChatLimit>) -> Result<(), Error> {
        self.done(Command::SetChatLimit {
            phone: phone.to_owned(),
            limit,
            quiet: false,
        })
        .await
    }

    /// Whether the account belongs to a business that also uses the Cloud API.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_hosting(&self, phone: &str, hosting: Hosting) -> Result<(), Error> {
        let phone = phone.to_owned();
        self.done(Command::SetHosting { phone, hosting }).await
    }

    /// What becomes of the app state that a new device needs.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn set_app_state(&self, phone: &str, app_state: AppState) -> Result<(), Error> {
        let phone = phone.to_owned();
        self.done(Command::SetAppState { phone, app_state }).await
    }

    /// Somebody reads a message on the phone at this time, in seconds since 1970 (`None`: now), and its devices are
    /// told when they are there.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`].
    pub async fn phone_speaks(&self, phone: &str, at: Option<u64>) -> Result<(), Error> {
        let phone = phone.to_owned();
        self.done(Command::PhoneSpeaks { phone, at }).await
    }

    /// The oldest version of a client that may log in or register; older ones get 405.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn set_minimum_version(&self, version: Option<[u32; 3]>) -> Result<(), Error> {
        self.done(Command::SetMinimumVersion { version }).await
    }

    /// When WhatsApp stops to accept the clients of today, in seconds since 1970. Devices are told now, and each at its
    /// login.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn set_client_expiration(&self, at: Option<u64>) -> Result<(), Error> {
        self.done(Command::SetClientExpiration { at }).await
    }
}
