//! What can go wrong on the disk.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong on the disk, with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another live daemon has the state directory.
    #[error(
        "{path} is held by another wasessiond{holder}. Two daemons on the same credentials would log each other out: stop that one, or give this one another state directory"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// ` (pid N)` when the file names one.
        holder: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be understood. It is not overwritten.
    #[error("{path} cannot be used: {why}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl StoreError {
    pub(super) fn unavailable(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Unavailable {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn unusable(path: &Path, why: impl Into<String>) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ". Check the owner and the mode of the path",
        io::ErrorKind::StorageFull => ". Make room on the disk; nothing was lost",
        io::ErrorKind::ReadOnlyFilesystem => ". The file system is read-only",
        _ => "",
    }
}
