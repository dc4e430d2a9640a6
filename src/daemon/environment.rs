//! Where things are when nobody says: the configuration file, the state directory, the socket.
//!
//! The environment is looked at once, at the start, and handed down as a value; the rules below are
//! functions of it.
//!
//! | | first | then | then, for the system's daemon | for a user's own |
//! |---|---|---|---|---|
//! | configuration | `--config` | `$CONFIGURATION_DIRECTORY` | `/etc/wasessiond` | `$XDG_CONFIG_HOME/wasessiond` |
//! | state | `--state`, configuration | `$STATE_DIRECTORY` | `/var/lib/wasessiond` | `$XDG_STATE_HOME/wasessiond` |
//! | socket | `--socket`, configuration | `$RUNTIME_DIRECTORY` | `/run/wasessiond` | `$XDG_RUNTIME_DIR/wasessiond` |
//!
//! The variables of the second column are systemd's. The system's daemon is one that runs as root or
//! as a system account; a user's own is one that runs as a person.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// What the daemon was started with, apart from its arguments.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The uid it runs as.
    pub uid: u32,
    /// The home directory of that user, when one is known.
    pub home: Option<PathBuf>,
    /// The environment variables.
    pub variables: HashMap<OsString, OsString>,
}

/// A place that nothing names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no place for {what}: {missing} is not set. Say where with {option}, or in the configuration"
)]
pub struct NoPlace {
    what: &'static str,
    missing: &'static str,
    option: &'static str,
}

/// The configuration file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is an error that it is not there: somebody named it.
    pub required: bool,
}

/// The name of the daemon's directory wherever there are many.
const NAME: &str = "wasessiond";

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten();
        Self {
            uid: uid.as_raw(),
            home: user.map(|user| user.dir),
            variables: std::env::vars_os().collect(),
        }
    }

    /// A variable, unless it is empty: that counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }

    /// Whether this is the system's daemon, not a person's own.
    #[must_use]
    pub fn is_system(&self) -> bool {
        // System accounts by the distributions' convention, and systemd's dynamic users.
        matches!(self.uid, 0..1000 | 61184..=65519)
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self, option: Option<&Path>) -> Option<ConfigFile> {
        if let Some(path) = option {
            return Some(ConfigFile {
                path: path.to_owned(),
                required: true,
            });
        }
        let directory = self.first_of("CONFIGURATION_DIRECTORY").or_else(|| {
            if self.is_system() {
                Some(Path::new("/etc").join(NAME))
            } else {
                Some(self.xdg("XDG_CONFIG_HOME", ".config")?.join(NAME))
            }
        })?;
        Some(ConfigFile {
            path: directory.join("config.toml"),
            required: false,
        })
    }

    /// The state directory; `configured` is what the command line or the file says.
    ///
    /// # Errors
    /// [`NoPlace`] when nothing names one.
    pub fn state_directory(&self, configured: Option<&Path>) -> Result<PathBuf, NoPlace> {
        if let Some(path) = configured {
            return Ok(path.to_owned());
        }
        if let Some(path) = self.first_of("STATE_DIRECTORY") {
            return Ok(path);
        }
        if self.is_system() {
            return Ok(Path::new("/var/lib").join(NAME));
        }
        let state = self.xdg("XDG_STATE_HOME", ".local/state").ok_or(NoPlace {
            what: "the sessions",
            missing: "neither XDG_STATE_HOME nor HOME",
            option: "--state DIR",
        })?;
        Ok(state.join(NAME))
    }

    /// The control socket; `configured` is what the command line or the file says.
    ///
    /// # Errors
    /// [`NoPlace`] when nothing names one: a socket in a directory that everybody can write would be
    /// anybody's to replace, so there is no further fallback.
    pub fn socket(&self, configured: Option<&Path>) -> Result<PathBuf, NoPlace> {
        if let Some(path) = configured {
            return Ok(path.to_owned());
        }
        let directory = match self.first_of("RUNTIME_DIRECTORY") {
            Some(path) => path,
            None if self.is_system() => Path::new("/run").join(NAME),
            None => self
                .directory("XDG_RUNTIME_DIR")
                .map(|d| d.join(NAME))
                .ok_or(NoPlace {
                    what: "the control socket",
                    missing: "XDG_RUNTIME_DIR",
                    option: "--socket PATH",
                })?,
        };
        Ok(directory.join("control.sock"))
    }

    /// A variable that names a directory. One that is not absolute is ignored, as the XDG
    /// specification asks.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|d| d.is_absolute())
    }

    /// The first directory of a variable in which systemd lists several, with colons.
    fn first_of(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt;
        let list = self.get(name)?.as_bytes();
        let first = list.split(|byte| *byte == b':').next()?;
        let path = PathBuf::from(OsStr::from_bytes(first));
        path.is_absolute().then_some(path)
    }

    fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        self.directory(name).or_else(|| {
            let home = self.directory("HOME").or_else(|| self.home.clone())?;
            Some(home.join(below_home))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(uid: u32, variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        Environment {
            uid,
            home: None,
            variables: variables.collect(),
        }
    }

    fn places(of: &Environment) -> [Option<String>; 3] {
        let text = |path: PathBuf| path.display().to_string();
        [
            of.config_file(None).map(|file| text(file.path)),
            of.state_directory(None).ok().map(text),
            of.socket(None).ok().map(text),
        ]
    }

    #[test]
    fn the_places_of_each_kind_of_daemon() {
        let systemd = [
            ("CONFIGURATION_DIRECTORY", "/c"),
            ("STATE_DIRECTORY", "/s:/s2"),
            ("RUNTIME_DIRECTORY", "/r"),
        ];
        let xdg = [
            ("HOME", "/home/a"),
            ("XDG_CONFIG_HOME", "/xc"),
            ("XDG_STATE_HOME", "/xs"),
            ("XDG_RUNTIME_DIR", "/xr"),
        ];
        let system = [
            "/etc/wasessiond/config.toml",
            "/var/lib/wasessiond",
            "/run/wasessiond/control.sock",
        ];
        for (uid, variables, expected) in [
            (0, xdg.as_slice(), system),
            (998, &[], system),
            (61500, &[], system),
            (998, &systemd, ["/c/config.toml", "/s", "/r/control.sock"]),
            (1000, &systemd, ["/c/config.toml", "/s", "/r/control.sock"]),
            (
                1000,
                &xdg,
                [
                    "/xc/wasessiond/config.toml",
                    "/xs/wasessiond",
                    "/xr/wasessiond/control.sock",
                ],
            ),
        ] {
            let found = places(&environment(uid, variables));
            assert_eq!(found, expected.map(|e| Some(e.to_owned())), "uid {uid}");
        }
    }

    #[test]
    fn a_person_without_xdg_variables() {
        let found = places(&environment(
            1000,
            &[("HOME", "/home/a"), ("XDG_STATE_HOME", "relative")],
        ));
        assert_eq!(
            found[0].as_deref(),
            Some("/home/a/.config/wasessiond/config.toml")
        );
        assert_eq!(found[1].as_deref(), Some("/home/a/.local/state/wasessiond"));
        assert_eq!(found[2], None);
        let error = environment(1000, &[]).socket(None).expect_err("no place");
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
        assert!(error.to_string().contains("--socket"), "{error}");
    }

    #[test]
    fn what_is_said_wins() {
        let root = environment(0, &[("STATE_DIRECTORY", "/s"), ("RUNTIME_DIRECTORY", "/r")]);
        let here = Path::new("/here");
        assert_eq!(root.state_directory(Some(here)).as_deref(), Ok(here));
        assert_eq!(root.socket(Some(here)).as_deref(), Ok(here));
        assert_eq!(
            root.config_file(Some(here)).map(|file| file.required),
            Some(true)
        );
    }
}
