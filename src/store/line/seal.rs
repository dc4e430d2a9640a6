//! What seals the lines: the key in `state.key`, which the master key wraps.
//!
//! A master key that is missing or wrong stops nobody: lines that are sealed are then shown in part, and a
//! logout ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Line;
use crate::store::StoreError;
use crate::store::masters::Masters;
use crate::store::space::SpaceError;
use crate::store::vault::{Missing, TextSeal};

/// The seal of the lines, read when it is first needed. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::store) struct LineSeal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: PathBuf,
    masters: Masters,
    loaded: Mutex<Option<Arc<TextSeal>>>,
}

impl LineSeal {
    /// That of a state directory.
    pub(in crate::store) fn new(state: &Path, masters: Masters) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: state.to_owned(),
                masters,
                loaded: Mutex::default(),
            }),
        }
    }

    /// The seal, to open what is sealed; `None` where there is no key, and so nothing that it has sealed. Blocks.
    pub(in crate::store) fn to_open(&self) -> Result<Option<Arc<TextSeal>>, SpaceError> {
        self.load(Missing::IsNone)
    }

    /// The state directory.
    pub(in crate::store) fn state(&self) -> &Path {
        &self.inner.state
    }

    /// Makes the key where there is none. Blocks.
    pub(in crate::store) fn make(&self) -> Result<(), SpaceError> {
        self.load(Missing::IsMade).map(drop)
    }

    /// The seal, to seal this line; `None` where the line has nothing to seal. The key is made where there is
    /// none. Blocks.
    ///
    /// Where the key is wrong or lost, the line is written without what is to be sealed, and the log says so: the
    /// session ends all the same. Trouble with the disk is an error, as with any other write.
    pub(in crate::store) fn to_seal(
        &self,
        line: &Line,
    ) -> Result<Option<Arc<TextSeal>>, StoreError> {
        if !line.needs_seal() {
            return Ok(None);
        }
        match self.load(Missing::IsMade) {
            Ok(seal) => Ok(seal),
            // It stays as it was.
            Err(SpaceError::Unusable { .. }) if line.is_in_clear() => Ok(None),
            Err(SpaceError::Unusable { why }) => {
                tracing::error!(
                    wasession_user = %line.entry.user,
                    "the account and WhatsApp's words cannot be sealed, so the line about the end of {} is written \
                     without them: {why}",
                    line.entry.user
                );
                Ok(None)
            }
            Err(other) => {
                let why = std::io::Error::other(other.to_string());
                let root = &self.inner.state;
                Err(StoreError::unavailable("use the key in", root, why))
            }
        }
    }

    fn load(&self, missing: Missing) -> Result<Option<Arc<TextSeal>>, SpaceError> {
        let inner = &self.inner;
        let mut loaded = inner.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seal) = &*loaded {
            return Ok(Some(Arc::clone(seal)));
        }
        if missing == Missing::IsNone && !TextSeal::is_for_lines(&inner.state) {
            // The first master key of a state directory is made by whoever needs it.
            return Ok(None);
        }
        let masters = inner.masters.get()?;
        let seal = match TextSeal::of_lines(&inner.state, &masters, missing) {
            // The lines to come need a key. Those that this one has sealed stay as they are.
            Err(SpaceError::Unusable { why }) if missing == Missing::IsMade => {
                let aside = TextSeal::set_aside_for_lines(&inner.state, &why)?;
                tracing::error!(
                    "{why}. What it has sealed in the history stays locked. It is kept as {}, and there is another \
                     one from now on",
                    aside.display()
                );
                TextSeal::of_lines(&inner.state, &masters, missing)?
            }
            seal => seal?,
        };
        *loaded = seal.map(Arc::new);
        Ok(loaded.clone())
    }
}
