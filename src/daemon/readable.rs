//! Whether the service's own user can read what root checks.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::access::ask_for_groups;

/// The account of the service, as its unit and its package have it.
const ACCOUNT: &str = "wasessiond";

/// Says which of these files the service's user cannot read, where root asks and there is such a user.
/// Blocks.
pub(super) fn notes(files: &[PathBuf]) -> Vec<String> {
    if !Uid::effective().is_root() {
        return Vec::new();
    }
    let Ok(Some(user)) = User::from_name(ACCOUNT) else {
        return Vec::new();
    };
    let mut groups = ask_for_groups(user.uid.as_raw());
    groups.push(user.gid.as_raw());
    let reader = Reader {
        uid: user.uid.as_raw(),
        groups,
    };
    let notes = files.iter().filter_map(|file| reader.note(file));
    notes.collect()
}

/// Somebody who reads files, by the bits of their modes.
struct Reader {
    uid: u32,
    groups: Vec<u32>,
}

impl Reader {
    fn note(&self, file: &Path) -> Option<String> {
        let absolute = std::path::absolute(file).ok()?;
        let directories = absolute.ancestors().skip(1);
        let closed = directories
            .filter(|directory| !self.may(directory, 0o1))
            .last();
        let (what, right) = match closed {
            Some(directory) => (
                directory,
                "search it: `chmod o+x`, or `chgrp` and `chmod g+x`",
            ),
            None if self.may(&absolute, 0o4) => return None,
            None => (
                &*absolute,
                "read it: `chmod o+r`, or `chgrp` and `chmod g+r`",
            ),
        };
        Some(format!(
            "the service runs as {ACCOUNT}, which cannot read {}: give it the right on {} to {right}",
            file.display(),
            what.display()
        ))
    }

    /// Whether the reader has this right. A path that root cannot examine either is an error elsewhere.
    fn may(&self, path: &Path, right: u32) -> bool {
        let Ok(about) = std::fs::metadata(path) else {
            return true;
        };
        let class = if about.uid() == self.uid {
            6
        } else if self.groups.contains(&about.gid()) {
            3
        } else {
            0
        };
        about.mode() >> class & right == right
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whom_the_modes_keep_out_is_told_where() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("etc");
        let file = directory.join("config.toml");
        create_dir(&directory).expect("a directory");
        write(&file, "").expect("a file");
        let own = std::fs::metadata(&file).expect("a file");
        let stranger = Reader {
            uid: own.uid() + 1,
            groups: vec![own.gid() + 1],
        };
        let member = Reader {
            uid: own.uid() + 1,
            groups: vec![own.gid()],
        };
        set_permissions(root.path(), Permissions::from_mode(0o755)).expect("a mode");
        for (on_directory, on_file, stranger_is_told, member_is_told) in [
            (0o755, 0o644, None, None),
            (0o750, 0o644, Some(&directory), None),
            (0o755, 0o640, Some(&file), None),
            (0o711, 0o600, Some(&file), Some(&file)),
            (0o700, 0o600, Some(&directory), Some(&directory)),
        ] {
            set_permissions(&directory, Permissions::from_mode(on_directory)).expect("a mode");
            set_permissions(&file, Permissions::from_mode(on_file)).expect("a mode");
            for (reader, told) in [(&stranger, stranger_is_told), (&member, member_is_told)] {
                let note = reader.note(&file);
                let named = told.map(|path| format!("the right on {} to", path.display()));
                assert_eq!(note.is_some(), named.is_some(), "{note:?}");
                if let (Some(note), Some(named)) = (note, named) {
                    assert!(note.contains(&named), "{note}");
                }
            }
        }
    }
}
