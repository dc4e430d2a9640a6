//! Where the configuration comes from, at the start and at every reload.

use std::path::{Path, PathBuf};

use super::access::{Policy, System};
use super::config::Config;
use super::in_force::InForce;
use super::places;
use crate::blocking::Rooms;
use crate::failpoint;
use crate::service::config::{ConfigError, Places};
use crate::service::environment::Environment;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Source {
    places: Places,
    own_uid: u32,
    /// Where the service manager puts credentials.
    credentials: Option<PathBuf>,
}

impl Source {
    /// The file of the command line, or the places that belong to this daemon.
    #[must_use]
    pub fn new(option: Option<&Path>, environment: &Environment) -> Self {
        Self {
            places: places::config(environment, option),
            own_uid: environment.uid,
            credentials: environment.directory("CREDENTIALS_DIRECTORY"),
        }
    }

    /// Where the files are, if there are any.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Reads the files, and resolves the names in them; also what a person should know about it.
    ///
    /// A name service that hangs holds this up only so long; then the names it did not answer for make
    /// nobody an admin.
    ///
    /// # Errors
    /// [`ConfigError`] says everything that is wrong.
    pub async fn load(&self, rooms: &Rooms) -> Result<(InForce, Vec<String>), ConfigError> {
        let (places, credentials) = (self.places.clone(), self.credentials.clone());
        let read = move || {
            failpoint::hang("configuration");
            let (mut config, origins) = Config::load(&places)?;
            config.complete_proxy(&origins, credentials.as_deref())?;
            Ok((config, origins))
        };
        let (config, origins) = rooms.configuration.run(read).await?;
        let (policy, notes) =
            Policy::resolve(&config.access.admins, self.own_uid, System, &rooms.accounts).await;
        let in_force = InForce {
            config,
            origins,
            policy,
        };
        Ok((in_force, notes))
    }
}
