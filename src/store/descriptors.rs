//! Which files below a directory this process still has open.

use std::fs;
use std::path::{Path, PathBuf};

/// The open files of this process below `dir`, files that were already unlinked included.
///
/// Empty means that no late write of this process can reach anything there. Where `/proc` is not
/// mounted it is empty too: the tasks were awaited all the same, this is the second look.
#[must_use]
pub fn open_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.starts_with(dir))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_open_and_unlinked_files_and_forgets_closed_ones() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path");
        let file = fs::File::create(path.join("a")).expect("create");
        assert_eq!(open_below(&path), [path.join("a")]);
        fs::remove_file(path.join("a")).expect("remove");
        assert_eq!(open_below(&path).len(), 1);
        drop(file);
        assert_eq!(open_below(&path), Vec::<PathBuf>::new());
    }
}
