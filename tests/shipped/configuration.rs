//! The default configuration: it is made from the table of keys, and every key is in it, commented out,
//! as it is without it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use wasessiond::daemon::config::Config;
use wasessiond::daemon::places;
use wasessiond::service::config::{Key, Section, TakesEffect, Text};
use wasessiond::service::environment::Environment;

use crate::tree;

const FILE: &str = "systemd/etc/wasessiond/config.toml";

/// What stands above the keys.
const HEAD: &str = "\
# The configuration of wasessiond. Every key is here, commented out, with its default. What is set here
# counts; better still, leave this file as it is and write what differs into a file of your own in
# config.toml.d beside it, like config.toml.d/50-local.toml.
#
# `wasessiond check` tells what would be in force and from where, or everything that is wrong.
# `systemctl reload wasessiond` puts it in force; @RESTART@ need a restart,
# which keeps every session. Details: wasessiond.toml(5).
";

/// A key as the file documents it.
pub(crate) struct Documented {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    /// The value behind the comment sign.
    pub(crate) value: String,
    /// What is said of it, in one line.
    pub(crate) about: String,
}

impl Documented {
    fn line(&self) -> String {
        format!("#{} = {}", self.key, self.value)
    }
}

/// Every key of the table.
pub(crate) fn documented() -> Vec<Documented> {
    let defaults = defaults();
    let keys = Config::SECTIONS.iter().flat_map(|section| {
        let keys = section.keys.iter();
        keys.map(|key| document(section, key, &defaults))
    });
    keys.collect()
}

fn document(
    section: &'static Section,
    key: &'static Key,
    defaults: &HashMap<String, Option<String>>,
) -> Documented {
    let name = format!("{}.{}", section.name, key.name);
    let value = defaults[&name].clone();
    let value = value.or_else(|| key.example.map(str::to_owned));
    let about: Vec<_> = key.about.iter().map(|line| line.trim()).collect();
    // The documentation of the code puts sections into code spans, which a plain file does not need.
    let about = about.join(" ").replace("`[", "[").replace("]`", "]");
    Documented {
        section: section.name,
        key: key.name,
        value: value.unwrap_or_else(|| panic!("{name} has neither a default nor an example")),
        about,
    }
}

fn defaults() -> HashMap<String, Option<String>> {
    let entries = Config::default().entries().into_iter();
    entries.map(|entry| (entry.name(), entry.value)).collect()
}

/// The sections whose keys take effect then: `[a], [b] and [c]`.
pub(crate) fn sections(when: TakesEffect) -> String {
    let sections = Config::SECTIONS.iter().filter(|s| s.takes_effect == when);
    let name = |section: &Section| {
        let others = section.keys.iter().filter(|key| key.takes_effect != when);
        let others: Vec<_> = others.map(|key| key.name).collect();
        if others.is_empty() {
            format!("[{}]", section.name)
        } else {
            format!("[{}] (but not {})", section.name, others.join(", "))
        }
    };
    let names: Vec<_> = sections.map(name).collect();
    match names.as_slice() {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.join(""),
    }
}

/// The file, as the table makes it.
fn made() -> String {
    let mut text = HEAD.replace("@RESTART@", &sections(TakesEffect::AtRestart));
    let mut section = "";
    for documented in documented() {
        if documented.section != section {
            section = documented.section;
            let _ = write!(text, "\n[{section}]");
        }
        text.push('\n');
        for line in wrapped(&documented.about) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{}", documented.line());
    }
    text
}

/// Prose in lines that fit.
fn wrapped(prose: &str) -> Vec<String> {
    const WIDTH: usize = 102;
    let mut lines = vec![String::new()];
    for word in prose.split(' ') {
        let last = lines.last_mut().expect("a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= WIDTH {
            last.extend([" ", word]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[test]
fn the_checked_in_file_is_that_of_the_table() {
    tree::same(FILE, &made());
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
fn uncommented(is_wanted: impl Fn(&Documented) -> bool) -> String {
    let wanted = documented().into_iter().filter(is_wanted);
    let wanted: Vec<_> = wanted.map(|key| key.line()).collect();
    let text = tree::read(FILE);
    let lines = text.lines().map(|line| {
        let is_wanted = wanted.iter().any(|wanted| wanted == line);
        let line = if is_wanted { &line[1..] } else { line };
        line.to_owned() + "\n"
    });
    lines.collect()
}

#[test]
fn every_key_is_explained_and_none_twice() {
    let mut names = Vec::new();
    for key in documented() {
        let name = format!("{}.{}", key.section, key.key);
        assert!(!key.about.is_empty(), "{name} is not explained");
        names.push(key.line());
    }
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "two keys have the same line");
}

#[test]
fn as_it_is_it_changes_nothing() {
    assert_eq!(read(tree::read(FILE), false), Config::default());
}

#[test]
fn each_line_uncommented_is_accepted_and_is_the_default() {
    let defaults = defaults();
    // Where the system's daemon keeps things is decided by its environment.
    let system = Environment::default();
    let socket = places::socket(&system, None).expect("a place");
    let state = places::state_directory(&system, None).expect("a place");
    let keys = Config::SECTIONS.iter().flat_map(|section| section.keys);
    for (key, documented) in keys.zip(documented()) {
        let Documented {
            section,
            key: name,
            ref value,
            ref about,
        } = documented;
        let name = format!("{section}.{name}");
        let line = documented.line();
        let config = read(uncommented(|d| d.line() == line), key.only_with.is_some());
        let quoted = |path: &PathBuf| format!("{:?}", path.display().to_string());
        match (name.as_str(), &defaults[&name]) {
            ("socket.path", _) => assert_eq!(*value, quoted(&socket)),
            ("state.directory", _) => assert_eq!(*value, quoted(&state)),
            (_, Some(_)) => assert_eq!(config, Config::default(), "{name}"),
            (_, None) => {
                assert!(about.contains("Not set by default"), "{name}: {about}");
                assert_eq!(config.differences(&Config::default()), [name]);
            }
        }
        assert_eq!(
            key.only_with.is_some(),
            about.contains("Only a build for rehearsals"),
            "{about}"
        );
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
