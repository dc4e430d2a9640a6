//! The problems of configuration files, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The file could not be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// The file was read, and is wrong.
    Wrong {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it, in its order.
        problems: Vec<Problem>,
    },
}

/// A configuration that cannot be used. Its text names every problem of every file, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The files that are wrong.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => {
                write!(f, "cannot read the configuration {}: {why}", file.display())
            }
            Self::Wrong { file, problems } => {
                for (nth, Problem { line, column, what }) in problems.iter().enumerate() {
                    let newline = if nth == 0 { "" } else { "\n" };
                    write!(f, "{newline}{}:{line}:{column}: {what}", file.display())?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, fault) in self.faults.iter().enumerate() {
            let newline = if nth == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects what is wrong with one file while it is read.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    file: &'t Path,
    text: &'t str,
    // With the offset, so that they can be sorted in the order of the file.
    found: Vec<(usize, String)>,
}

impl<'t> Problems<'t> {
    pub(super) fn of(file: &'t Path, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// Something is wrong with what stands at `span`.
    pub(super) fn add(&mut self, span: &Range<usize>, what: impl Into<String>) {
        self.found.push((span.start, what.into()));
    }

    /// The file, and the line of a place in it.
    pub(super) fn place(&self, offset: usize) -> (&'t Path, usize) {
        (self.file, position(self.text, offset).0)
    }

    /// The fault of the file, if there is a problem.
    pub(super) fn into_fault(mut self) -> Option<Fault> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        let text = self.text;
        let problems = self.found.into_iter().map(|(offset, what)| {
            let (line, column) = position(text, offset);
            Problem { line, column, what }
        });
        Some(Fault::Wrong {
            file: self.file.to_owned(),
            problems: problems.collect(),
        })
    }
}

/// Line and column of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before: String = text
        .char_indices()
        .take_while(|(at, _)| *at < offset)
        .map(|(_, c)| c)
        .collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let text = "a\nüb\n";
        for (offset, place) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (2, 1)),
            (4, (2, 2)),
            (99, (3, 1)),
        ] {
            assert_eq!(position(text, offset), place, "{offset}");
        }
    }
}
