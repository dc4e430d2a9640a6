//! Opens files that must be regular files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file. Anything else of this name is an error: opening a pipe could wait for ever.
pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        // A pipe that nobody reads, a socket.
        Some(libc::ENXIO) => not_regular(),
        _ => error,
    })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular())
    }
}

/// Reads a regular file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(OpenOptions::new().read(true), path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether an error of [`open`] says that something else has the file's name.
pub(super) fn is_something_else(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::IsADirectory
        || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<NotRegular>())
            .is_some()
}

#[derive(Debug, thiserror::Error)]
#[error("it is not a regular file; move it away")]
struct NotRegular;

fn not_regular() -> io::Error {
    io::Error::other(NotRegular)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_pipe_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let pipe = dir.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        for options in [
            OpenOptions::new().read(true),
            OpenOptions::new().append(true),
            OpenOptions::new().read(true).write(true),
        ] {
            let refused = open(options, &pipe).expect_err("a pipe");
            assert!(is_something_else(&refused), "{refused}");
        }
        let refused = read(dir.path()).expect_err("a directory");
        assert!(is_something_else(&refused), "{refused}");
    }
}
