//! Where the configuration comes from, at the start and at every reload.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::access::{Policy, System};
use super::config::{Config, ConfigError};
use super::environment::{ConfigFile, Environment};
use super::state::Live;
use crate::failpoint;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Source {
    file: Option<ConfigFile>,
    own_uid: u32,
}

impl Source {
    /// The file of the command line, or the one that belongs to this daemon.
    #[must_use]
    pub fn new(option: Option<&Path>, environment: &Environment) -> Self {
        Self {
            file: environment.config_file(option),
            own_uid: environment.uid,
        }
    }

    /// The file, whether it is there or not.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Reads everything, and resolves the names in it; also what a person should know about it. Blocks.
    ///
    /// # Errors
    /// [`ConfigError`] says everything that is wrong.
    pub fn load(&self) -> Result<(Live, Vec<String>), ConfigError> {
        failpoint::hang("configuration");
        let (config, file) = self.read()?;
        let (policy, notes) = Policy::resolve(&config.access.admins, self.own_uid, &System);
        let live = Live {
            config,
            file,
            policy,
        };
        Ok((live, notes))
    }

    fn read(&self) -> Result<(Config, Option<PathBuf>), ConfigError> {
        let Some(ConfigFile { path, required }) = &self.file else {
            return Ok((Config::default(), None));
        };
        let there = std::fs::symlink_metadata(path);
        if !required && there.is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            return Ok((Config::default(), None));
        }
        Ok((Config::load(path)?, Some(path.clone())))
    }
}
