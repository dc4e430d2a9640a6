//! The control socket: made here, or taken over from systemd.
//!
//! A socket that is there already is asked first. If a running daemon answers, the socket is left alone;
//! a dead socket of a crashed daemon is removed; a file that is no socket is never touched.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Group, chown};
use tokio::net::UnixListener;
use tracing::{debug, info, warn};

use super::config;
use crate::blocking::Room;
use crate::failpoint;
use crate::service::inherited;

#[cfg(test)]
mod tests;

/// Connections that wait to be accepted. As many as the kernel gives room for by default: where one
/// uid fills it, all others wait.
const BACKLOG: i32 = 4096;

/// The name that a socket unit with several sockets gives to this one.
const NAME: &str = "control";

/// The kernel's limit for a socket's path, without the byte that ends it.
const MAX_PATH: usize = 107;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SocketError {
    /// Another daemon answers on it.
    #[error("a live daemon has the control socket {path}: stop that one, or give this one another --socket", path = .0.display())]
    Live(PathBuf),
    /// Something else has the path.
    #[error("{path} is there and is not a socket: it is not touched. Remove it, or give another --socket", path = .0.display())]
    NotASocket(PathBuf),
    /// The kernel takes no path as long as this.
    #[error("the path of the control socket, {path}, has {length} bytes, and the kernel takes {MAX_PATH}: give a shorter --socket", path = .path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
    /// The group of the configuration is not there.
    #[error(
        "`socket.group`: there is no group {0:?} on this machine: make it (`groupadd --system {0}`), or name another"
    )]
    NoGroup(String),
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}{hint}", path = .path.display(), hint = hint(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What systemd passed cannot be used.
    #[error(
        "the socket from systemd cannot be used: {0}. The socket unit needs one ListenStream= with a path, and if it has more, FileDescriptorName=control for this one"
    )]
    Inherited(String),
}

impl SocketError {
    fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ". The daemon's user needs the right to write the directory, and to be in the socket's group"
        }
        io::ErrorKind::ReadOnlyFilesystem => ". The file system is read-only",
        _ => "",
    }
}

/// The listening socket. Dropping it removes the file, if this process made it and it is still the
/// same one.
#[derive(Debug)]
pub(super) struct ControlSocket {
    /// The socket itself.
    pub listener: UnixListener,
    file: Option<OwnFile>,
}

/// A socket's file that this process made.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl ControlSocket {
    /// Takes the socket over from systemd, if it passed one; else makes it at `path`.
    ///
    /// # Errors
    /// [`SocketError`] says what is in the way.
    pub(super) async fn open(
        path: &Path,
        config: &config::Socket,
        accounts: &Room,
    ) -> Result<Self, SocketError> {
        match inherited::listener(NAME).map_err(SocketError::Inherited)? {
            Some(listener) => Self::take_over(listener),
            None => Self::bind(path, config, accounts).await,
        }
    }

    fn take_over(listener: StdListener) -> Result<Self, SocketError> {
        let unusable = |e: io::Error| SocketError::Inherited(e.to_string());
        let address = listener.local_addr().map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let listener = UnixListener::from_std(listener).map_err(unusable)?;
        let path = address.as_pathname().unwrap_or(Path::new("(no path)"));
        info!(
            "took over the control socket {} from systemd",
            path.display()
        );
        Ok(Self {
            listener,
            file: None,
        })
    }

    /// Whether a socket can be as it is configured. Returns its group. Blocks: it asks the user database.
    ///
    /// # Errors
    /// [`SocketError::TooLong`] and [`SocketError::NoGroup`].
    pub(super) fn check(path: &Path, config: &config::Socket) -> Result<Option<Gid>, SocketError> {
        let length = path.as_os_str().len();
        if length > MAX_PATH {
            return Err(SocketError::TooLong {
                path: path.to_owned(),
                length,
            });
        }
        config.group.as_deref().map(gid_of).transpose()
    }

    /// Makes the socket.
    ///
    /// # Errors
    /// [`SocketError`] says what is in the way.
    pub(super) async fn bind(
        path: &Path,
        config: &config::Socket,
        accounts: &Room,
    ) -> Result<Self, SocketError> {
        let (wanted, configured) = (path.to_owned(), config.clone());
        let check = move || Self::check(&wanted, &configured);
        let group = accounts.run(check).await?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        make_directory(parent, config.mode, group)?;
        // Held until the new socket listens: two daemons that start at the same time must not both
        // find the same dead socket and remove each other's.
        let _lock = lock(parent).await;
        clear_the_way(path)?;
        let listener = listen_at(path, config.mode, group)?;
        let made = fs::symlink_metadata(path).map_err(|e| SocketError::io("look at", path, e))?;
        let file = OwnFile {
            path: path.to_owned(),
            device: made.dev(),
            inode: made.ino(),
        };
        let listener =
            UnixListener::from_std(listener).map_err(|e| SocketError::io("listen at", path, e))?;
        info!(
            "the control socket is {}, mode {:04o}",
            path.display(),
            config.mode
        );
        Ok(Self {
            listener,
            file: Some(file),
        })
    }

    /// Touches the file: some cleaners remove old files in `XDG_RUNTIME_DIR`.
    pub(super) fn touch(&self) {
        let Some(OwnFile { path, .. }) = &self.file else {
            return;
        };
        let now = TimeSpec::UTIME_NOW;
        let touched = utimensat(
            nix::fcntl::AT_FDCWD,
            path,
            &now,
            &now,
            UtimensatFlags::NoFollowSymlink,
        );
        if let Err(error) = touched {
            warn!(
                "the control socket {} cannot be touched ({}): if it was removed, clients cannot \
                 find the daemon until it is restarted",
                path.display(),
                error.desc()
            );
        }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // Somebody may have put another one there since.
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| now.dev() == self.device && now.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(
                "cannot remove the control socket {}: {error}",
                self.path.display()
            );
        }
    }
}

fn gid_of(name: &str) -> Result<Gid, SocketError> {
    failpoint::hang("accounts");
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(SocketError::NoGroup(name.to_owned())),
    }
}

/// Makes the socket's directory if it is missing, so that whom the socket lets in can reach it. One
/// that is there is left as it is.
fn make_directory(path: &Path, mode: u32, group: Option<Gid>) -> Result<(), SocketError> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = |e| SocketError::io("make the directory", path, e);
    if let Some(above) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(above)
            .map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        result => result.map_err(failed)?,
    }
    if let Some(gid) = group {
        chown(path, None, Some(gid)).map_err(|e| SocketError::io("give the group", path, e))?;
    }
    let open_to = match (mode & 0o060, mode & 0o006) {
        (_, 1..) => 0o755,
        (1.., 0) => 0o750,
        (0, 0) => 0o700,
    };
    fs::set_permissions(path, Permissions::from_mode(open_to)).map_err(failed)
}

/// Waits for other daemons that are just making their socket in this directory. Without success it
/// goes on: the lock is a courtesy, and somebody could hold it out of spite.
async fn lock(directory: &Path) -> Option<File> {
    let directory = File::open(directory).ok()?;
    for _ in 0..50 {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(fs::TryLockError::Error(_)) => return None,
            Err(fs::TryLockError::WouldBlock) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    debug!("somebody else holds a lock on the socket's directory: going on without it");
    None
}

/// Removes a dead socket. Everything else in the way is an error.
fn clear_the_way(path: &Path) -> Result<(), SocketError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(|e| SocketError::io("look at", path, e))?,
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match knock(path) {
        // A full queue: somebody listens, however slowly.
        Ok(()) | Err(Errno::EAGAIN) => Err(SocketError::Live(path.to_owned())),
        Err(Errno::ECONNREFUSED) => {
            info!("removing the dead control socket {}", path.display());
            fs::remove_file(path).map_err(|e| SocketError::io("remove", path, e))
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(SocketError::io("ask who listens at", path, error)),
    }
}

/// Connects without waiting: where the queue is full, a blocking connect would.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

/// Mode and group are in place before anybody can connect: until `listen`, nobody can.
fn listen_at(path: &Path, mode: u32, group: Option<Gid>) -> Result<StdListener, SocketError> {
    let failed = |action| move |e: nix::Error| SocketError::io(action, path, e);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .map_err(failed("make a socket for"))?;
    let address = UnixAddr::new(path).map_err(failed("name the socket"))?;
    bind(socket.as_raw_fd(), &address).map_err(failed("make the control socket"))?;
    // From here on a failure must not leave the file behind.
    let finish = || {
        if let Some(gid) = group {
            chown(path, None, Some(gid)).map_err(failed("give the group"))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|e| SocketError::io("set the mode of", path, e))?;
        let backlog = Backlog::new(BACKLOG).map_err(failed("listen at"))?;
        listen(&socket, backlog).map_err(failed("listen at"))
    };
    if let Err(error) = finish() {
        // The error that is reported is the first one.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(StdListener::from(socket))
}
