//! Where the values in force come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::files::Masked;

/// A key with its section.
pub(crate) type Name = (&'static str, &'static str);

/// Where the values of a configuration come from. Displayed, it names the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// The files that were read; a later one overrides an earlier one.
    pub files: Vec<PathBuf>,
    /// The files that do not count, because a higher directory has one of the same name.
    pub masked: Vec<Masked>,
    pub(crate) keys: BTreeMap<Name, (PathBuf, usize)>,
}

impl Origins {
    /// The file and the line that set a key; `None`: it has its default.
    #[must_use]
    pub fn get(&self, section: &str, key: &str) -> Option<(&Path, usize)> {
        let mut keys = self.keys.iter();
        let (_, (file, line)) = keys.find(|(name, _)| **name == (section, key))?;
        Some((file, *line))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return f.write_str("defaults");
        }
        for (nth, file) in self.files.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{}", file.display())?;
        }
        Ok(())
    }
}
