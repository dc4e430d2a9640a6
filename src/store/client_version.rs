//! `client-version.toml`: the version of WhatsApp Web that was fetched last, for starts that cannot fetch one.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::Replacing;
use super::step::Step;
use super::{StoreError, durable, regular};

pub(super) const FILE: &str = "client-version.toml";

const STEPS: Replacing = Replacing {
    write: Step::VersionWrite,
    sync: Step::VersionSync,
    rename: Step::VersionRename,
    sync_dir: Step::VersionSyncDir,
};

/// A version of WhatsApp Web, and when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion {
    /// Primary, secondary, tertiary.
    pub version: (u32, u32, u32),
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

pub(super) fn read(path: &Path) -> Result<Option<ClientVersion>, StoreError> {
    let bytes = match regular::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::unavailable("read", path, e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let version = toml::from_str(&text);
    version
        .map(Some)
        .map_err(|e| StoreError::unusable(path, e.to_string()))
}

pub(super) fn write(path: &Path, version: &ClientVersion) -> Result<(), StoreError> {
    let text = toml::to_string(version)
        .map_err(|e| StoreError::unusable(path, format!("it cannot be written: {e}")))?;
    durable::replace(path, text.as_bytes(), &STEPS)
}
