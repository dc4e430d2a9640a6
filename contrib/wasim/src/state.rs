//! The state that is kept over restarts, and its file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::account::Account;
use crate::certificate::Certificate;
use crate::mailbox::Mailboxes;
use crate::party::Party;

/// The version of the file's format. This program reads no other.
const VERSION: u32 = 1;

/// The server's key and every account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    pub certificate: Certificate,
    pub accounts: BTreeMap<String, Account>,
    /// What phones know of the devices that they write to, by the phones' numbers.
    #[serde(default)]
    pub parties: BTreeMap<String, Party>,
    /// What waits for devices.
    #[serde(default)]
    pub mailboxes: Mailboxes,
    /// Who has written to whom already: pairs of phone numbers, the smaller one first.
    #[serde(default)]
    pub acquainted: BTreeSet<(String, String)>,
    /// The oldest version of a client that may log in or register.
    #[serde(default)]
    pub minimum_version: Option<[u32; 3]>,
    /// When WhatsApp stops to accept the clients of today, in seconds since 1970. Each is told at its login.
    #[serde(default)]
    pub client_expiration: Option<u64>,
}

/// What any version of the file has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl State {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            version: VERSION,
            certificate: Certificate::generate(now),
            accounts: BTreeMap::new(),
            parties: BTreeMap::new(),
            mailboxes: Mailboxes::new(),
            acquainted: BTreeSet::new(),
            minimum_version: None,
            client_expiration: None,
        }
    }

    /// Reads the file. None when there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(path, error)),
        };
        let head: Head = serde_json::from_slice(&text).map_err(|error| problem(path, error))?;
        if head.version != VERSION {
            let message = format!(
                "version {} is not one this wasim reads ({VERSION})",
                head.version
            );
            return Err(problem(path, message));
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| problem(path, error))
    }

    /// The file's text.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("invariant: keys and texts can be written as JSON")
    }
}

/// Replaces the file with `text` in one step: whoever reads it sees the old text or the new.
pub(crate) fn write(path: &Path, text: &[u8]) -> Result<(), Error> {
    let temporary = sibling(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error: std::io::Error| problem(path, error))
}

fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn problem(path: &Path, message: impl std::fmt::Display) -> Error {
    Error::State {
        path: path.to_owned(),
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert!(State::load(&path).unwrap().is_none());

        let mut state = State::new(1_700_000_000);
        let account = Account::new(&state.certificate.secret(), "15550001001", 0);
        state.accounts.insert("15550001001".to_owned(), account);
        write(&path, &state.encode()).unwrap();
        let read = State::load(&path).unwrap().unwrap();
        assert_eq!(read.certificate.root_key(), state.certificate.root_key());
        assert_eq!(read.encode(), state.encode());

        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn garbage_and_other_versions_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        let newer = String::from_utf8(State::new(0).encode())
            .unwrap()
            .replace("\"version\": 1", "\"version\": 2");
        for text in ["", "{", "{\"version\": 1}", &newer] {
            std::fs::write(&path, text).unwrap();
            assert!(
                matches!(State::load(&path), Err(Error::State { .. })),
                "{text:.20}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
