//! The master keys of a daemon, read when they are first needed.
//!
//! A master key that is missing or wrong concerns the sessions whose keys it wraps, and nobody else: the daemon
//! starts, and each of them says what is wrong. So it is read again until it is there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::space::SpaceError;
use super::vault::MasterKeys;

/// The master keys, and where they are looked for. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Masters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: PathBuf,
    credentials: Option<PathBuf>,
    loaded: Mutex<Option<MasterKeys>>,
}

impl Masters {
    /// Those of a state directory, or of systemd's directory of credentials where the key is there.
    pub(super) fn new(state: &Path, credentials: Option<&Path>) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: state.to_owned(),
                credentials: credentials.map(Path::to_owned),
                loaded: Mutex::default(),
            }),
        }
    }

    /// The master keys. The first one of a state directory is made here. Blocks.
    ///
    /// # Errors
    /// See [`MasterKeys::load`].
    pub(super) fn get(&self) -> Result<MasterKeys, SpaceError> {
        let inner = &self.inner;
        let mut loaded = inner.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &*loaded {
            return Ok(keys.clone());
        }
        let keys = MasterKeys::load(&inner.state, inner.credentials.as_deref())?;
        *loaded = Some(keys.clone());
        Ok(keys)
    }
}
