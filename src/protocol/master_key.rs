//! The master key, which wraps the keys of all sessions. What it is travels nowhere.

use serde::{Deserialize, Serialize};

use super::UserId;
use super::limits::{MAX_TEXT, cut};
use super::name::open_names;

open_names! {
    /// Where a master key comes from.
    pub enum KeySource {
        /// systemd gave it to the service as a credential.
        Credential = "credential",
        /// It lies in the file `key` of the state directory.
        File = "file",
    }
}

/// About the master key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MasterKey {
    /// Where it comes from; `None`: there is none that can be used.
    pub source: Option<KeySource>,
    /// Its id in hex, which says nothing about the key.
    pub id: Option<String>,
    /// Whether a rotation is not over: the key before it is needed, too.
    pub rotating: bool,
    /// Why there is none that can be used.
    pub error: Option<String>,
}

/// What a rotation of the master key did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RotatedKey {
    /// The id of the master key now, in hex.
    pub id: String,
    /// Whether it is a new one. It is not where the rotation before could only be finished, or not even that.
    pub begun: bool,
    /// How many keys of sessions were wrapped anew.
    pub wrapped: u64,
    /// The users whose keys could not be wrapped anew, and why: the first hundred.
    pub left: Vec<LeftKey>,
    /// How many these users are in all.
    pub left_total: u64,
    /// Whether the rotation is over: the key before it is needed no more, and destroyed.
    pub finished: bool,
}

/// The key of a session that could not be wrapped anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftKey {
    /// Whose it is.
    pub user: UserId,
    /// Why.
    pub why: String,
}

impl LeftKey {
    /// The key of this user, with a reason, which is cut at [`MAX_TEXT`].
    #[must_use]
    pub fn new(user: UserId, why: impl Into<String>) -> Self {
        Self {
            user,
            why: cut(why.into(), MAX_TEXT),
        }
    }
}
