//! Where things are when nobody says: the configuration files, the state directory, the socket.
//!
//! The environment is looked at once, at the start, and handed down as a value; the rules below are
//! functions of it.
//!
//! | | first | then | then, for the system's daemon | for a user's own |
//! |---|---|---|---|---|
//! | configuration | `--config` | `$CONFIGURATION_DIRECTORY` | `/etc/wasessiond` | `$XDG_CONFIG_HOME/wasessiond` |
//! | and below that | | | `/run/wasessiond-config` | `$XDG_RUNTIME_DIR/wasessiond-config` |
//! | and below that | | | `/usr/lib/wasessiond` | each of `$XDG_CONFIG_DIRS`, with `/wasessiond` |
//! | state | `--state`, configuration | `$STATE_DIRECTORY` | `/var/lib/wasessiond` | `$XDG_STATE_HOME/wasessiond` |
//! | socket | `--socket`, configuration | `$RUNTIME_DIRECTORY` | `/run/wasessiond` | `$XDG_RUNTIME_DIR/wasessiond` |
//!
//! `$WASESSIOND_CONFIG_PATH` replaces all directories of the configuration: absolute ones, with colons
//! between them, the highest first. The other variables of the second column are systemd's. The
//! system's daemon is one that runs as root or as a system account; a user's own is one that runs as a
//! person.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::config::Places;

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

/// The name of the daemon's directory wherever there are many.
const NAME: &str = "wasessiond";

/// The name of the directory for configuration that lasts until the next boot. `/run/wasessiond` is the
/// service's own: its account can write there, and systemd may remove it with the service.
const TRANSIENT: &str = "wasessiond-config";

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
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

    /// Where the configuration files are.
    #[must_use]
    pub fn config_places(&self, option: Option<&Path>) -> Places {
        if let Some(path) = option {
            return Places::Only(path.to_owned());
        }
        let named = self.list("WASESSIOND_CONFIG_PATH");
        if !named.is_empty() {
            return Places::Search(named);
        }
        let from_systemd = self.first_of("CONFIGURATION_DIRECTORY");
        let directories = if self.is_system() {
            let highest = from_systemd.unwrap_or_else(|| Path::new("/etc").join(NAME));
            let run = Path::new("/run").join(TRANSIENT);
            vec![highest, run, Path::new("/usr/lib").join(NAME)]
        } else {
            let own = self.xdg("XDG_CONFIG_HOME", ".config");
            let highest = from_systemd.or_else(|| own.map(|d| d.join(NAME)));
            let run = self.directory("XDG_RUNTIME_DIR").map(|d| d.join(TRANSIENT));
            let mut shared = self.list("XDG_CONFIG_DIRS");
            if shared.is_empty() {
                shared.push(PathBuf::from("/etc/xdg"));
            }
            let shared = shared.into_iter().map(|d| d.join(NAME));
            highest.into_iter().chain(run).chain(shared).collect()
        };
        Places::Search(directories)
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

    /// The first directory of a variable in which systemd lists several.
    fn first_of(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::split_paths(self.get(name)?).next()?;
        path.is_absolute().then_some(path)
    }

    /// The directories of a variable, with colons between them. What is not absolute is ignored.
    fn list(&self, name: &str) -> Vec<PathBuf> {
        let paths = self.get(name).map(std::env::split_paths);
        paths
            .into_iter()
            .flatten()
            .filter(|path| path.is_absolute())
            .collect()
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
            of.config_places(None)
                .main_files()
                .into_iter()
                .next()
                .map(text),
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
            root.config_places(Some(here)),
            Places::Only(here.to_owned())
        );
    }

    #[test]
    fn the_configuration_is_looked_for_from_the_highest_directory_down() {
        let system = [
            "/etc/wasessiond",
            "/run/wasessiond-config",
            "/usr/lib/wasessiond",
        ];
        let xdg = [
            ("HOME", "/home/a"),
            ("XDG_RUNTIME_DIR", "/xr"),
            ("XDG_CONFIG_DIRS", "/x1:relative:/x2"),
        ];
        let own = [
            "/home/a/.config/wasessiond",
            "/xr/wasessiond-config",
            "/x1/wasessiond",
            "/x2/wasessiond",
        ];
        for (uid, variables, expected) in [
            (0, xdg.as_slice(), system.as_slice()),
            (998, &[], &system),
            (
                998,
                &[("CONFIGURATION_DIRECTORY", "/c")],
                &["/c", "/run/wasessiond-config", "/usr/lib/wasessiond"],
            ),
            (1000, &xdg, &own),
            (
                1000,
                &[("CONFIGURATION_DIRECTORY", "/c"), ("HOME", "/home/a")],
                &["/c", "/etc/xdg/wasessiond"],
            ),
            (1000, &[], &["/etc/xdg/wasessiond"]),
            (0, &[("WASESSIOND_CONFIG_PATH", "/a:b:/c")], &["/a", "/c"]),
        ] {
            let directories = expected.iter().map(PathBuf::from).collect();
            assert_eq!(
                environment(uid, variables).config_places(None),
                Places::Search(directories),
                "uid {uid}, {variables:?}"
            );
        }
    }
}
