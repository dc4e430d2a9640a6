//! A program's keys, each declared once.
//!
//! [`configuration!`](crate::service::config::table::configuration) makes of one table the types, the
//! defaults, the reader, the writer, what a reload takes, and the words that the manual and the
//! commented configuration file show.

use std::fmt::Write as _;

use super::Origins;

/// A section as the table declares it.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// When a change of its keys takes effect.
    pub takes_effect: TakesEffect,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// Whether it has a key of this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
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

/// Declares a configuration: for each section its type and when a change takes effect, for each key
/// its words, name, type, default and [kind](super::kinds), then an example where the default is that
/// it is not set, and the cargo feature without which it is refused.
macro_rules! configuration {
    (
        $(#[doc = $about:literal])+
        $config:ident;
        $(
            $(#[doc = $section_about:literal])+
            $section:ident: $struct:ident, $takes_effect:ident {
                $(
                    $(#[doc = $words:literal])+
                    $key:ident: $type:ty = $default:expr, $kind:expr
                        $(, example $example:literal)? $(, only_with $feature:literal)?;
                )+
            }
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $config {
            $(
                $(#[doc = $section_about])+
                pub $section: $struct,
            )+
        }

        $(
            $(#[doc = $section_about])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $struct {
                $(
                    $(#[doc = $words])+
                    pub $key: $type,
                )+
            }
        )+

        impl Default for $config {
            fn default() -> Self {
                Self {
                    $($section: $struct { $($key: $default,)+ },)+
                }
            }
        }

        impl $config {
            /// The sections and their keys, in the order of the documentation.
            pub const SECTIONS: &'static [$crate::service::config::Section] = &[$(
                $crate::service::config::Section {
                    name: stringify!($section),
                    takes_effect: $crate::service::config::TakesEffect::$takes_effect,
                    keys: &[$(
                        $crate::service::config::Key {
                            name: stringify!($key),
                            about: &[$($words),+],
                            example: $crate::service::config::table::optional!($($example)?),
                            only_with: $crate::service::config::table::optional!($($feature)?),
                        },
                    )+],
                },
            )+];

            /// Reads every key. One that is nowhere, or wrong, has its default.
            pub(crate) fn read(from: &mut $crate::service::config::reader::Reader<'_>) -> Self {
                Self {
                    $($section: $struct {
                        $($key: from
                            .read(stringify!($section), stringify!($key), &$kind)
                            .unwrap_or_else(|| $default),)+
                    },)+
                }
            }

            /// Every key and its value, in the order of the documentation.
            #[must_use]
            pub fn entries(&self) -> Vec<$crate::service::config::Entry> {
                use $crate::service::config::kinds::Kind as _;
                vec![$($(
                    $crate::service::config::Entry {
                        section: stringify!($section),
                        key: stringify!($key),
                        value: $kind.write(&self.$section.$key),
                    },
                )+)+]
            }

            /// Takes from `present` what changes only at a restart.
            pub(crate) fn keep_until_restart(&mut self, present: &Self) {
                $(
                    if $crate::service::config::TakesEffect::$takes_effect
                        == $crate::service::config::TakesEffect::AtRestart
                    {
                        self.$section = present.$section.clone();
                    }
                )+
            }
        }
    };
}

/// `Some` of what is there.
macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

pub(crate) use {configuration, optional};
