//! The id of a user: the tenant whose session the daemon owns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A user's id: 1 to 64 bytes of `[A-Za-z0-9][A-Za-z0-9._+@-]*`.
///
/// It names a directory, so it can never be empty, hidden, a path, or `..`; the type makes sure of
/// it, so a `UserId` is always a good one. It travels as a plain string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// A string that is not a user id, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{shown:?} is not a user id: {why}. A user id is 1-64 of A-Z a-z 0-9 . _ + @ - and starts with a letter or a digit"
)]
pub struct InvalidUserId {
    shown: String,
    why: &'static str,
}

impl UserId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(id: &str) -> Result<(), &'static str> {
        let first = *id.as_bytes().first().ok_or("it is empty")?;
        if id.len() > Self::MAX_LEN {
            return Err("it is longer than 64 bytes");
        }
        if !first.is_ascii_alphanumeric() {
            return Err("it does not start with a letter or a digit");
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte);
        if !id.bytes().all(allowed) {
            return Err("it has a character that is not allowed");
        }
        Ok(())
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(id: &str) -> Result<Self, InvalidUserId> {
        Self::try_from(id.to_owned())
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidUserId;

    fn try_from(id: String) -> Result<Self, InvalidUserId> {
        match Self::check(&id) {
            Ok(()) => Ok(Self(id)),
            // What is shown is bounded: the string may be a hostile megabyte.
            Err(why) => Err(InvalidUserId {
                shown: id.chars().take(Self::MAX_LEN + 1).collect(),
                why,
            }),
        }
    }
}

impl From<UserId> for String {
    fn from(user: UserId) -> Self {
        user.0
    }
}

impl AsRef<str> for UserId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_ids_are_taken_as_they_are() {
        let longest = "a".repeat(64);
        for id in [
            "a",
            "9",
            "alice",
            "Alice.B_c+d@example-1.org",
            "a..",
            longest.as_str(),
        ] {
            assert_eq!(id.parse::<UserId>().map(String::from), Ok(id.to_owned()));
        }
    }

    #[test]
    fn bad_ids_say_why() {
        let too_long = "a".repeat(65);
        for (id, why) in [
            ("", "it is empty"),
            ("..", "start with"),
            (".hidden", "start with"),
            ("/", "start with"),
            ("-rf", "start with"),
            ("a/b", "not allowed"),
            ("a\0b", "not allowed"),
            ("a b", "not allowed"),
            ("ä", "start with"),
            ("aä", "not allowed"),
            (too_long.as_str(), "longer than 64"),
        ] {
            let error = id.parse::<UserId>().expect_err("a bad id was taken");
            assert!(error.to_string().contains(why), "{id:?}: {error}");
        }
    }

    #[test]
    fn a_huge_bad_id_is_not_repeated_in_the_error() {
        let error = "x".repeat(1 << 20).parse::<UserId>().expect_err("too long");
        assert!(error.to_string().len() < 300);
    }

    proptest! {
        #[test]
        fn no_id_leaves_its_directory(id in ".*") {
            if let Ok(user) = id.parse::<UserId>() {
                let path = std::path::Path::new("/sessions").join(user.as_str());
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/sessions")));
                prop_assert_eq!(path.components().count(), 3);
            }
        }
    }
}
