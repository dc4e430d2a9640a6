//! Where the configuration comes from, at the start and at every reload.

use std::path::Path;

use super::access::{Policy, System};
use super::config::{Config, ConfigError, Places};
use super::environment::Environment;
use super::state::Live;
use crate::failpoint;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Source {
    places: Places,
    own_uid: u32,
}

impl Source {
    /// The file of the command line, or the places that belong to this daemon.
    #[must_use]
    pub fn new(option: Option<&Path>, environment: &Environment) -> Self {
        Self {
            places: environment.config_places(option),
            own_uid: environment.uid,
        }
    }

    /// Where the files are, if there are any.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Reads everything, and resolves the names in it; also what a person should know about it. Blocks.
    ///
    /// # Errors
    /// [`ConfigError`] says everything that is wrong.
    pub fn load(&self) -> Result<(Live, Vec<String>), ConfigError> {
        failpoint::hang("configuration");
        let (config, origins) = Config::load(&self.places)?;
        let (policy, notes) = Policy::resolve(&config.access.admins, self.own_uid, &System);
        let live = Live {
            config,
            origins,
            policy,
        };
        Ok((live, notes))
    }
}
