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
        /// The state directory.
        path: PathBuf,
        /// ` (pid N)` when the lock file names one.
        holder: String,
    },
    /// The state directory, or a part of it, is another user's.
    #[error(
        "{path} belongs to uid {owner}, and this daemon runs as uid {uid}. What it writes there, the owner could not read any more: run the daemon as that user, as its service does, or give this one a state directory of its own with --state"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose daemon this is.
        uid: u32,
    },
    /// The operating system refused for now.
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
    /// A shared write ended without a result: a fault of the daemon.
    #[error(
        "a shared write to the disk ended without a result, which is a fault of this daemon; it is tried again"
    )]
    Interrupted,
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

    /// A copy of this error, for the others that shared the failed write.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Locked { path, holder } => Self::Locked {
                path: path.clone(),
                holder: holder.clone(),
            },
            Self::Foreign { path, owner, uid } => Self::Foreign {
                path: path.clone(),
                owner: *owner,
                uid: *uid,
            },
            Self::Unavailable {
                action,
                path,
                source,
            } => Self::unavailable(action, path, same(source)),
            Self::Unusable { path, why } => Self::unusable(path, why),
            Self::Interrupted => Self::Interrupted,
        }
    }
}

fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ". Check the owner and the mode of the path",
        io::ErrorKind::StorageFull => ". Make room on the disk; nothing was lost",
        io::ErrorKind::ReadOnlyFilesystem => {
            ". The file system is read-only; make it writable again, nothing was lost"
        }
        _ => "",
    }
}
