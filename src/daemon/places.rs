//! The default places of the configuration files, the state directory and the socket.
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

use std::path::{Path, PathBuf};

use crate::service::config::Places;
use crate::service::environment::{ConfigNames, Environment};

/// `/run/wasessiond` is the service's own: its account can write there, and systemd may remove it with
/// the service. So configuration that lasts until the next boot has another directory.
const NAMES: ConfigNames = ConfigNames {
    directory: "wasessiond",
    transient: "wasessiond-config",
    variable: "WASESSIOND_CONFIG_PATH",
};

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

/// Where the configuration files are; `option` is what the command line says.
#[must_use]
pub fn config(environment: &Environment, option: Option<&Path>) -> Places {
    environment.config_places(NAMES, option)
}

/// The state directory; `configured` is what the command line or the file says.
///
/// # Errors
/// [`NoPlace`] when nothing names one.
pub fn state_directory(
    environment: &Environment,
    configured: Option<&Path>,
) -> Result<PathBuf, NoPlace> {
    if let Some(path) = configured {
        return Ok(path.to_owned());
    }
    if let Some(path) = environment.first_of("STATE_DIRECTORY") {
        return Ok(path);
    }
    if environment.is_system() {
        return Ok(Path::new("/var/lib").join(NAMES.directory));
    }
    let state = environment
        .xdg("XDG_STATE_HOME", ".local/state")
        .ok_or(NoPlace {
            what: "the sessions",
            missing: "neither XDG_STATE_HOME nor HOME",
            option: "--state DIR",
        })?;
    Ok(state.join(NAMES.directory))
}

/// The control socket; `configured` is what the command line or the file says.
///
/// # Errors
/// [`NoPlace`] when nothing names one: a socket in a directory that everybody can write would be
/// anybody's to replace, so there is no further fallback.
pub fn socket(environment: &Environment, configured: Option<&Path>) -> Result<PathBuf, NoPlace> {
    if let Some(path) = configured {
        return Ok(path.to_owned());
    }
    let directory = match environment.first_of("RUNTIME_DIRECTORY") {
        Some(path) => path,
        None if environment.is_system() => Path::new("/run").join(NAMES.directory),
        None => environment
            .directory("XDG_RUNTIME_DIR")
            .map(|d| d.join(NAMES.directory))
            .ok_or(NoPlace {
                what: "the control socket",
                missing: "XDG_RUNTIME_DIR",
                option: "--socket PATH",
            })?,
    };
    Ok(directory.join("control.sock"))
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
            config(of, None).main_files().into_iter().next().map(text),
            state_directory(of, None).ok().map(text),
            socket(of, None).ok().map(text),
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
        let error = socket(&environment(1000, &[]), None).expect_err("no place");
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
        assert!(error.to_string().contains("--socket"), "{error}");
    }

    #[test]
    fn what_is_said_wins() {
        let root = environment(0, &[("STATE_DIRECTORY", "/s"), ("RUNTIME_DIRECTORY", "/r")]);
        let here = Path::new("/here");
        assert_eq!(state_directory(&root, Some(here)).as_deref(), Ok(here));
        assert_eq!(socket(&root, Some(here)).as_deref(), Ok(here));
        assert_eq!(config(&root, Some(here)), Places::Only(here.to_owned()));
    }
}
