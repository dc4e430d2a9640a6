//! A keyed space of values with batches that commit together: where a session's credentials lie.
//!
//! This is a port. What is above it (the library's store) knows no files and no SQL; what is below it knows
//! nothing of WhatsApp. It is the space of one session: no place says whose it is.
//!
//! Names of people and chats occur in groups and names. An implementation keeps both, and the values,
//! unreadable at rest. Nothing here prints them.

use std::fmt;

use async_trait::async_trait;

/// What kind of value. Each kind is a table of its own. The numbers are on disks: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u8);

/// Where a value lies. All bytes are allowed in a group and in a name, and both may be empty: an empty group
/// is a group like any other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The kind.
    pub kind: Kind,
    /// The group within the kind.
    pub group: Box<[u8]>,
    /// The name within the group.
    pub name: Box<[u8]>,
}

impl Place {
    /// The place of this name in this group of this kind.
    #[must_use]
    pub fn new(kind: Kind, group: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Self {
        Self {
            kind,
            group: group.as_ref().into(),
            name: name.as_ref().into(),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Place(kind {}, group of {} bytes, name of {} bytes)",
            self.kind.0,
            self.group.len(),
            self.name.len()
        )
    }
}

/// One change of a [`Batch`].
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Puts a value there, in the place of an older one.
    Put(Place, Vec<u8>),
    /// Removes the value, if there is one.
    Delete(Place),
    /// Removes all values of a group.
    DeleteGroup(Kind, Box<[u8]>),
    /// Removes all values of a kind.
    DeleteKind(Kind),
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(place, value) => write!(f, "Put({place:?}, {} bytes)", value.len()),
            Self::Delete(place) => write!(f, "Delete({place:?})"),
            Self::DeleteGroup(kind, group) => {
                write!(
                    f,
                    "DeleteGroup(kind {}, group of {} bytes)",
                    kind.0,
                    group.len()
                )
            }
            Self::DeleteKind(kind) => write!(f, "DeleteKind(kind {})", kind.0),
        }
    }
}

/// Changes that are made together, in their order, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The changes. A later one sees what an earlier one did.
    pub changes: Vec<Change>,
    /// What the batch survives once it is committed.
    pub durability: Durability,
}

/// What a batch survives once it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A loss of power: what Signal needs before something goes on the wire.
    Synced,
    /// The end of the process. It is on the disk within a minute, or with the next `Synced` batch: caches.
    Eventual,
}

/// A keyed space of values.
///
/// A commit that is not waited for any more is made as a whole or not at all, and is over before a later call
/// of the same caller begins.
#[async_trait]
pub trait Space: Send + Sync + fmt::Debug {
    /// One value.
    ///
    /// # Errors
    /// [`SpaceError`].
    async fn get(&self, place: &Place) -> Result<Option<Vec<u8>>, SpaceError>;

    /// Several values of one snapshot, in the order of `places`.
    ///
    /// # Errors
    /// [`SpaceError`].
    async fn get_many(&self, places: &[Place]) -> Result<Vec<Option<Vec<u8>>>, SpaceError>;

    /// All values of a kind, or of one group of a kind, of one snapshot, in no order.
    ///
    /// # Errors
    /// [`SpaceError`].
    async fn list(
        &self,
        kind: Kind,
        group: Option<&[u8]>,
    ) -> Result<Vec<(Place, Vec<u8>)>, SpaceError>;

    /// Makes changes, all or none. A batch without changes makes durable what `Eventual` ones did before it,
    /// where it is [`Durability::Synced`].
    ///
    /// # Errors
    /// [`SpaceError`]. Then the batch is not made; after a failure of the disk itself it may turn out later that it
    /// was, as a whole.
    async fn commit(&self, batch: Batch) -> Result<(), SpaceError>;
}

/// Why a space did not answer. The words name no place and no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// It cannot be used now: no room, no permission, no descriptors, busy. Trying again may help.
    #[error("cannot be used now: {why}")]
    Unavailable {
        /// What, and why.
        why: String,
    },
    /// Its bytes are wrong, or the key to them is. Trying again does not help.
    #[error("cannot be used: {why}")]
    Unusable {
        /// What, and why.
        why: String,
    },
    /// Somebody else owns the session now. Nothing may be written any more.
    #[error("another daemon owns the session now")]
    ClaimLost,
}

#[cfg(test)]
pub(crate) mod conformance;
