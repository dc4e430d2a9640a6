//! `key`: the key of one session, wrapped by the master key; and `state.key`, the key of the history, in the
//! same format.
//!
//! ```text
//! "wasession key 1\n" | id of the master key (16 bytes) | nonce (24) | sealed key (32 + 16)
//! ```
//!
//! All that comes before the nonce, and whether it is a session's key or the state directory's, are associated data
//! of the wrapping. The id tells another master key from damage. The user is not part of it: a directory that
//! somebody renames is a session under another name, and a copy of one is known by its device.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::master::{MasterKey, MasterKeys};
use super::seal::{self, KEY, Key, NONCE, TAG};
use crate::store::durable::Replacing;
use crate::store::space::SpaceError;
use crate::store::step::Step;
use crate::store::{durable, regular};

/// The name of the file in a session's directory.
pub(in crate::store) const FILE: &str = "key";

/// The name of the file in the state directory.
pub(super) const STATE_FILE: &str = "state.key";

const MAGIC: &[u8; 16] = b"wasession key 1\n";

/// How the magic of every version begins.
const ANY_VERSION: &[u8] = b"wasession key ";

/// The bytes of a master key's id.
pub(super) const ID: usize = 16;

const HEAD: usize = MAGIC.len() + ID;

/// The length of the file.
const LENGTH: usize = HEAD + NONCE + KEY + TAG;

const STEPS: Replacing = Replacing {
    write: Step::KeyWrite,
    sync: Step::KeySync,
    rename: Step::KeyRename,
    sync_dir: Step::KeySyncDir,
};

/// A file with a wrapped key.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    path: PathBuf,
    owner: Owner,
}

/// Whose key it is.
#[derive(Debug, Clone)]
enum Owner {
    /// A session's.
    Session,
    /// The state directory's: it seals the lines of the history.
    State,
}

impl KeyFile {
    /// In this session's directory.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(FILE),
            owner: Owner::Session,
        }
    }

    /// The one of the state directory itself.
    pub(super) fn of_state(state: &Path) -> Self {
        Self {
            path: state.join(STATE_FILE),
            owner: Owner::State,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a vault that only this key opens: then no other one may be made.
    pub(super) fn is_needed(&self) -> bool {
        let vault = self.path.with_file_name(super::FILE);
        matches!(self.owner, Owner::Session) && vault.metadata().is_ok_and(|about| about.len() > 0)
    }

    /// Gives the file, which cannot be used for this reason, another name, which is returned. One of a newer
    /// version stays where it is: that version opens it.
    pub(super) fn set_aside(&self, why: &str) -> Result<PathBuf, SpaceError> {
        let is_newer = |bytes: &[u8]| bytes.starts_with(ANY_VERSION) && !bytes.starts_with(MAGIC);
        if matches!(self.bytes(), Ok(Some(bytes)) if is_newer(&bytes)) {
            return Err(SpaceError::Unusable {
                why: why.to_owned(),
            });
        }
        let name = |number: u32| self.path.with_file_name(format!("{STATE_FILE}.{number}"));
        let mut free = (1..=u32::MAX).map(name);
        let aside = free.find(|path| path.symlink_metadata().is_err());
        let aside = aside.ok_or_else(|| self.unusable("there are too many of them"))?;
        std::fs::rename(&self.path, &aside).map_err(|e| self.unavailable(&e))?;
        Ok(aside)
    }

    /// Reads the key; `None` where there is no file.
    pub(super) fn read(&self, masters: &MasterKeys) -> Result<Option<Key>, SpaceError> {
        match self.bytes()? {
            Some(bytes) => self.unwrap(&bytes, masters).map(|(key, _)| Some(key)),
            None => Ok(None),
        }
    }

    /// Makes a key and its file, durably, in the place of a file that is there.
    pub(super) fn create(&self, masters: &MasterKeys) -> Result<Key, SpaceError> {
        let key = random_key().map_err(|e| self.unavailable(&e))?;
        loop {
            let master = masters.current();
            self.write(&key, &master)?;
            // A rotation may have begun meanwhile, and may not have seen this file.
            if masters.current().id() == master.id() {
                return Ok(key);
            }
        }
    }

    /// Wraps the key with the current master key, unless it is already. Returns whether that had to be done;
    /// `false` where there is no file.
    pub(super) fn rewrap(&self, masters: &MasterKeys) -> Result<bool, SpaceError> {
        let Some(bytes) = self.bytes()? else {
            return Ok(false);
        };
        let (key, by) = self.unwrap(&bytes, masters)?;
        let master = masters.current();
        if by == *master.id() {
            return Ok(false);
        }
        self.write(&key, &master).map(|()| true)
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, SpaceError> {
        let opened = regular::open(OpenOptions::new().read(true), &self.path);
        let file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) if regular::is_something_else(&e) => return Err(self.unusable(&e.to_string())),
            Err(e) => return Err(self.unavailable(&e)),
        };
        let mut bytes = Vec::with_capacity(LENGTH + 1);
        // More than a key file holds says enough.
        let read = file.take(LENGTH as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|e| self.unavailable(&e))?;
        Ok(Some(bytes))
    }

    /// The key, and the id of the master key that wraps it.
    fn unwrap(&self, bytes: &[u8], masters: &MasterKeys) -> Result<(Key, [u8; ID]), SpaceError> {
        if !bytes.starts_with(MAGIC) {
            let newer = bytes.starts_with(ANY_VERSION) && bytes.len() >= MAGIC.len();
            return Err(self.unusable(if newer {
                "it was written by a newer wasessiond; start the newer one again"
            } else {
                "it is not a key of wasessiond: it is damaged, or somebody else's file"
            }));
        }
        let damaged = || self.unusable("it is damaged");
        if bytes.len() != LENGTH {
            return Err(damaged());
        }
        let (head, sealed) = bytes.split_at(HEAD);
        let id: [u8; ID] = head[MAGIC.len()..].try_into().map_err(|_| damaged())?;
        let Some(master) = masters.find(&id) else {
            return Err(self.unusable(&format!(
                "it is wrapped by the master key {}, and this daemon was given {}. Give it that master key \
                 again, in a credential or in the state directory; where it was never another one, this file \
                 is damaged",
                hex(&id),
                masters.names()
            )));
        };
        let opened = seal::open(&seal::cipher(master.key()), &self.bound_to(head), sealed);
        let opened = opened.map_err(|_| damaged())?;
        let key: [u8; KEY] = opened.as_slice().try_into().map_err(|_| damaged())?;
        Ok((Zeroizing::new(key), id))
    }

    fn write(&self, key: &Key, master: &MasterKey) -> Result<(), SpaceError> {
        let mut bytes = [&MAGIC[..], master.id()].concat();
        let wrapped = seal::seal(
            &seal::cipher(master.key()),
            &self.bound_to(&bytes),
            &key[..],
        );
        bytes.extend_from_slice(&wrapped);
        durable::replace(&self.path, &bytes, &STEPS).map_err(Into::into)
    }

    /// What the wrapped key is bound to.
    fn bound_to(&self, head: &[u8]) -> Vec<u8> {
        let of: &[u8] = match self.owner {
            Owner::Session => b"session",
            Owner::State => b"state",
        };
        [head, of].concat()
    }

    /// The error that says that the file's bytes, or the master key, are wrong.
    pub(super) fn unusable(&self, why: &str) -> SpaceError {
        SpaceError::Unusable {
            why: self.told(why),
        }
    }

    fn unavailable(&self, why: &io::Error) -> SpaceError {
        SpaceError::Unavailable {
            why: self.told(&why.to_string()),
        }
    }

    fn told(&self, why: &str) -> String {
        let whose = match self.owner {
            Owner::Session => "the session's key",
            Owner::State => "the key of the history",
        };
        format!("{whose} in {}: {why}", self.path.display())
    }
}

/// A key from the operating system's random numbers.
pub(super) fn random_key() -> io::Result<Key> {
    let mut key = Zeroizing::new([0; KEY]);
    SysRng
        .try_fill_bytes(&mut key[..])
        .map_err(io::Error::other)?;
    Ok(key)
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
