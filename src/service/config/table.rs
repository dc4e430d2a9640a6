//! The keys of a program, as its table declares them, and their values as a file.

use std::fmt::Write as _;

use super::Origins;

/// A section as the table declares it.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// When a change of its keys takes effect, but for those that say something else.
    pub takes_effect: TakesEffect,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Whether it has a key of this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.key(key).is_some()
    }
}

/// When a change of a key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TakesEffect {
    /// When the configuration is reloaded.
    AtReload,
    /// When the program is restarted.
    AtRestart,
}

/// A key as the table declares it.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The lines that explain it, each with a space before it.
    pub about: &'static [&'static str],
    /// A value to show where the default is that the key is not set; as TOML.
    pub example: Option<&'static str>,
    /// The cargo feature without which a build refuses the key.
    pub only_with: Option<&'static str>,
    /// When a change of it takes effect.
    pub takes_effect: TakesEffect,
}

/// A key of a configuration, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section.
    pub section: &'static str,
    /// The key.
    pub key: &'static str,
    /// The value as TOML; `None`: it is not set.
    pub value: Option<String>,
}

impl Entry {
    /// The key with its section: `logout.deadline`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Writes entries as a file that would say the same. What is not at its default has its origin beside
/// it.
pub(crate) fn to_toml(entries: Vec<Entry>, origins: &Origins) -> String {
    let mut toml = String::new();
    let mut section = "";
    for entry in entries {
        if entry.section != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = entry.section;
            // Writing to a String does not fail.
            let _ = writeln!(toml, "{gap}[{section}]");
        }
        let origin = match origins.get(section, entry.key) {
            Some((file, line)) => format!("  # {}:{line}", file.display()),
            None => String::new(),
        };
        let _ = match (entry.key, entry.value) {
            (key, Some(value)) => writeln!(toml, "{key} = {value}{origin}"),
            (key, None) => writeln!(toml, "# {key} is not set"),
        };
    }
    toml
}
