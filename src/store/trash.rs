//! What purges have renamed: nobody's session any more, and erased as soon as it can be.
//!
//! A directory's name is `<user>.<cause>.<id of the purge>`: on a full disk it is all that a crash
//! leaves to tell why.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::purge::{INTENT, Intent, PurgeFailed, Written};
use super::step::Step;
use super::{History, Record, StoreError, durable, record};
use crate::protocol::{Cause, HistoryEntry, Removed, Unlink, UserId};

/// What a purge left in the trash: because of a crash, or because it could not be erased.
#[derive(Debug)]
pub struct Leftover {
    dir: PathBuf,
    /// Whose session it was, as the directory's name has it.
    pub user: String,
    /// The purge's name.
    pub id: String,
    /// The line that belongs into the history; `None` where nothing tells whose it was.
    pub entry: Option<HistoryEntry>,
}

impl Leftover {
    /// Finishes its purge: writes its line into the history if it is missing, and erases it.
    ///
    /// # Errors
    /// [`PurgeFailed`]: it is still there, at least in part. It can be called again.
    pub fn conclude(&self, history: &History) -> Result<(), PurgeFailed> {
        match &self.entry {
            Some(entry) => conclude(&self.dir, &self.id, entry, history),
            None => erase(&self.dir),
        }
    }
}

/// The name in the trash.
pub(super) fn name(intent: &Intent, id: &str) -> String {
    format!("{}.{}.{id}", intent.user, intent.cause)
}

pub(super) fn leftovers(trash: &Path) -> Result<Vec<Leftover>, StoreError> {
    let entries = fs::read_dir(trash).map_err(|e| StoreError::unavailable("read", trash, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let dir = entry
            .map_err(|e| StoreError::unavailable("read", trash, e))?
            .path();
        found.push(leftover(dir));
    }
    Ok(found)
}

fn leftover(dir: PathBuf) -> Leftover {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    // The user's id may hold dots, the cause and the purge's name do not.
    let mut parts = name.rsplitn(3, '.');
    let id = parts.next().unwrap_or_default().to_owned();
    let cause = parts.next().and_then(|cause| cause.parse().ok());
    let user = parts.next().unwrap_or_default().to_owned();
    let told = fs::read(dir.join(INTENT))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Written<Intent>>(&bytes).ok());
    let entry = match told {
        Some(written) => Some(written.intent.entry(written.removed)),
        None => cause.and_then(|cause| reconstruct(&dir, &user, cause)),
    };
    Leftover {
        dir,
        user,
        id,
        entry,
    }
}

/// The line of a purge whose intent could not be written: from the name and the record.
fn reconstruct(dir: &Path, user: &str, cause: Cause) -> Option<HistoryEntry> {
    let user: UserId = user.parse().ok()?;
    let record = Record::read(dir).ok();
    let at = fs::metadata(dir).and_then(|meta| meta.modified()).ok();
    let mut removed = measure(dir);
    removed.targets = record.as_ref().map_or(0, |record| {
        u32::try_from(record.targets.len()).unwrap_or(u32::MAX)
    });
    Some(HistoryEntry {
        at: at
            .and_then(|at| Timestamp::try_from(at).ok())
            .unwrap_or_else(Timestamp::now),
        user,
        cause,
        owner: record.as_ref().map_or(0, |record| record.owner),
        requested_by: None,
        // Nobody can tell any more; then the person is told to look at the phone.
        unlink: Unlink::Unreachable,
        removed,
        account: record.and_then(|record| record.account),
        text: None,
        appeal_token: None,
    })
}

/// Writes the history and erases the directory.
pub(super) fn conclude(
    dir: &Path,
    id: &str,
    entry: &HistoryEntry,
    history: &History,
) -> Result<(), PurgeFailed> {
    if history.append(id, entry).is_err() {
        // On a full disk, erasing makes the room that the line needs. What the line says stays in the
        // trash until it is durable.
        make_room(dir)?;
        history.append(id, entry).map_err(|e| left(dir, e))?;
    }
    erase(dir)
}

/// Erases what takes room, and keeps what tells whose session it was.
fn make_room(dir: &Path) -> Result<(), PurgeFailed> {
    empty(dir, &|name| name != INTENT && name != record::FILE).map_err(|e| left(dir, e))
}

fn erase(dir: &Path) -> Result<(), PurgeFailed> {
    // What tells whose session it was goes last.
    make_room(dir)?;
    remove(dir)
        .and_then(|()| durable::sync_dir(durable::parent(dir), Step::EraseSync))
        .map_err(|e| left(dir, e))
}

fn left(dir: &Path, source: StoreError) -> PurgeFailed {
    PurgeFailed {
        left: dir.to_owned(),
        source,
    }
}

/// Removes a file, or a directory with all that is in it. What is not there is removed.
fn remove(path: &Path) -> Result<(), StoreError> {
    let erased = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            empty(path, &|_| true)?;
            Step::EraseDir.take(|| fs::remove_dir(path))
        }
        Ok(_) => Step::EraseFile.take(|| fs::remove_file(path)),
        Err(e) => Err(e),
    };
    match erased {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::unavailable("erase", path, e)),
        _ => Ok(()),
    }
}

/// Removes what is in a directory, as far as it is meant. Of what cannot be removed the first is told;
/// the rest goes all the same.
fn empty(dir: &Path, meant: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
    match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => {}
        // A file in the place of a directory has nothing in it.
        _ => return Ok(()),
    }
    // Somebody may have taken the owner's right to it away.
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    let entries = fs::read_dir(dir).map_err(|e| StoreError::unavailable("read", dir, e))?;
    let mut done = Ok(());
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::unavailable("read", dir, e))?;
        if meant(&entry.file_name().to_string_lossy()) {
            done = done.and(remove(&entry.path()));
        }
    }
    done
}

/// Counts the files below a directory and their bytes. The intent is the purge's own, so it does not
/// count; what cannot be read counts as nothing.
pub(super) fn measure(dir: &Path) -> Removed {
    let mut removed = Removed::default();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => pending.push(entry.path()),
                Ok(meta) if entry.file_name() != INTENT => {
                    removed.files += 1;
                    removed.bytes += meta.len();
                }
                _ => {}
            }
        }
    }
    removed
}
