//! The local vault: a session's credentials, sealed, in one small file.
//!
//! ```text
//! key        the session's own key, wrapped by the master key
//! vault.db   sealed values; open only while it is used, and for some seconds after that
//! ```
//!
//! A vault that is open in this sense has two descriptors, an idle one has none.

mod door;
mod file;
mod keys;
mod master;
mod rotation;
mod seal;
mod table;
mod text;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::door::Door;
use self::file::VaultFile;
use self::keys::KeyFile;
use self::seal::Seal;
use super::space::{Batch, Kind, Place, Space, SpaceError};
use crate::blocking::UncancellableWork;

pub(crate) use file::Contents;
pub(super) use file::FILE;
pub(super) use keys::FILE as KEY_FILE;
pub use master::{MasterKey, MasterKeys};
pub use rotation::{Rotated, rotate};
pub(super) use text::{Missing, TextSeal};

/// The credentials of one session. When this is dropped the file is closed soon after; [`Vault::close`] waits
/// for that.
pub struct Vault {
    door: Arc<Door>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.door.abandon();
    }
}

impl Vault {
    /// Opens the vault in a session's directory, and checks everything in it. One that is missing is an error,
    /// and is not made anew.
    ///
    /// # Errors
    /// [`SpaceError`]; the files are left as they are.
    pub async fn open(
        dir: &Path,
        masters: &MasterKeys,
        work: &UncancellableWork,
    ) -> Result<Self, SpaceError> {
        let (key, file, masters) = (KeyFile::new(dir), VaultFile::new(dir), masters.clone());
        let opened = move || {
            if look(&key, &file, &masters)? != Contents::Values {
                let why = "it is missing or empty although this session had credentials";
                return Err(file.unusable(why));
            }
            let read = key.read(&masters)?;
            let session_key = read.ok_or_else(|| key.unusable("it is missing"))?;
            Ok((file, Seal::new(&session_key)))
        };
        let (file, seal) = work.on_disk(opened).await?;
        let vault = Self {
            door: Door::new(file, seal, work),
        };
        vault.door.enter(|_, _| Ok(())).await?;
        Ok(vault)
    }

    /// Makes the vault of a session that has none, durably, and opens it. An empty file counts as none.
    ///
    /// # Errors
    /// [`SpaceError::Unusable`] when there is one; [`SpaceError::Unavailable`] when it cannot be made.
    pub async fn create(
        dir: &Path,
        masters: &MasterKeys,
        work: &UncancellableWork,
    ) -> Result<Self, SpaceError> {
        let (key, file) = (KeyFile::new(dir), VaultFile::new(dir));
        let ring = masters.clone();
        let made = move || {
            if look(&key, &file, &ring)? == Contents::Values {
                return Err(file.unusable("there are credentials already"));
            }
            // What a try before this one left is taken.
            let session_key = match key.read(&ring)? {
                Some(session_key) => session_key,
                None => key.create(&ring)?,
            };
            file.create(&Seal::new(&session_key))
        };
        work.on_disk(made).await?;
        Self::open(dir, masters, work).await
    }

    /// Looks at the files in a session's directory, and changes nothing: whether there is a vault, whether its
    /// key opens, and whether the file begins like one of this version. [`Vault::open`] looks at the rest.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub async fn look_into(
        dir: &Path,
        masters: &MasterKeys,
        work: &UncancellableWork,
    ) -> Result<Contents, SpaceError> {
        let (key, file, masters) = (KeyFile::new(dir), VaultFile::new(dir), masters.clone());
        work.on_disk(move || look(&key, &file, &masters)).await
    }

    /// Closes the file for good. When this returns, no descriptor of it is open, and none will be.
    pub async fn close(&self) {
        self.door.close().await;
    }
}

/// See [`Vault::look_into`]. Blocks.
fn look(key: &KeyFile, file: &VaultFile, masters: &MasterKeys) -> Result<Contents, SpaceError> {
    let contents = file.contents()?;
    if key.read(masters)?.is_none() && contents == Contents::Values {
        return Err(
            key.unusable("it is missing, and without it the vault beside it cannot be read")
        );
    }
    Ok(contents)
}

#[async_trait]
impl Space for Vault {
    async fn get(&self, place: &Place) -> Result<Option<Vec<u8>>, SpaceError> {
        let place = place.clone();
        let get = move |connection: &_, seal: &_| table::get(connection, seal, &place);
        self.door.enter(get).await
    }

    async fn get_many(&self, places: &[Place]) -> Result<Vec<Option<Vec<u8>>>, SpaceError> {
        let places = places.to_vec();
        // The lock on the file and the turn of the user's calls make it one snapshot.
        let get = move |connection: &_, seal: &_| {
            let values = places
                .iter()
                .map(|place| table::get(connection, seal, place));
            values.collect()
        };
        self.door.enter(get).await
    }

    async fn list(
        &self,
        kind: Kind,
        group: Option<&[u8]>,
    ) -> Result<Vec<(Place, Vec<u8>)>, SpaceError> {
        let group = group.map(<[u8]>::to_vec);
        let list =
            move |connection: &_, seal: &_| table::list(connection, seal, kind, group.as_deref());
        self.door.enter(list).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), SpaceError> {
        self.door.commit(batch).await
    }
}

#[cfg(test)]
mod tests;
