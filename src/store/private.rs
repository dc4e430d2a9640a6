//! Private directories: only this daemon's user may use them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::StoreError;

/// Others may write.
const WRITABLE: u32 = 0o022;
/// In such a directory only a file's owner may rename or remove it.
const STICKY: u32 = 0o1000;

/// Makes a directory with mode 0700, or makes sure that one which exists is this user's and private.
pub(super) fn make(dir: &Path) -> Result<(), StoreError> {
    let refused = |e| StoreError::unavailable("make the private directory (mode 0700)", dir, e);
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    let about = made.and_then(|()| fs::metadata(dir)).map_err(refused)?;
    let uid = nix::unistd::geteuid().as_raw();
    if about.uid() != uid {
        return Err(StoreError::Foreign {
            path: dir.to_owned(),
            owner: about.uid(),
            uid,
        });
    }
    let bits = about.permissions().mode();
    if bits & WRITABLE != 0 {
        tracing::warn!(
            "{} could be written by others until now (mode {:04o}): it is private again, but look whether what is in it is yours",
            dir.display(),
            bits & 0o7777
        );
    }
    if bits & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(refused)?;
    }
    Ok(())
}

/// Makes the directory of this name with mode 0700; one that exists is an error.
pub(super) fn make_new(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

/// The directories above this one that let somebody else put another directory in its place, and why. The
/// path must not go through links.
pub(super) fn replaceable(real: &Path) -> Vec<String> {
    let uid = nix::unistd::geteuid().as_raw();
    let above = real.ancestors().skip(1);
    let told = above.filter_map(|dir| {
        let about = fs::metadata(dir).ok()?;
        let mode = about.permissions().mode();
        let why = if about.uid() != uid && about.uid() != 0 {
            format!("belongs to uid {}", about.uid())
        } else if mode & WRITABLE != 0 && mode & STICKY == 0 {
            format!("can be written by others (mode {:04o})", mode & 0o7777)
        } else {
            return None;
        };
        Some(format!("{} {why}", dir.display()))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_lets_others_replace_it_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let parent = dir.path().canonicalize().expect("path").join("parent");
        let state = parent.join("state");
        make(&state).expect("make");
        let named = || {
            let of_parent = parent.display().to_string() + " ";
            let told = replaceable(&state);
            told.into_iter().find(|why| why.starts_with(&of_parent))
        };
        for (mode, wrong) in [
            (0o700, false),
            (0o755, false),
            (0o1777, false),
            (0o777, true),
        ] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&parent, permissions).expect("mode");
            assert_eq!(named().is_some(), wrong, "{mode:o}: {:?}", named());
        }
    }

    #[test]
    fn one_that_others_could_write_is_made_private() {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path().join("state");
        fs::create_dir(&state).expect("mkdir");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).expect("mode");
        make(&state).expect("make");
        let mode = fs::metadata(&state).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
