//! A journal's socket, for a daemon that is made to believe that its stderr is the journal.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::daemon::PROGRAM;

/// The socket has a fixed place, so the daemon gets a mount namespace in which that place is ours.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
mount --bind "$0" /run/systemd/journal
JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
"#;

pub(super) struct Journal {
    directory: TempDir,
    /// What makes the namespace.
    unshare: Vec<&'static str>,
    reader: JoinHandle<Vec<u8>>,
}

impl Journal {
    /// `None` where this user may make no mount namespace.
    pub(super) fn open() -> Option<Self> {
        let unshare = [
            vec!["unshare", "--mount"],
            vec!["unshare", "--map-root-user", "--mount"],
        ]
        .into_iter()
        .find(|words| may(words))?;
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("socket")).expect("bind");
        let reader = std::thread::spawn(move || read(&socket));
        Some(Self {
            directory,
            unshare,
            reader,
        })
    }

    /// The daemon, with this for its journal.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.unshare[0]);
        command.args(&self.unshare[1..]);
        command.args(["sh", "-c", SCRIPT]);
        command.arg(self.directory.path()).arg(PROGRAM);
        command
    }

    /// Everything that was sent.
    pub(super) fn close(self) -> Vec<u8> {
        let goodbye = UnixDatagram::unbound().expect("a socket");
        let socket: PathBuf = self.directory.path().join("socket");
        goodbye.send_to(GOODBYE, socket).expect("say goodbye");
        self.reader.join().expect("the reader")
    }
}

const GOODBYE: &[u8] = b"GOODBYE=1";

fn may(words: &[&str]) -> bool {
    let tried = Command::new(words[0])
        .args(&words[1..])
        .args(["sh", "-c", "mount -t tmpfs none /run"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

fn read(socket: &UnixDatagram) -> Vec<u8> {
    let mut all = Vec::new();
    let mut entry = vec![0; 1 << 20];
    loop {
        let length = socket.recv(&mut entry).expect("an entry");
        if &entry[..length] == GOODBYE {
            return all;
        }
        all.extend_from_slice(&entry[..length]);
        all.push(b'\n');
    }
}
