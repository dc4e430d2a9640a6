//! The master key: it wraps the keys of all sessions.
//!
//! It is given by systemd as the credential `wasessiond.key`, or lies in the file `key` of the state
//! directory, which the first start makes. A credential can be any 32 bytes, or 64 hex digits. While a
//! rotation runs there are two: the file `key.next` in the state directory, or the credential, is the new one,
//! and `key`, or the credential `wasessiond.key.old`, is the old one.
//!
//! `key.id` names the one in use, so that a missing or a wrong one is told from the first start of all.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
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
pub(super) const CREDENTIAL: &str = "wasessiond.key";

/// The name of the credential with the key before it, while a rotation runs.
pub(super) const OLD_CREDENTIAL: &str = "wasessiond.key.old";

/// The file in the state directory.
pub(super) const FILE: &str = "key";

/// The file in the state directory with the next key, while a rotation runs.
pub(super) const NEXT: &str = "key.next";

/// The file in the state directory with the id of the key that is in use: it says that there is one, where the
/// key itself is missing.
pub(super) const IN_USE: &str = "key.id";

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
        let is_text = bytes.iter().all(u8::is_ascii_graphic);
        if let Ok(key) = <[u8; KEY]>::try_from(bytes)
            && !is_text
        {
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

    /// Notes the key's id durably in a file, where it is not there already.
    pub(super) fn note(&self, path: &Path) -> Result<(), SpaceError> {
        let text = hex(&self.id);
        if noted(path)?.is_some_and(|id| id == text) {
            return Ok(());
        }
        durable::replace(path, (text + "\n").as_bytes(), &STEPS).map_err(Into::into)
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
    /// first start makes it. It is never made where another one was in use. Blocks.
    ///
    /// # Errors
    /// [`SpaceError::Unusable`] when the key is missing or is no key, in words that say what to do;
    /// [`SpaceError::Unavailable`] when it cannot be read now.
    pub fn load(state: &Path, credentials: Option<&Path>) -> Result<Self, SpaceError> {
        let credential = |name| match credentials {
            Some(dir) if !is_closed(&dir.join(name)) => read(&dir.join(name)),
            _ => Ok(None),
        };
        let given = credential(CREDENTIAL)?;
        let mut older: Vec<MasterKey> = credential(OLD_CREDENTIAL)?.into_iter().collect();
        let is_credential = given.is_some();
        rotation::finish_install(state)?;
        let next = read(&state.join(NEXT))?;
        let file = read(&state.join(FILE))?;
        let in_use = state.join(IN_USE);
        let noted = noted(&in_use)?;
        let mut found = given.into_iter().chain(next).chain(file);
        if let Some(current) = found.next() {
            older.extend(found);
            if let Some(id) = noted {
                let mut all = older.iter().chain([&current]).map(|key| hex(&key.id));
                if !all.any(|known| known == id) {
                    return Err(SpaceError::Unusable {
                        why: format!(
                            "the master key {} is not the one that was in use, {id}. Give that one again, the new one \
                             beside it where it is to be changed. Where it is lost for good, remove {}, and force-logout \
                             the sessions that say what they lack",
                            hex(&current.id),
                            in_use.display()
                        ),
                    });
                }
            }
            if let Err(e) = current.note(&in_use) {
                // It is a help for the day on which the key is missing, and nothing else.
                tracing::warn!("the id of the master key could not be noted: {e}");
            }
            return Ok(Self::from_ring(current, older, is_credential));
        }
        if let Some(id) = noted {
            return Err(SpaceError::Unusable {
                why: format!(
                    "the master key {id} is missing: neither the credential {CREDENTIAL} nor {} is there. Give it \
                     again; without it nothing that is sealed can be read. Where it is lost for good, remove {}, and \
                     force-logout the sessions",
                    state.join(FILE).display(),
                    in_use.display()
                ),
            });
        }
        let wrapped = state.join(keys::STATE_FILE);
        if wrapped.symlink_metadata().is_ok() {
            return Err(SpaceError::Unusable {
                why: format!(
                    "the master key is missing: neither the credential {CREDENTIAL} nor {} is there, and {} is wrapped \
                     by it. Give it again. Where it is lost for good, move that file away",
                    state.join(FILE).display(),
                    wrapped.display()
                ),
            });
        }
        let current = MasterKey::random()?;
        current.write(&state.join(FILE))?;
        current.note(&in_use)?;
        Ok(Self::from_ring(current, older, false))
    }

    /// The id of the current one, in hex. It says nothing about the key.
    #[must_use]
    pub fn id(&self) -> String {
        hex(self.current().id())
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

/// Whether the directory that this file would be in lets nobody look. systemd leaves the directory of
/// credentials like that, and empty, in a container that lets it mount nothing.
fn is_closed(path: &Path) -> bool {
    let looked = path.symlink_metadata();
    looked.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
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

/// The id that is noted in a file.
fn noted(path: &Path) -> Result<Option<String>, SpaceError> {
    match regular::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(SpaceError::Unavailable {
            why: format!("{}: {e}", path.display()),
        }),
    }
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
