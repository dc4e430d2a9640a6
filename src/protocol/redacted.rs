//! Strings that must not reach a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A string that links a device or opens an account: a QR payload, a pair code, an appeal token.
///
/// It travels as a plain string, but `Debug` shows `[redacted]` and there is no `Display`: it reaches
/// a person only where code asks for it by name, with [`Redacted::reveal`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Redacted(String);

impl Redacted {
    /// The string itself, for showing it to the person it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Redacted {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl From<&str> for Redacted {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_it() {
        let secret = Redacted::from("2@abc,def");
        assert_eq!(format!("{secret:?} {secret:#?}"), "[redacted] [redacted]");
        assert_eq!(secret.reveal(), "2@abc,def");
    }
}
