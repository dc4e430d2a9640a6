//! Durable writes: a function returns when the bytes are on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::commit::GroupCommit;
use super::step::Step;
use super::{StoreError, regular};
use crate::blocking::Room;

/// The steps of a [`replace`].
#[derive(Debug)]
pub(super) struct Replacing {
    pub(super) write: Step,
    pub(super) sync: Step,
    pub(super) rename: Step,
    pub(super) sync_dir: Step,
}

/// The steps of an [`append`].
#[derive(Debug)]
pub(super) struct Appending {
    /// The sync of the directory, when the file is new.
    pub(super) sync_dir: Step,
    pub(super) write: Step,
    pub(super) sync: Step,
}

/// Replaces a file: a temporary one in the same directory, synced, renamed over it, the directory
/// synced. A crash leaves the old one or the new one, whole. The file is private (0600).
pub(super) fn replace(path: &Path, bytes: &[u8], steps: &Replacing) -> Result<(), StoreError> {
    replace_with(path, steps, |file| file.write_all(bytes))
}

/// [`replace`], with what this writes.
pub(super) fn replace_with(
    path: &Path,
    steps: &Replacing,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let dir = parent(path);
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(dir)
        .map_err(|e| StoreError::unavailable("make a temporary file in", dir, e))?;
    let fill = || {
        let mut file = BufWriter::new(temporary.as_file());
        write(&mut file).and_then(|()| file.flush())
    };
    let written = steps
        .write
        .take(fill)
        .and_then(|()| steps.sync.take(|| temporary.as_file().sync_all()));
    written.map_err(|e| StoreError::unavailable("write", path, e))?;
    steps
        .rename
        .take(|| temporary.persist(path).map_err(|e| e.error))
        .map_err(|e| StoreError::unavailable("replace", path, e))?;
    sync_dir(dir, steps.sync_dir)
}

/// Appends to a file, and makes it if it is not there. When the write fails, the file is cut back, so that
/// no whole line follows a half one.
pub(super) fn append(
    path: &Path,
    bytes: &[u8],
    is_named: &mut bool,
    steps: &Appending,
) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let mut file = regular::open(options.create(true).append(true).mode(0o600), path)
        .map_err(|e| StoreError::unavailable("open", path, e))?;
    // The file's name is made durable before the line: if it failed after the line, the line would be written
    // again.
    if !*is_named {
        sync_dir(parent(path), steps.sync_dir)?;
        *is_named = true;
    }
    let written = file.metadata().and_then(|before| {
        let written = steps
            .write
            .take(|| file.write_all(bytes))
            .and_then(|()| steps.sync.take(|| file.sync_data()));
        if written.is_err() {
            let _ = file.set_len(before.len());
        }
        written
    });
    written.map_err(|e| StoreError::unavailable("write", path, e))
}

/// Reads the whole lines of a file that is appended to; nothing where there is none.
///
/// A crash in the middle of a write leaves half a line at the end. Nobody was told that this line is
/// written, so it is cut off. That needs no room on the disk.
pub(super) fn read_lines(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let mut bytes = match regular::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::unavailable("read", path, e)),
    };
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    if whole < bytes.len() {
        let cut = regular::open(OpenOptions::new().write(true), path).and_then(|file| {
            file.set_len(whole as u64)?;
            file.sync_all()
        });
        cut.map_err(|e| StoreError::unavailable("cut half a line off", path, e))?;
        bytes.truncate(whole);
    }
    Ok(Some(bytes))
}

/// Makes names that were added to, removed from, or renamed in a directory durable.
pub(super) fn sync_dir(dir: &Path, step: Step) -> Result<(), StoreError> {
    step.take(|| open_dir(dir).and_then(|d| d.sync_all()))
        .map_err(|e| StoreError::unavailable("sync the directory", dir, e))
}

/// Opens a directory. Anything else of this name is an error.
pub(super) fn open_dir(dir: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK)
        .open(dir)
}

/// The syncs of a directory that many removals change at a time: those that wait for a sync share one.
#[derive(Debug)]
pub(super) struct SharedSync {
    dir: PathBuf,
    commits: GroupCommit<(), ()>,
}

impl SharedSync {
    pub(super) fn new(dir: PathBuf, room: Room) -> Self {
        let commits = GroupCommit::new(room, ());
        Self { dir, commits }
    }

    /// Makes the changes of the directory before this call durable. The sync counts as this step, or as the
    /// step of another caller that shares it.
    pub(super) async fn sync(&self, step: Step) -> Result<(), StoreError> {
        let dir = self.dir.clone();
        let sync = move |(): &mut (), _| sync_dir(&dir, step);
        self.commits.commit((), sync, |()| ()).await
    }
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

/// How the names of [`replace`]'s temporary files begin.
const TEMPORARY: &str = ".new-";

/// Whether this is what an interrupted [`replace`] left.
pub(super) fn is_temporary(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
}

/// Removes what an interrupted [`replace`] left.
pub(super) fn remove_temporaries(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten().filter(is_temporary) {
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Appending = Appending {
        sync_dir: Step::HistorySyncDir,
        write: Step::HistoryWrite,
        sync: Step::HistorySync,
    };

    #[test]
    fn half_a_line_is_cut_off_and_the_next_one_is_whole() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("lines");
        assert_eq!(read_lines(&path).expect("nothing"), None);
        fs::write(&path, "one\ntw").expect("write");
        assert_eq!(read_lines(&path).expect("read"), Some(b"one\n".to_vec()));
        let mut is_named = true;
        append(&path, b"two\n", &mut is_named, &STEPS).expect("append");
        assert_eq!(fs::read(&path).expect("read"), b"one\ntwo\n");
    }
}
