//! The keys of the daemon's configuration, and what is in force when the files say nothing.

mod keys;
mod proxy;
#[cfg(test)]
mod tests;
mod values;

pub use keys::{Access, Config, Log, Logout, Sessions, Socket, State, WhatsApp};
pub use values::{Admin, OwnProxies, Version};

use crate::service::config::reader::Reader;
use crate::service::config::{ConfigError, Origins, Places, Text, duration, load, table};
use crate::supervisor::Settings;
use crate::whatsapp::GatewaySettings;

impl Config {
    /// Reads the configuration files of these places. Blocks.
    ///
    /// # Errors
    /// [`ConfigError`] says everything that is wrong with any of them.
    pub fn load(places: &Places) -> Result<(Self, Origins), ConfigError> {
        load(places, |texts| {
            Self::parse(texts, cfg!(feature = "simulator"))
        })
    }

    /// Reads the texts of configuration files, of which a later one overrides an earlier one, for a
    /// build with or without the simulator's feature.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn parse(texts: &[Text], simulator: bool) -> Result<(Self, Origins), ConfigError> {
        let mut reader = Reader::new(texts, Self::SECTIONS);
        if !simulator {
            refuse_simulators_keys(&mut reader);
        }
        let config = Self::read(&mut reader);
        config.logout.refuse_if_too_long(&mut reader);
        let keys = reader.finish()?;
        let origins = Origins {
            files: texts.iter().map(|text| text.file.clone()).collect(),
            masked: Vec::new(),
            keys,
        };
        Ok((config, origins))
    }

    /// The names of the keys whose values differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.entries().into_iter().zip(other.entries());
        // The entry of the proxy does not show its password.
        let proxies_differ = self.whatsapp.proxy != other.whatsapp.proxy;
        pairs
            .map(|(ours, theirs)| (ours != theirs, ours.name()))
            .filter(|(differ, name)| *differ || (proxies_differ && name == "whatsapp.proxy"))
            .map(|(_, name)| name)
            .collect()
    }

    /// The whole configuration as a file that would say the same, but for the login of a proxy, which is
    /// not shown. What is not at its default has its origin beside it.
    #[must_use]
    pub fn to_toml(&self, origins: &Origins) -> String {
        table::to_toml(self.entries(), origins)
    }

    /// The settings of the supervisor.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            presence: self.whatsapp.presence,
            on_conflict: self.sessions.on_conflict,
            on_locked: self.sessions.on_locked,
            restore_concurrency: self.sessions.restore_concurrency,
            idle_after: self.sessions.idle_after,
            max_sessions: self.sessions.max,
            max_sessions_per_uid: self.access.max_sessions_per_uid,
            unlink_timeout: self.logout.unlink_timeout,
            logout_deadline: self.logout.deadline,
            history_limit: self.logout.history_limit,
        }
    }

    /// The settings of the gateway to WhatsApp.
    #[must_use]
    pub fn gateway(&self) -> GatewaySettings {
        GatewaySettings {
            endpoint: self.whatsapp.endpoint.clone(),
            version: self.whatsapp.version,
            device_name: self.whatsapp.device_name.clone(),
            proxy: self.whatsapp.proxy.clone(),
        }
    }
}

impl Logout {
    fn refuse_if_too_long(&self, reader: &mut Reader<'_>) {
        if self.unlink_timeout < self.deadline {
            return;
        }
        reader.refuse_together(
            "logout",
            ["unlink_timeout", "deadline"],
            |[unlink, deadline]| {
                format!(
                    "`logout.unlink_timeout` ({}{unlink}) must be shorter than `logout.deadline` \
                 ({}{deadline}): the removal needs time after the unlinking",
                    duration::render(self.unlink_timeout),
                    duration::render(self.deadline),
                )
            },
        );
    }
}

fn refuse_simulators_keys(reader: &mut Reader<'_>) {
    for section in Config::SECTIONS {
        let simulators = section.keys.iter().filter(|key| key.only_with.is_some());
        for key in simulators {
            let (section, key) = (section.name, key.name);
            reader.refuse(section, key, || {
                format!(
                    "`{section}.{key}` is for simulator builds: this one talks to WhatsApp itself. \
                     Remove the key, or build with `--features simulator`"
                )
            });
        }
    }
}
