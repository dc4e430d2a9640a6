//! One daemon a state directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{StoreError, durable, regular};

/// An advisory lock on a directory. It is held until it is dropped, or until the process ends, however it
/// ends.
///
/// The lock is on the directory itself: it holds whatever path leads there, and removing a file in it does
/// not release it. The file `lock` in the directory has the holder's pid, for the message to a second
/// daemon. The file is locked, too, for older versions that lock only the file.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    directory: File,
    _file: File,
}

impl Lock {
    /// Takes the lock on a directory without waiting.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let note = dir.join("lock");
        let directory =
            durable::open_dir(dir).map_err(|e| StoreError::unavailable("open", dir, e))?;
        lock(&directory, dir, &note)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = regular::open(options.mode(0o600), &note)
            .map_err(|e| StoreError::unavailable("open", &note, e))?;
        lock(&file, dir, &note)?;
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(|e| StoreError::unavailable("write", &note, e))?;
        Ok(Self {
            path: dir.to_owned(),
            directory,
            _file: file,
        })
    }

    /// Makes sure that the directory's name still leads to the directory that is locked.
    pub(super) fn still_holds(&self) -> Result<(), StoreError> {
        let look = |about: std::io::Result<fs::Metadata>| {
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

fn lock(file: &File, dir: &Path, note: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: dir.to_owned(),
            holder: holder(note),
        }),
        Err(TryLockError::Error(e)) => Err(StoreError::unavailable("lock", dir, e)),
    }
}

fn holder(note: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = regular::open(OpenOptions::new().read(true), note) {
        let _ = file.take(32).read_to_string(&mut text);
    }
    match text.trim().parse::<u32>() {
        Ok(pid) => format!(" (pid {pid})"),
        Err(_) => String::new(),
    }
}
