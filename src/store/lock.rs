//! One daemon a state directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::step::Step;
use super::{StoreError, durable, regular};

/// An advisory lock on a directory. It is held until it is dropped, or until the process ends, however it
/// ends.
///
/// The lock is on the directory itself: it holds whatever path leads there, and removing a file in it does
/// not release it. The file `lock` in the directory has the holder's pid, for the message to a second
/// daemon. A daemon that ends well empties it, so a pid that is there tells of one that did not.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    directory: File,
    found_pid: bool,
}

impl Lock {
    /// Takes the lock on a directory without waiting.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let note = dir.join("lock");
        let directory =
            durable::open_dir(dir).map_err(|e| StoreError::unavailable("open", dir, e))?;
        lock(&directory, dir, &note)?;
        let found_pid = holder(&note).is_some();
        match write_pid(&note) {
            Ok(()) => {}
            // A disk that is full or read-only stops no start: the sessions on it are kept, and wait for it.
            Err(e) if is_without_room(&e) => tracing::warn!(
                "the daemon's pid cannot be written into {}: {e}. The lock holds all the same",
                note.display()
            ),
            Err(e) => return Err(StoreError::unavailable("write", &note, e)),
        }
        Ok(Self {
            path: dir.to_owned(),
            directory,
            found_pid,
        })
    }

    /// Whether the daemon before this one was not stopped, but died.
    pub(super) fn was_left_by_a_crash(&self) -> bool {
        self.found_pid
    }

    /// Notes that this daemon ends well.
    pub(super) fn ends_well(&self) {
        let note = self.path.join("lock");
        let emptied =
            regular::open(OpenOptions::new().write(true), &note).and_then(|file| file.set_len(0));
        if let Err(e) = emptied {
            tracing::debug!(
                "the next start will take this stop for a crash: {}: {e}",
                note.display()
            );
        }
    }

    /// Makes sure that the directory's name still leads to the directory that is locked.
    pub(super) fn still_holds(&self) -> Result<(), StoreError> {
        let look = |about: io::Result<fs::Metadata>| {
            about
                .map(|about| (about.dev(), about.ino()))
                .map_err(|e| StoreError::unavailable("look at", &self.path, e))
        };
        if look(self.directory.metadata())? == look(fs::metadata(&self.path))? {
            return Ok(());
        }
        let why = "another directory was put in its place while this daemon runs. Stop the daemon, and put the right one back";
        Err(StoreError::unusable(&self.path, why))
    }
}

/// Writes this process's pid into the file. What an earlier daemon wrote goes first, so that a second daemon
/// never names the wrong process.
fn write_pid(note: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let mut file = regular::open(&mut options, note)?;
    Step::LockNote.take(|| {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    })
}

fn is_without_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
    )
}

fn lock(file: &File, dir: &Path, note: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: dir.to_owned(),
            holder: holder(note).map_or_else(String::new, |pid| format!(" (pid {pid})")),
        }),
        Err(TryLockError::Error(e)) => Err(StoreError::unavailable("lock", dir, e)),
    }
}

/// The pid that is in the file.
fn holder(note: &Path) -> Option<u32> {
    let mut text = String::new();
    let file = regular::open(OpenOptions::new().read(true), note).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
