//! Writes that are on the disk when they return.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::StoreError;
use super::step::Step;

/// The steps of a [`replace`].
pub(super) struct Replacing {
    pub(super) write: Step,
    pub(super) sync: Step,
    pub(super) rename: Step,
    pub(super) sync_dir: Step,
}

/// Replaces a file: a temporary one in the same directory, synced, renamed over it, the directory
/// synced. A crash leaves the old one or the new one, whole. The file is private (0600).
pub(super) fn replace(path: &Path, bytes: &[u8], steps: &Replacing) -> Result<(), StoreError> {
    let dir = parent(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(dir)
        .map_err(|e| StoreError::unavailable("make a temporary file in", dir, e))?;
    let written = steps
        .write
        .take(|| temporary.write_all(bytes))
        .and_then(|()| steps.sync.take(|| temporary.as_file().sync_all()));
    written.map_err(|e| StoreError::unavailable("write", path, e))?;
    steps
        .rename
        .take(|| temporary.persist(path).map_err(|e| e.error))
        .map_err(|e| StoreError::unavailable("replace", path, e))?;
    sync_dir(dir, steps.sync_dir)
}

/// Makes names that were added to, removed from, or renamed in a directory durable.
pub(super) fn sync_dir(dir: &Path, step: Step) -> Result<(), StoreError> {
    step.take(|| File::open(dir).and_then(|d| d.sync_all()))
        .map_err(|e| StoreError::unavailable("sync the directory", dir, e))
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
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
