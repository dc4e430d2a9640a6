//! The credentials of one session: where they lie, and what opens them.

use std::path::{Path, PathBuf};

use super::former::Former;
use super::masters::Masters;
use super::space::SpaceError;
use super::vault::{Contents, Vault};
use crate::blocking::UncancellableWork;

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Their bytes are wrong, or not what they must be. Trying again does not help.
    #[error("the credentials in {path} cannot be used: {why}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// They cannot be opened now: no permission, no descriptors, no room, locked. Trying again may help.
    #[error("the credentials in {path} cannot be opened now: {why}", path = path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The credentials of one session, to ask about them.
#[derive(Debug, Clone)]
pub struct Credentials {
    dir: PathBuf,
    masters: Masters,
}

impl Credentials {
    /// Those in a session's directory.
    pub(super) const fn new(dir: PathBuf, masters: Masters) -> Self {
        Self { dir, masters }
    }

    /// The directory in which they lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The error that says that they are unusable.
    #[must_use]
    pub fn unusable(&self, why: impl Into<String>) -> CredentialsError {
        CredentialsError::Unusable {
            path: self.dir.clone(),
            why: why.into(),
        }
    }

    /// The error that says that they cannot be opened now.
    #[must_use]
    pub fn unavailable(&self, why: impl Into<String>) -> CredentialsError {
        CredentialsError::Unavailable {
            path: self.dir.clone(),
            why: why.into(),
        }
    }

    /// What a failure of the vault means.
    #[must_use]
    pub fn failure(&self, error: SpaceError) -> CredentialsError {
        match error {
            SpaceError::Unusable { why } => self.unusable(why),
            SpaceError::Unavailable { why } => self.unavailable(why),
            SpaceError::ClaimLost => self.unavailable("another daemon owns the session now"),
        }
    }

    /// The file in which a former version kept them.
    #[must_use]
    pub(crate) fn former(&self) -> Former {
        Former::new(self.dir.join(super::former::FILE))
    }

    /// Whether a former version left a file with them, or something that may be one.
    pub(crate) async fn are_of_a_former_layout(&self, work: &UncancellableWork) -> bool {
        let former = self.former();
        work.on_disk(move || former.is_there()).await
    }

    /// Looks whether there is a vault, and changes nothing.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub(crate) async fn look(
        &self,
        work: &UncancellableWork,
    ) -> Result<Contents, CredentialsError> {
        let masters = self.masters(work).await?;
        let looked = Vault::look_into(&self.dir, &masters, work).await;
        looked.map_err(|e| self.failure(e))
    }

    /// Opens the vault, which must be there.
    ///
    /// # Errors
    /// [`CredentialsError`]; the files are left as they are.
    pub(crate) async fn open(&self, work: &UncancellableWork) -> Result<Vault, CredentialsError> {
        let masters = self.masters(work).await?;
        let opened = Vault::open(&self.dir, &masters, work).await;
        opened.map_err(|e| self.failure(e))
    }

    /// Makes the vault of a session that has none, durably, and opens it.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub(crate) async fn create(&self, work: &UncancellableWork) -> Result<Vault, CredentialsError> {
        let masters = self.masters(work).await?;
        let made = Vault::create(&self.dir, &masters, work).await;
        made.map_err(|e| self.failure(e))
    }

    async fn masters(
        &self,
        work: &UncancellableWork,
    ) -> Result<super::vault::MasterKeys, CredentialsError> {
        let masters = self.masters.clone();
        let loaded = work.on_disk(move || masters.get()).await;
        loaded.map_err(|e| self.failure(e))
    }
}
