//! The master keys of a daemon, read when they are first needed.
//!
//! A master key that is missing or wrong concerns the sessions whose keys it wraps, and nobody else: the daemon
//! starts, and each of them says what is wrong. So it is read again until it is there.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Store;
use super::space::SpaceError;
use super::vault::{MasterKey, MasterKeys, Rotated, rotate};
use crate::blocking::UncancellableWork;
use crate::protocol::UserId;

/// The master keys, and where they are looked for. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Masters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: PathBuf,
    credentials: Option<PathBuf>,
    loaded: OnceLock<MasterKeys>,
    /// Held while somebody reads them, on a disk that may hang.
    reading: Mutex<()>,
    /// Why they could not be read the last time.
    trouble: Mutex<Option<String>>,
}

impl Masters {
    /// Those of a state directory, or of systemd's directory of credentials where the key is there.
    pub(super) fn new(state: &Path, credentials: Option<&Path>) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: state.to_owned(),
                credentials: credentials.map(Path::to_owned),
                loaded: OnceLock::new(),
                reading: Mutex::default(),
                trouble: Mutex::default(),
            }),
        }
    }

    /// The master keys. The first one of a state directory is made here. Blocks.
    ///
    /// # Errors
    /// See [`MasterKeys::load`].
    pub(super) fn get(&self) -> Result<MasterKeys, SpaceError> {
        let inner = &self.inner;
        let _turn = match inner.loaded.get() {
            Some(keys) => return Ok(keys.clone()),
            None => inner.reading.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if let Some(keys) = inner.loaded.get() {
            return Ok(keys.clone());
        }
        let read = MasterKeys::load(&inner.state, inner.credentials.as_deref());
        let mut trouble = inner.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = read.as_ref().err().map(ToString::to_string);
        read.map(|keys| inner.loaded.get_or_init(|| keys).clone())
    }

    /// What is known of them, from memory: where they are not read, why not.
    fn known(&self) -> Result<MasterKeys, String> {
        if let Some(keys) = self.inner.loaded.get() {
            return Ok(keys.clone());
        }
        let trouble = self.inner.trouble.lock();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner).clone();
        Err(trouble.unwrap_or_else(|| "the master key has not been read yet".to_owned()))
    }
}

impl Store {
    /// The master keys, from memory.
    ///
    /// # Errors
    /// Why they are not known.
    pub(crate) fn known_master_keys(&self) -> Result<MasterKeys, String> {
        self.inner.masters.known()
    }

    /// The master keys. The first one of a state directory is made here.
    ///
    /// # Errors
    /// See [`MasterKeys::load`].
    pub(crate) async fn master_keys(&self) -> Result<MasterKeys, SpaceError> {
        let masters = self.inner.masters.clone();
        self.disk().run(move || masters.get()).await
    }

    /// Finishes a rotation of the master key that is not over. Then makes another key the master key, where that
    /// is wanted, and the key is in the state directory. `work_of` finds a user's own work: see [`rotate`].
    ///
    /// # Errors
    /// [`SpaceError`]. Then the rotation is not over, both master keys are kept, and this can be called again.
    pub(crate) async fn rotate_master_key<W: Borrow<UncancellableWork> + Send + 'static>(
        &self,
        anew: bool,
        work_of: impl Fn(&UserId) -> W,
    ) -> Result<Rotated, SpaceError> {
        let masters = self.master_keys().await?;
        let next = if anew && !masters.is_credential() {
            Some(MasterKey::random()?)
        } else {
            None
        };
        rotate(self.root(), &masters, next, self.disk(), work_of).await
    }
}
