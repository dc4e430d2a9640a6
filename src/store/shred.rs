//! Destroys files that hold keys.
//!
//! The bytes are overwritten where they are and synced, then the file goes. A file system that never writes in
//! place, and a drive that remaps its blocks, may keep the old bytes: for the key of a session these are still
//! wrapped by the master key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;

use super::step::Step;
use super::{StoreError, durable, regular};

/// Destroys the files of these names in a directory, and what interrupted writes of them left. Where they cannot
/// be overwritten they are removed. What is not a directory has no files in it: a link in the place of one leads
/// to somebody else's.
///
/// # Errors
/// [`StoreError::Unavailable`] for the first that is still there; it goes on with the others.
pub(super) fn files_in(dir: &Path, is_meant: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    let unreadable = |e| StoreError::unavailable("read", dir, e);
    if !open_up(dir) {
        return Ok(());
    }
    let mut destroyed = Ok(());
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if is_meant(&entry.file_name().to_string_lossy()) || durable::is_temporary(&entry) {
            destroyed = destroyed.and(file(&entry.path()));
        }
    }
    destroyed
}

/// Makes sure that the owner may read and change a directory. Returns whether it is one.
pub(super) fn open_up(dir: &Path) -> bool {
    match fs::symlink_metadata(dir) {
        Ok(about) if about.is_dir() => {
            // Somebody may have taken the owner's right to it away.
            if about.permissions().mode() & 0o700 != 0o700 {
                let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
            }
            true
        }
        _ => false,
    }
}

/// Overwrites a file with noise, syncs it, and removes it. A file that cannot be overwritten is removed all the
/// same, with a warning: what must go must not stay because of the manner of its going. So is a file that has
/// another name elsewhere: that is somebody's copy, or another session's. Of a link the name is removed. A
/// directory is left as it is.
///
/// # Errors
/// [`StoreError::Unavailable`] when it is still there.
pub(super) fn file(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(about) => {
            let overwritten = if !about.is_file() {
                Ok(())
            } else if about.nlink() > 1 {
                Err(io::Error::other("the same file has another name, too"))
            } else {
                Step::Shred.take(|| overwrite(path))
            };
            if let Err(e) = overwritten {
                tracing::warn!(
                    "{} is removed and could not be overwritten: {e}. Its old bytes may stay on the disk",
                    path.display()
                );
            }
            fs::remove_file(path)
        }
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(StoreError::unavailable("destroy", path, e))
        }
        _ => Ok(()),
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let open = || regular::open(OpenOptions::new().write(true), path);
    let file = match open() {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            open()?
        }
        opened => opened?,
    };
    fill_with_noise(&file)?;
    file.sync_all()
}

fn fill_with_noise(mut file: &File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    let mut noise = [0; 4096];
    while left > 0 {
        let now = noise.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        SysRng
            .try_fill_bytes(&mut noise[..now])
            .map_err(io::Error::other)?;
        file.write_all(&noise[..now])?;
        left -= now as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with a key, and with a second name for the key's bytes.
    struct Dir {
        root: tempfile::TempDir,
    }

    const SECRET: &[u8] = b"the secret of a session";

    impl Dir {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("tempdir");
            fs::create_dir(root.path().join("session")).expect("mkdir");
            fs::write(root.path().join("session/key"), SECRET).expect("write");
            Self { root }
        }

        fn session(&self) -> std::path::PathBuf {
            self.root.path().join("session")
        }
    }

    fn destroy(dir: &Path) -> Result<(), StoreError> {
        files_in(dir, |name| name == "key")
    }

    #[test]
    fn the_bytes_are_overwritten_before_the_name_goes() {
        let dir = Dir::new();
        let key = dir.session().join("key");
        // Still open, so the bytes can be looked at when the name is gone.
        let mut open = File::open(&key).expect("open");
        fs::write(dir.session().join(".new-x1"), SECRET).expect("write");
        fs::write(dir.session().join("other"), SECRET).expect("write");
        destroy(&dir.session()).expect("destroyed");
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut open, &mut bytes).expect("read");
        assert_eq!(bytes.len(), SECRET.len());
        assert_ne!(bytes, SECRET);
        let left = fs::read_dir(dir.session()).expect("read");
        let left: Vec<_> = left.map(|entry| entry.expect("read").file_name()).collect();
        assert_eq!(left, ["other"]);
        destroy(&dir.session()).expect("again");
    }

    #[test]
    fn nothing_of_anybody_else_is_touched() {
        let dir = Dir::new();
        let key = dir.session().join("key");
        let elsewhere = dir.root.path().join("trash");
        symlink(dir.session(), &elsewhere).expect("a link to a directory");
        destroy(&elsewhere).expect("nothing in it");
        fs::remove_file(&elsewhere).expect("remove");
        fs::create_dir(&elsewhere).expect("mkdir");
        symlink(&key, elsewhere.join("key")).expect("a link to a key");
        destroy(&elsewhere).expect("nothing in it");
        assert!(elsewhere.join("key").symlink_metadata().is_err());
        fs::hard_link(&key, elsewhere.join("key")).expect("a second name");
        destroy(&elsewhere).expect("somebody's backup");
        assert!(!elsewhere.join("key").exists());
        assert_eq!(fs::read(&key).expect("read"), SECRET);
        fs::write(dir.root.path().join("file"), b"").expect("write");
        destroy(&dir.root.path().join("file")).expect("a file");
        destroy(&dir.root.path().join("nothing")).expect("nothing");
    }

    #[test]
    fn what_may_not_be_written_goes_all_the_same() {
        let dir = Dir::new();
        let key = dir.session().join("key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).expect("chmod");
        fs::set_permissions(dir.session(), fs::Permissions::from_mode(0o000)).expect("chmod");
        destroy(&dir.session()).expect("destroyed");
        assert!(!key.exists());
        nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        destroy(&dir.session()).expect("a pipe has no bytes, and does not wait");
    }
}
