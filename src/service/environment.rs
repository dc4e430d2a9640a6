//! The environment of a program, and the places of its configuration files.
//!
//! The environment is read once, at the start, and handed down as a value.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::config::Places;

/// The environment of a program: its user and its variables.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The uid it runs as.
    pub uid: u32,
    /// The home directory of that user as the name service has it, where `$HOME` does not say it.
    pub home: Option<PathBuf>,
    /// The environment variables.
    pub variables: HashMap<OsString, OsString>,
}

/// The names of a program's configuration.
#[derive(Debug, Clone, Copy)]
pub struct ConfigNames {
    /// The name of its directory wherever there are many.
    pub directory: &'static str,
    /// The name of its directory in `/run`, for what lasts until the next boot.
    pub transient: &'static str,
    /// The variable that replaces all directories.
    pub variable: &'static str,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let uid = Uid::effective();
        // The name service may hang. Where the variable says it, nobody has to ask.
        let home = match std::env::var_os("HOME") {
            Some(home) if Path::new(&home).is_absolute() => None,
            _ => User::from_uid(uid).ok().flatten().map(|user| user.dir),
        };
        Self {
            uid: uid.as_raw(),
            home,
            variables: std::env::vars_os().collect(),
        }
    }

    /// A variable, unless it is empty: that counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }

    /// Whether it runs for the whole system, not for one person.
    #[must_use]
    pub fn is_system(&self) -> bool {
        // System accounts by the distributions' convention, and systemd's dynamic users.
        matches!(self.uid, 0..1000 | 61184..=65519)
    }

    /// Where the configuration files are.
    #[must_use]
    pub fn config_places(&self, names: ConfigNames, option: Option<&Path>) -> Places {
        if let Some(path) = option {
            return Places::Only(path.to_owned());
        }
        let replacing = self.list(names.variable);
        if !replacing.is_empty() {
            return Places::Search(replacing);
        }
        let from_systemd = self.first_of("CONFIGURATION_DIRECTORY");
        let directories = if self.is_system() {
            let highest = from_systemd.unwrap_or_else(|| Path::new("/etc").join(names.directory));
            let run = Path::new("/run").join(names.transient);
            vec![highest, run, Path::new("/usr/lib").join(names.directory)]
        } else {
            let own = self.xdg("XDG_CONFIG_HOME", ".config");
            let highest = from_systemd.or_else(|| own.map(|d| d.join(names.directory)));
            let run = self
                .directory("XDG_RUNTIME_DIR")
                .map(|d| d.join(names.transient));
            let mut shared = self.list("XDG_CONFIG_DIRS");
            if shared.is_empty() {
                shared.push(PathBuf::from("/etc/xdg"));
            }
            let shared = shared.into_iter().map(|d| d.join(names.directory));
            highest.into_iter().chain(run).chain(shared).collect()
        };
        Places::Search(directories)
    }

    /// A variable that names a directory. One that is not absolute is ignored, as the XDG
    /// specification asks.
    pub(crate) fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|d| d.is_absolute())
    }

    /// The first directory of a variable in which systemd lists several.
    pub(crate) fn first_of(&self, name: &str) -> Option<PathBuf> {
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

    pub(crate) fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        self.directory(name).or_else(|| {
            let home = self.directory("HOME").or_else(|| self.home.clone())?;
            Some(home.join(below_home))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: ConfigNames = ConfigNames {
        directory: "wasessiond",
        transient: "wasessiond-config",
        variable: "WASESSIOND_CONFIG_PATH",
    };

    fn environment(uid: u32, variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        Environment {
            uid,
            home: None,
            variables: variables.collect(),
        }
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
                environment(uid, variables).config_places(NAMES, None),
                Places::Search(directories),
                "uid {uid}, {variables:?}"
            );
        }
    }
}
