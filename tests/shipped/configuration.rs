//! The default configuration: every key is in it, commented out, as it is without it.

use std::collections::HashMap;
use std::path::PathBuf;

use wasessiond::daemon::config::{Config, KEYS, Text};
use wasessiond::daemon::environment::Environment;

use crate::tree;

const FILE: &str = "systemd/etc/wasessiond/config.toml";

/// A key as the file documents it.
pub(crate) struct Documented {
    pub(crate) section: String,
    pub(crate) key: String,
    /// The value behind the comment sign.
    pub(crate) value: String,
    /// What is said of it, in one line.
    pub(crate) about: String,
    /// The number of its line, from 0.
    line: usize,
}

pub(crate) fn documented() -> Vec<Documented> {
    let text = tree::read(FILE);
    let mut keys = Vec::new();
    let (mut section, mut about) = (String::new(), Vec::new());
    for (line, text) in text.lines().enumerate() {
        if let Some(name) = text.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some(prose) = text.strip_prefix("# ") {
            about.push(prose);
            continue;
        } else if let Some(assignment) = text.strip_prefix('#').filter(|rest| !rest.is_empty()) {
            let (key, value) = assignment
                .split_once(" = ")
                .unwrap_or_else(|| panic!("line {}: {text}", line + 1));
            keys.push(Documented {
                section: section.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                about: about.join(" "),
                line,
            });
        }
        about.clear();
    }
    keys
}

fn read(text: String, simulator: bool) -> Config {
    let texts = [Text {
        file: PathBuf::from(FILE),
        text,
    }];
    let read = Config::parse(&texts, simulator);
    read.unwrap_or_else(|e| panic!("{e}")).0
}

/// The file with these lines uncommented.
fn uncommented(lines: impl Fn(&Documented) -> bool) -> String {
    let wanted: Vec<_> = documented().into_iter().filter(lines).collect();
    let text = tree::read(FILE);
    let lines = text.lines().enumerate().map(|(nth, line)| {
        let wanted = wanted.iter().any(|key| key.line == nth);
        let line = if wanted { &line[1..] } else { line };
        line.to_owned() + "\n"
    });
    lines.collect()
}

#[test]
fn every_key_that_the_daemon_knows_is_in_it_and_no_other() {
    let known: Vec<_> = KEYS
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
        .collect();
    let mut there: Vec<_> = documented()
        .iter()
        .map(|d| format!("{}.{}", d.section, d.key))
        .collect();
    let mut expected = known.clone();
    expected.sort();
    there.sort();
    assert_eq!(there, expected);
    for key in documented() {
        assert!(
            !key.about.is_empty(),
            "{}.{} is not documented",
            key.section,
            key.key
        );
    }
}

#[test]
fn as_it_is_it_changes_nothing() {
    assert_eq!(read(tree::read(FILE), false), Config::default());
}

#[test]
fn each_line_uncommented_is_accepted_and_is_the_default() {
    let defaults: HashMap<_, _> = Config::default()
        .entries()
        .into_iter()
        .map(|entry| (entry.name(), entry.value))
        .collect();
    // Where the system's daemon keeps things is decided by its environment.
    let system = Environment::default();
    let socket = system.socket(None).expect("a place").display().to_string();
    let state = system.state_directory(None).expect("a place");
    for Documented {
        section,
        key,
        value,
        about,
        line,
    } in documented()
    {
        let name = format!("{section}.{key}");
        let simulators = about.contains("Only a build for rehearsals");
        let config = read(uncommented(|d| d.line == line), simulators);
        match (name.as_str(), &defaults[&name]) {
            ("socket.path", _) => assert_eq!(value, format!("{socket:?}")),
            ("state.directory", _) => {
                assert_eq!(value, format!("{:?}", state.display().to_string()));
            }
            (_, Some(default)) => {
                assert_eq!(&value, default, "{name}");
                assert_eq!(config, Config::default(), "{name}");
            }
            (_, None) => {
                assert!(about.contains("Not set by default"), "{name}: {about}");
                assert_eq!(config.differences(&Config::default()), [name]);
            }
        }
    }
    // And all at once.
    read(uncommented(|_| true), true);
}

#[test]
fn the_readmes_example_is_accepted() {
    let readme = tree::read("README.md");
    let examples: Vec<_> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!examples.is_empty(), "the README has an example");
    for example in examples {
        let config = read(example.to_owned(), false);
        assert!(!config.differences(&Config::default()).is_empty());
    }
}
