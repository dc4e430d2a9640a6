//! The master key: it wraps the keys of all sessions.
//!
//! It is given by systemd as the credential `wasessiond.key`, or lies in the file `key` of the state
//! directory, which the first start makes. A credential can be any 32 bytes, or 64 hex digits. While a
//! rotation runs there are two: the file `key.next` in the state directory, or the credential, is the new one,
//! and `key`, or the credential `wasessiond.key.old`, is the old one.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::keys::{self, ID, hex};
use super::rotation;
use super::seal::{self, KEY, Key};
use crate::store::durable::Replacing;
use crate::store::space::SpaceError;
use crate::store::step::Step;
use crate::store::{durable, regular};

/// The name of the credential.
pub const CREDENTIAL: &str = "wasessiond.key";

/// The name of the credential with the key before it, while a rotation runs.
pub const OLD_CREDENTIAL: &str = "wasessiond.key.old";

/// The file in the state directory.
pub(super) const FILE: &str = "key";

/// The file in the state directory with the next key, while a rotation runs.
pub(super) const NEXT: &str = "key.next";

/// The file in the state directory with the key before it, at the very end of a rotation: nothing needs it.
pub(super) const OLD: &str = "key.old";

const STEPS: Replacing = Replacing {
    write: Step::MasterWrite,
    sync: Step::MasterSync,
    rename: Step::MasterRename,
    sync_dir: Step::MasterSyncDir,
};

/// A key that wraps the keys of sessions.
pub struct MasterKey {
    key: Key,
    id: [u8; ID],
}

impl MasterKey {
    /// A new one.
    ///
    /// # Errors
    /// [`SpaceError::Unavailable`] when the operating system gives no random numbers.
    pub fn random() -> Result<Self, SpaceError> {
        let key = keys::random_key().map_err(|e| SpaceError::Unavailable {
            why: format!("the operating system gives no random numbers: {e}"),
        })?;
        Ok(Self::new(key))
    }

    fn new(key: Key) -> Self {
        let derived = seal::derive(&key, &[b"wasessiond master key 1: id"]);
        let mut id = [0; ID];
        id.copy_from_slice(&derived[..ID]);
        Self { key, id }
    }

    /// Its id, which says nothing about the key: the sessions' keys name it.
    #[must_use]
    pub const fn id(&self) -> &[u8; ID] {
        &self.id
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// Reads 32 bytes, or 64 hex digits and perhaps the key's id after them.
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const NO_KEY: &str = "it must be 32 random bytes, or 64 hex digits";
        if let Ok(key) = <[u8; KEY]>::try_from(bytes) {
            return Ok(Self::new(Zeroizing::new(key)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NO_KEY)?;
        let mut words = text.split_ascii_whitespace();
        let key = words.next().and_then(unhex).ok_or(NO_KEY)?;
        let key = Self::new(key);
        match (words.next(), words.next()) {
            (None, _) => Ok(key),
            (Some(id), None) if id == hex(&key.id) => Ok(key),
            _ => Err("it is damaged: the key does not fit its id"),
        }
    }

    /// As it is written into a file.
    fn text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(hex(&self.key[..]));
        Zeroizing::new(format!("{}\n{}\n", *key, hex(&self.id)))
    }

    /// Writes the key durably into a file.
    pub(super) fn write(&self, path: &Path) -> Result<(), SpaceError> {
        durable::replace(path, self.text().as_bytes(), &STEPS).map_err(Into::into)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", hex(&self.id))
    }
}

/// The master keys of a daemon: the current one, and those before it whose rotation is not over. Clones share
/// them.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    ring: Arc<RwLock<Ring>>,
}

#[derive(Debug)]
struct Ring {
    current: Arc<MasterKey>,
    older: Vec<Arc<MasterKey>>,
    is_credential: bool,
}

impl MasterKeys {
    /// This one alone.
    #[must_use]
    pub fn new(current: MasterKey) -> Self {
        Self::from_ring(current, Vec::new(), false)
    }

    fn from_ring(current: MasterKey, older: Vec<MasterKey>, is_credential: bool) -> Self {
        let ring = Ring {
            current: Arc::new(current),
            older: older.into_iter().map(Arc::new).collect(),
            is_credential,
        };
        Self {
            ring: Arc::new(RwLock::new(ring)),
        }
    }

    /// Takes the master key from systemd's directory of credentials, else from the state directory, where the
    /// first start makes it. It is never made where there is a key already that it would have to wrap. Blocks.
    ///
    /// # Errors
    /// [`SpaceError::Unusable`] when the key is missing or is no key, in words that say what to do;
    /// [`SpaceError::Unavailable`] when it cannot be read now.
    pub fn load(state: &Path, credentials: Option<&Path>) -> Result<Self, SpaceError> {
        let credential = |name| match credentials {
            Some(dir) => read(&dir.join(name)),
            None => Ok(None),
        };
        let given = credential(CREDENTIAL)?;
        let mut older: Vec<MasterKey> = credential(OLD_CREDENTIAL)?.into_iter().collect();
        let is_credential = given.is_some();
        rotation::finish_install(state)?;
        let next = read(&state.join(NEXT))?;
        let file = read(&state.join(FILE))?;
        let mut found = given.into_iter().chain(next).chain(file);
        if let Some(current) = found.next() {
            older.extend(found);
            return Ok(Self::from_ring(current, older, is_credential));
        }
        if let Some(wrapped) = a_wrapped_key(state)? {
            return Err(SpaceError::Unusable {
                why: format!(
                    "the master key is missing: neither the credential {CREDENTIAL} nor {} is there, and {} is \
                     wrapped by it. Give it again; without it nothing that is sealed can be read",
                    state.join(FILE).display(),
                    wrapped.display()
                ),
            });
        }
        let current = MasterKey::random()?;
        current.write(&state.join(FILE))?;
        Ok(Self::from_ring(current, older, false))
    }

    /// Whether the current one was given as a credential.
    #[must_use]
    pub fn is_credential(&self) -> bool {
        self.read(|ring| ring.is_credential)
    }

    /// Whether a rotation is not over.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.read(|ring| !ring.older.is_empty())
    }

    /// The key with this id, if it is one of them.
    pub(super) fn find(&self, id: &[u8; ID]) -> Option<Arc<MasterKey>> {
        self.read(|ring| {
            let mut all = std::iter::once(&ring.current).chain(&ring.older);
            all.find(|key| key.id == *id).map(Arc::clone)
        })
    }

    /// The one that wraps new keys.
    pub(super) fn current(&self) -> Arc<MasterKey> {
        self.read(|ring| Arc::clone(&ring.current))
    }

    /// Their ids, for a message.
    pub(super) fn names(&self) -> String {
        self.read(|ring| {
            let all = std::iter::once(&ring.current).chain(&ring.older);
            let ids: Vec<_> = all.map(|key| hex(&key.id)).collect();
            ids.join(" and ")
        })
    }

    /// Makes a key the current one. The one before it still opens what it wraps.
    pub(super) fn begin(&self, next: MasterKey) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        if ring.current.id != next.id {
            let before = std::mem::replace(&mut ring.current, Arc::new(next));
            ring.older.push(before);
        }
    }

    /// Forgets all but the current one.
    pub(super) fn end(&self) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.older.clear();
    }

    fn read<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads a master key; `None` where there is no such file.
fn read(path: &Path) -> Result<Option<MasterKey>, SpaceError> {
    let told = |why: &dyn fmt::Display| format!("the master key in {}: {why}", path.display());
    let bytes = match regular::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if regular::is_something_else(&e) => {
            return Err(SpaceError::Unusable { why: told(&e) });
        }
        Err(e) => return Err(SpaceError::Unavailable { why: told(&e) }),
    };
    let parsed = MasterKey::parse(&bytes);
    parsed
        .map(Some)
        .map_err(|why| SpaceError::Unusable { why: told(&why) })
}

/// A key that a master key wraps, if there is one: of the history, or of a session.
fn a_wrapped_key(state: &Path) -> Result<Option<PathBuf>, SpaceError> {
    let of_state = state.join(keys::STATE_FILE);
    if of_state.symlink_metadata().is_ok() {
        return Ok(Some(of_state));
    }
    let sessions = state.join(crate::store::SESSIONS);
    let unreadable = |e: io::Error| SpaceError::Unavailable {
        why: format!("cannot read {}: {e}", sessions.display()),
    };
    let entries = match fs::read_dir(&sessions) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    // A directory that cannot be looked at concerns its own session alone.
    let keys = entries.flatten().map(|entry| entry.path().join(keys::FILE));
    Ok(keys.into_iter().find(|key| key.symlink_metadata().is_ok()))
}

fn unhex(text: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut key = Zeroizing::new([0; KEY]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}
