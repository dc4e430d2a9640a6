//! Commands about an account: what it needs, what it is restricted to, and what its phone does.

use crate::Error;
use crate::account::phone_number;
use crate::command::{Answer, Command};
use crate::connection::{Restriction, client_expiration};
use crate::crypto::message_id;
use crate::order::{Then, Work};
use crate::settings::{AppState, ChatLimit, Hosting, Settings, Timelock};
use crate::shared::{Shared, now};

/// Who wrote the message that was read on the phone.
const WRITER: &str = "15559990000";

impl Shared {
    pub(super) async fn execute_for_account(&self, command: Command) -> Result<Answer, Error> {
        match command {
            Command::SetPasskey { phone, needed } => self.set_passkey(&phone, needed).await,
            Command::SignPasskey { phone, options } => self.sign_passkey(&phone, &options).await,
            Command::SetTimelock {
                phone,
                timelock,
                quiet,
            } => self.set_timelock(&phone, timelock, quiet).await,
            Command::SetChatLimit {
                phone,
                limit,
                quiet,
            } => self.set_chat_limit(&phone, limit, quiet).await,
            Command::SetHosting { phone, hosting } => self.set_hosting(&phone, hosting).await,
            Command::SetAppState { phone, app_state } => {
                self.set_app_state(&phone, app_state).await
            }
            Command::SetPhoneSeen { phone, at } => self.set_phone_seen(&phone, at).await,
            Command::PhoneSpeaks { phone, at } => self.phone_speaks(&phone, at).await,
            Command::SetAddressing { phone, addressing } => {
                self.configure(&phone, |settings| settings.addressing = addressing)
                    .await?;
                Ok(Answer::Done)
            }
            Command::SetMinimumVersion { version } => self.set_minimum_version(version).await,
            Command::SetClientExpiration { at } => self.set_client_expiration(at).await,
            other => Err(Error::Invalid(format!(
                "{other:?} is no command about an account"
            ))),
        }
    }

    /// Changes the settings of a phone's account. Returns the phone's number.
    async fn configure(
        &self,
        phone: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Result<String, Error> {
        let phone = phone_number(phone)?;
        change(&mut self.world().account(&phone, now()).settings);
        self.persist().await;
        Ok(phone)
    }

    async fn set_passkey(&self, phone: &str, needed: bool) -> Result<Answer, Error> {
        self.configure(phone, |settings| settings.needs_passkey = needed)
            .await?;
        Ok(Answer::Done)
    }

    async fn sign_passkey(&self, phone: &str, options: &str) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        let passkey = self.world().passkey(&phone, now());
        self.persist().await;
        let assertion = passkey.sign(options)?;
        self.world().secrets.insert(assertion.clone());
        Ok(Answer::Assertion { assertion })
    }

    async fn set_timelock(
        &self,
        phone: &str,
        timelock: Option<Timelock>,
        quiet: bool,
    ) -> Result<Answer, Error> {
        let phone = self
            .configure(phone, |settings| settings.timelock = timelock)
            .await?;
        if !quiet {
            self.announce_restriction(&phone, Restriction::Timelock);
        }
        Ok(Answer::Done)
    }

    async fn set_chat_limit(
        &self,
        phone: &str,
        limit: Option<ChatLimit>,
        quiet: bool,
    ) -> Result<Answer, Error> {
        let phone = self
            .configure(phone, |settings| settings.chat_limit = limit)
            .await?;
        if !quiet {
            self.announce_restriction(&phone, Restriction::ChatLimit);
        }
        Ok(Answer::Done)
    }

    async fn set_hosting(&self, phone: &str, hosting: Hosting) -> Result<Answer, Error> {
        self.configure(phone, |settings| settings.hosting = hosting)
            .await?;
        Ok(Answer::Done)
    }

    async fn set_app_state(&self, phone: &str, app_state: AppState) -> Result<Answer, Error> {
        self.configure(phone, |settings| settings.app_state = app_state)
            .await?;
        Ok(Answer::Done)
    }

    async fn set_phone_seen(&self, phone: &str, at: Option<u64>) -> Result<Answer, Error> {
        self.configure(phone, |settings| settings.phone_seen = at)
            .await?;
        Ok(Answer::Done)
    }

    async fn phone_speaks(&self, phone: &str, at: Option<u64>) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        {
            let mut world = self.world();
            world.account(&phone, now());
            world.read_on_phone(&phone, WRITER, &message_id(), at.unwrap_or_else(now));
        }
        self.persist().await;
        Ok(Answer::Done)
    }

    async fn set_minimum_version(&self, version: Option<[u32; 3]>) -> Result<Answer, Error> {
        self.world().state.minimum_version = version;
        self.persist().await;
        Ok(Answer::Done)
    }

    async fn set_client_expiration(&self, at: Option<u64>) -> Result<Answer, Error> {
        let connections: Vec<u64> = {
            let mut world = self.world();
            world.state.client_expiration = at;
            world.logins.values().copied().collect()
        };
        self.persist().await;
        if let Some(at) = at {
            for connection in connections {
                let nodes = vec![client_expiration(at)];
                let then = Then::GoOn;
                // One that has gone by now is told at its next login.
                let _ = self.order(connection, Work::Send { nodes, then }).await;
            }
        }
        Ok(Answer::Done)
    }
}
