//! The configuration files: what they may say, and what is in force when they say nothing.
//!
//! Every key has a default. A key that is not known, or a value that is not right, is an error with
//! its file, line and column, also where another file would override it; all of them are told at
//! once. Where one file is wrong, nothing of any is used.

mod duration;
mod entries;
mod files;
mod origins;
mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use files::{Masked, Places, Text};
pub use origins::Origins;
pub use problem::{ConfigError, Fault, Problem};
pub use values::Admin;

use crate::supervisor::{OnConflict, Settings};
use crate::whatsapp::GatewaySettings;
use reader::Reader;

/// The version of WhatsApp Web that a simulator is told.
pub type Version = (u32, u32, u32);

/// The whole configuration. The fields are the keys of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[socket]`.
    pub socket: Socket,
    /// `[state] directory`: where the sessions are kept. `None`: see [`super::environment`].
    pub state_directory: Option<PathBuf>,
    /// `[access]`.
    pub access: Access,
    /// `[whatsapp]`.
    pub whatsapp: WhatsApp,
    /// `[sessions]`.
    pub sessions: Sessions,
    /// `[logout]`.
    pub logout: Logout,
    /// `[log] filter`: what is logged, in the syntax of `tracing_subscriber`'s `EnvFilter`.
    pub log_filter: String,
}

/// `[socket]`: the control socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Socket {
    /// Where it is. `None`: see [`super::environment`].
    pub path: Option<PathBuf>,
    /// Its permissions.
    pub mode: u32,
    /// The group that owns it. `None`: the daemon's own.
    pub group: Option<String>,
}

/// `[access]`: who may do what.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Who sees and controls every session, besides root and the daemon's own user.
    pub admins: Vec<Admin>,
    /// How many sessions one uid may have created.
    pub max_sessions_per_uid: usize,
    /// How many connections one uid may have open.
    pub max_connections_per_uid: usize,
}

/// `[whatsapp]`: how WhatsApp is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatsApp {
    /// Simulator builds only: the simulator's URL.
    pub endpoint: Option<String>,
    /// Simulator builds only: the version to claim.
    pub version: Option<Version>,
    /// What the phone shows under Linked devices.
    pub device_name: String,
    /// The URL of a proxy.
    pub proxy: Option<String>,
}

/// `[sessions]`: how sessions are kept up.
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    /// What another connection with the same credentials leads to.
    pub on_conflict: OnConflict,
    /// How many sessions are restored at a time after a start.
    pub restore_concurrency: usize,
    /// Close a session that nobody used for so long. `None`: never.
    pub idle_after: Option<Duration>,
    /// How many sessions there may be.
    pub max: usize,
}

/// `[logout]`: how sessions end.
#[derive(Debug, Clone, PartialEq)]
pub struct Logout {
    /// How long unlinking at WhatsApp may take.
    pub unlink_timeout: Duration,
    /// How long a logout may take in all.
    pub deadline: Duration,
    /// How many ended sessions the history keeps.
    pub history_limit: usize,
}

/// The sections and their keys, as the files have them.
pub const KEYS: &[(&str, &[&str])] = &[
    ("socket", &["path", "mode", "group"]),
    ("state", &["directory"]),
    (
        "access",
        &["admins", "max_sessions_per_uid", "max_connections_per_uid"],
    ),
    ("whatsapp", &["endpoint", "version", "device_name", "proxy"]),
    (
        "sessions",
        &["on_conflict", "restore_concurrency", "idle_after", "max"],
    ),
    ("logout", &["unlink_timeout", "deadline", "history_limit"]),
    ("log", &["filter"]),
];

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            socket: Socket {
                path: None,
                mode: 0o660,
                group: None,
            },
            state_directory: None,
            access: Access {
                admins: vec![Admin::User("root".to_owned())],
                max_sessions_per_uid: settings.max_sessions_per_uid,
                max_connections_per_uid: 64,
            },
            whatsapp: WhatsApp {
                endpoint: None,
                version: None,
                device_name: "wasessiond".to_owned(),
                proxy: None,
            },
            sessions: Sessions {
                on_conflict: settings.on_conflict,
                restore_concurrency: settings.restore_concurrency,
                idle_after: settings.idle_after,
                max: settings.max_sessions,
            },
            logout: Logout {
                unlink_timeout: settings.unlink_timeout,
                deadline: settings.logout_deadline,
                history_limit: settings.history_limit,
            },
            log_filter: "info".to_owned(),
        }
    }
}

impl Config {
    /// Reads the configuration files of these places. Blocks.
    ///
    /// # Errors
    /// [`ConfigError`] says everything that is wrong with any of them.
    pub fn load(places: &Places) -> Result<(Self, Origins), ConfigError> {
        let found = places.read();
        let read = Self::parse(&found.texts, cfg!(feature = "simulator"));
        let mut faults = found.faults;
        match read {
            Ok((config, mut origins)) if faults.is_empty() => {
                origins.masked = found.masked;
                Ok((config, origins))
            }
            Ok(_) => Err(ConfigError { faults }),
            Err(error) => {
                faults.extend(error.faults);
                Err(ConfigError { faults })
            }
        }
    }

    /// Reads the texts of configuration files, of which a later one overrides an earlier one, for a
    /// build with or without the simulator's feature.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn parse(texts: &[Text], simulator: bool) -> Result<(Self, Origins), ConfigError> {
        let mut reader = Reader::new(texts, KEYS);
        let config = Self::read(&mut reader, simulator);
        let keys = reader.finish()?;
        let origins = Origins {
            files: texts.iter().map(|text| text.file.clone()).collect(),
            masked: Vec::new(),
            keys,
        };
        Ok((config, origins))
    }

    fn read(from: &mut Reader<'_>, simulator: bool) -> Self {
        let default = Self::default();
        let config = Self {
            socket: Socket {
                path: from.read("socket", "path", values::path),
                mode: from
                    .read("socket", "mode", values::mode)
                    .unwrap_or(default.socket.mode),
                group: from.read("socket", "group", reader::string),
            },
            state_directory: from.read("state", "directory", values::path),
            access: Access::read(from, &default.access),
            whatsapp: WhatsApp::read(from, &default.whatsapp, simulator),
            sessions: Sessions::read(from, &default.sessions),
            logout: Logout::read(from, &default.logout),
            log_filter: from
                .read("log", "filter", values::filter)
                .unwrap_or(default.log_filter),
        };
        if config.logout.unlink_timeout >= config.logout.deadline {
            from.refuse_together("logout", ["unlink_timeout", "deadline"], |[unlink, deadline]| {
                format!(
                    "`logout.unlink_timeout` ({}{unlink}) must be shorter than `logout.deadline` \
                     ({}{deadline}): the removal needs time after the unlinking",
                    duration::render(config.logout.unlink_timeout),
                    duration::render(config.logout.deadline),
                )
            });
        }
        config
    }

    /// What the supervisor needs to know of it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            on_conflict: self.sessions.on_conflict,
            restore_concurrency: self.sessions.restore_concurrency,
            idle_after: self.sessions.idle_after,
            max_sessions: self.sessions.max,
            max_sessions_per_uid: self.access.max_sessions_per_uid,
            unlink_timeout: self.logout.unlink_timeout,
            logout_deadline: self.logout.deadline,
            history_limit: self.logout.history_limit,
        }
    }

    /// What the gateway to WhatsApp needs to know of it.
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

impl Access {
    fn read(from: &mut Reader<'_>, default: &Self) -> Self {
        Self {
            admins: from
                .read_list("access", "admins", values::admin)
                .unwrap_or_else(|| default.admins.clone()),
            max_sessions_per_uid: from
                .read(
                    "access",
                    "max_sessions_per_uid",
                    reader::number(1..=100_000),
                )
                .unwrap_or(default.max_sessions_per_uid),
            max_connections_per_uid: from
                .read(
                    "access",
                    "max_connections_per_uid",
                    reader::number(1..=1024),
                )
                .unwrap_or(default.max_connections_per_uid),
        }
    }
}

impl WhatsApp {
    fn read(from: &mut Reader<'_>, default: &Self, simulator: bool) -> Self {
        if !simulator {
            for key in ["endpoint", "version"] {
                from.refuse("whatsapp", key, || {
                    format!(
                        "`whatsapp.{key}` is for simulator builds: this one talks to WhatsApp \
                         itself. Remove the key, or build with `--features simulator`"
                    )
                });
            }
        }
        Self {
            endpoint: simulator
                .then(|| from.read("whatsapp", "endpoint", values::endpoint))
                .flatten(),
            version: simulator
                .then(|| from.read("whatsapp", "version", values::version))
                .flatten(),
            device_name: from
                .read("whatsapp", "device_name", values::device_name)
                .unwrap_or_else(|| default.device_name.clone()),
            proxy: from.read("whatsapp", "proxy", values::proxy),
        }
    }
}

impl Sessions {
    fn read(from: &mut Reader<'_>, default: &Self) -> Self {
        Self {
            on_conflict: from
                .read("sessions", "on_conflict", values::on_conflict)
                .unwrap_or(default.on_conflict),
            restore_concurrency: from
                .read("sessions", "restore_concurrency", reader::number(1..=1000))
                .unwrap_or(default.restore_concurrency),
            idle_after: from
                .read("sessions", "idle_after", values::idle_after)
                .unwrap_or(default.idle_after),
            max: from
                .read("sessions", "max", reader::number(1..=100_000))
                .unwrap_or(default.max),
        }
    }
}

impl Logout {
    fn read(from: &mut Reader<'_>, default: &Self) -> Self {
        Self {
            unlink_timeout: from
                .read("logout", "unlink_timeout", values::length)
                .unwrap_or(default.unlink_timeout),
            deadline: from
                .read("logout", "deadline", values::length)
                .unwrap_or(default.deadline),
            history_limit: from
                .read("logout", "history_limit", reader::number(1..=1_000_000))
                .unwrap_or(default.history_limit),
        }
    }
}
