//! Layered configuration: which files count, what is wrong with them, and where each value comes
//! from. The keys are the program's: it declares them once, in one table (`declare`).
//!
//! A key that is not known, or a value that is not right, is an error with its file, line and column,
//! also where another file would override it; all of them are reported at once. Where one file is wrong,
//! nothing of any is used.

pub(crate) mod declare;
pub(crate) mod duration;
mod files;
pub(crate) mod kinds;
mod origins;
mod problem;
pub(crate) mod reader;
pub(crate) mod table;

pub use files::{Masked, Places, Text};
pub use origins::Origins;
pub use problem::{ConfigError, Fault, Problem};
pub use table::{Entry, Key, Section, TakesEffect};

/// Reads the files of these places, and lets `parse` make a configuration of them. Blocks.
///
/// # Errors
/// [`ConfigError`] says everything that is wrong with any of them.
pub fn load<C>(
    places: &Places,
    parse: impl FnOnce(&[Text]) -> Result<(C, Origins), ConfigError>,
) -> Result<(C, Origins), ConfigError> {
    let found = places.read();
    let mut faults = found.faults;
    match parse(&found.texts) {
        Ok((config, mut origins)) if faults.is_empty() => {
            origins.masked = found.masked;
            Ok((config, origins))
        }
        Ok(_) => Err(ConfigError { faults }),
        Err(error) => {
            faults.extend(error.faults);
            Err(ConfigError { faults })
        }
    }
}
