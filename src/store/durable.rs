//! Durable writes: a function returns when the bytes are on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::commit::GroupCommit;
use super::step::Step;
use super::{StoreError, regular, shred};
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

/// [`replace_with`], for a file that has in clear what the new one has sealed. The old file keeps a second name,
/// that of a temporary file, until its bytes are destroyed: after a crash the next start destroys them.
pub(super) fn replace_in_clear(
    path: &Path,
    steps: &Replacing,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let second = parent(path).join(format!("{TEMPORARY}{:016x}", rand::random::<u64>()));
    match fs::hard_link(path, &second) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(
                "what {} has in clear cannot be overwritten, it is only replaced: {e}. Its old bytes may stay on \
                 the disk until something else takes their place",
                path.display()
            );
        }
        _ => {}
    }
    let replaced = replace_with(path, steps, write);
    // A replacement that is not durable may be undone by a crash: then the old file is still needed, and its
    // second name stays for the next start.
    let is_needed =
        replaced.is_err() && fs::symlink_metadata(&second).is_ok_and(|about| about.nlink() == 1);
    if !is_needed {
        remove_temporary(&second);
    }
    replaced
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

/// Removes what an interrupted [`replace`] left. It may be something in clear, so it is destroyed.
pub(super) fn remove_temporaries(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten().filter(is_temporary) {
        remove_temporary(&entry.path());
    }
}

fn remove_temporary(path: &Path) {
    let _ = shred::file(path);
    // A file that has another name is left by that: only this name goes.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Appending = Appending {
        sync_dir: Step::HistorySyncDir,
        write: Step::HistoryWrite,
        sync: Step::HistorySync,
    };

    const REPLACING: Replacing = Replacing {
        write: Step::RecordWrite,
        sync: Step::RecordSync,
        rename: Step::RecordRename,
        sync_dir: Step::RecordSyncDir,
    };

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(dir).expect("read");
        entries.map(|e| e.expect("entry").file_name()).collect()
    }

    #[test]
    fn what_was_in_clear_is_overwritten_when_it_is_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("file");
        for is_there in [false, true] {
            if is_there {
                fs::write(&path, "in clear").expect("write");
            }
            let before = is_there.then(|| File::open(&path).expect("open"));
            replace_in_clear(&path, &REPLACING, |file| file.write_all(b"sealed")).expect("replace");
            assert_eq!(fs::read(&path).expect("read"), b"sealed");
            assert_eq!(names(dir.path()), ["file"]);
            if let Some(mut before) = before {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut before, &mut bytes).expect("read");
                assert!(bytes.len() == 8 && bytes != b"in clear");
            }
        }
        // Where it is not replaced, it stays as it is.
        let fails = |_: &mut BufWriter<&File>| Err(io::ErrorKind::StorageFull.into());
        replace_in_clear(&path, &REPLACING, fails).expect_err("no room");
        assert_eq!(fs::read(&path).expect("read"), b"sealed");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_crash_before_and_after_the_replacement_leaves_nothing_in_clear() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (path, second) = (dir.path().join("file"), dir.path().join(".new-2"));
        fs::write(&path, "in clear").expect("write");
        let mut bytes = File::open(&path).expect("open");
        fs::hard_link(&path, &second).expect("a second name");
        remove_temporaries(dir.path());
        assert_eq!(fs::read(&path).expect("read"), b"in clear", "it is whole");
        fs::rename(&path, &second).expect("as after the replacement");
        remove_temporaries(dir.path());
        assert_eq!(names(dir.path()), [""; 0]);
        let mut left = Vec::new();
        io::Read::read_to_end(&mut bytes, &mut left).expect("read");
        assert_ne!(left, b"in clear");
    }

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
