//! Writes that are on the disk when they return.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::StoreError;

/// Replaces a file: a temporary one in the same directory, synced, renamed over it, the directory
/// synced. A crash leaves the old one or the new one, whole. The file is private (0600).
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(dir)
        .map_err(|e| StoreError::io("make a temporary file in", dir, e))?;
    let written = temporary
        .write_all(bytes)
        .and_then(|()| temporary.as_file().sync_all());
    written.map_err(|e| StoreError::io("write", path, e))?;
    temporary
        .persist(path)
        .map_err(|e| StoreError::io("replace", path, e.error))?;
    sync_dir(dir)
}

/// Makes names that were added to, removed from, or renamed in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| StoreError::io("sync the directory", dir, e))
}

/// Removes what an interrupted [`replace`] left.
pub(super) fn remove_temporaries(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".new-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
