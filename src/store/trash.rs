//! The trash: directories that removals have renamed. They are no sessions any more, and are erased as
//! soon as possible.
//!
//! A directory's name is `<user>.<cause>.<id of the removal>`. On a full disk nothing else says after a
//! crash why the session ended.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::intent::Intent;
use super::masters::Masters;
use super::record::RecordKey;
use super::step::Step;
use super::{Record, StoreError, former, record, shred, vault};
use crate::protocol::{Cause, HistoryEntry, Removed, Unlink, UserId};

/// The name in the trash.
pub(super) fn name(intent: &Intent, id: &str) -> String {
    format!("{}.{}.{id}", intent.user, intent.cause)
}

/// What the name of a directory in the trash says.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) user: String,
    pub(super) cause: Option<Cause>,
    pub(super) id: String,
}

impl Name {
    pub(super) fn from_path(dir: &Path) -> Self {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        // The user's id may hold dots, the cause and the removal's id do not.
        let mut parts = name.rsplitn(3, '.');
        let id = parts.next().unwrap_or_default().to_owned();
        let cause = parts.next().and_then(|cause| cause.parse().ok());
        let user = parts.next().unwrap_or_default().to_owned();
        Self { user, cause, id }
    }
}

/// Everything that is in the trash.
pub(super) fn list(trash: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let unreadable = |e| StoreError::unavailable("read", trash, e);
    let entries = fs::read_dir(trash).map_err(unreadable)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
        .collect()
}

/// The ids of the removals whose sessions are in the trash.
pub(super) fn ids(trash: &Path) -> Result<HashSet<String>, StoreError> {
    let dirs = list(trash)?;
    Ok(dirs.iter().map(|dir| Name::from_path(dir).id).collect())
}

/// The line of a removal whose intent could not be written: from the name and the record. Where the record
/// cannot be opened, from what of it is in clear.
pub(super) fn reconstruct(dir: &Path, name: &Name, masters: &Masters) -> Option<HistoryEntry> {
    let user: UserId = name.user.parse().ok()?;
    let cause = name.cause?;
    let key = RecordKey { dir, masters };
    let record = Record::read(&key).unwrap_or_else(|e| {
        tracing::warn!("the record of {user}, whose session has ended, cannot be used: {e}");
        Record::stand_in_for(dir)
    });
    let at = fs::metadata(dir).and_then(|meta| meta.modified()).ok();
    let mut removed = measure(dir);
    removed.targets = u32::try_from(record.targets.len()).unwrap_or(u32::MAX);
    let (text, appeal_token) = record
        .lock
        .map_or((None, None), |lock| (lock.text, lock.appeal_token));
    Some(HistoryEntry {
        at: at
            .and_then(|at| Timestamp::try_from(at).ok())
            .unwrap_or_else(Timestamp::now),
        user,
        cause,
        owner: record.owner,
        requested_by: None,
        // Nobody knows how the unlink went, so the person is asked to look at the phone.
        unlink: Unlink::Unreachable,
        removed,
        linked_at: record.linked_at,
        text,
        appeal_token,
        restrictions: record.restrictions,
        account: record.account,
    })
}

/// Whether the line of a removal is on the disk without its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intended {
    /// Its intent is.
    Yes,
    /// It is not: only the record says whose session it was.
    No,
}

/// Erases what takes room, and keeps the record. The session's key goes first, destroyed: what the disk may keep
/// of the vault and of the record is noise then. Where only the record says whose session it was, the key is kept
/// with it. Credentials of a former layout are not sealed, so they are destroyed whole.
pub(super) fn make_room(dir: &Path, intended: Intended) -> Result<(), StoreError> {
    let is_kept = |name: &str| {
        let is_needed = intended == Intended::No && name == vault::KEY_FILE;
        name == record::FILE || is_needed
    };
    let mut destroyed = Ok(());
    if intended == Intended::Yes {
        destroyed = shred::files_in(dir, |name| name == vault::KEY_FILE);
    }
    let destroyed = destroyed.and(shred::files_in(dir, former::is_part));
    if let Err(e) = destroyed {
        tracing::warn!("a key was not overwritten, and is removed like any other file: {e}");
    }
    empty(dir, &|name| !is_kept(name))
}

/// Erases a directory in the trash. The record, which says whose session it was, goes last.
pub(super) fn erase(dir: &Path) -> Result<(), StoreError> {
    make_room(dir, Intended::Yes)?;
    if Record::may_lie_in_clear(dir) {
        shred::files_in(dir, |name| name == record::FILE)?;
    }
    remove(dir)
}

/// Removes a file, or a directory with all that is in it. A path that does not exist is no error.
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

/// Removes the entries of a directory that `meant` selects. Goes on after a failure, and returns the first
/// one.
fn empty(dir: &Path, meant: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
    if !shred::open_up(dir) {
        return Ok(());
    }
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

/// Counts the files below a directory and their bytes. Entries that cannot be read do not count.
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
                Ok(meta) => {
                    removed.files += 1;
                    removed.bytes += meta.len();
                }
                Err(_) => {}
            }
        }
    }
    removed
}
