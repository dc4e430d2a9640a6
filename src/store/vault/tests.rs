mod crashes;
mod damage;
mod life;
mod masters;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::master::CREDENTIAL;
use super::*;
use crate::store::space::{Change, Durability};

/// A state directory with some sessions.
struct Stage {
    _dir: TempDir,
    state: PathBuf,
    masters: MasterKeys,
    work: UncancellableWork,
}

impl Stage {
    fn set() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path().canonicalize().expect("a path");
        fs::create_dir(state.join("sessions")).expect("mkdir");
        let masters = MasterKeys::load(&state, None).expect("a key");
        Self {
            _dir: dir,
            state,
            masters,
            work: UncancellableWork::default(),
        }
    }

    fn dir(&self, user: &str) -> PathBuf {
        self.state.join("sessions").join(user)
    }

    fn file(&self, user: &str) -> PathBuf {
        self.dir(user).join(FILE)
    }

    fn key(&self, user: &str) -> PathBuf {
        self.dir(user).join(keys::FILE)
    }

    async fn create(&self, user: &str) -> Vault {
        fs::create_dir_all(self.dir(user)).expect("mkdir");
        let made = Vault::create(&self.dir(user), &self.masters, &self.work).await;
        made.expect("a vault")
    }

    async fn open(&self, user: &str) -> Result<Vault, SpaceError> {
        Vault::open(&self.dir(user), &self.masters, &self.work).await
    }

    /// A vault with some values, closed.
    async fn fill(&self, user: &str) {
        let vault = self.create(user).await;
        commit(&vault, values()).await.expect("a commit");
        vault.close().await;
    }

    /// What a vault says when it is opened and everything in it is read.
    async fn read(&self, user: &str) -> Result<Vec<(Place, Vec<u8>)>, SpaceError> {
        let vault = self.open(user).await?;
        let read = read(&vault).await;
        vault.close().await;
        read
    }
}

const KIND: Kind = Kind(7);

fn name(n: u8) -> Place {
    Place::new(
        KIND,
        "4915550001234@s.whatsapp.net",
        [b"device ", &[n][..]].concat(),
    )
}

fn value(n: u8) -> Vec<u8> {
    format!("the secret of number {n}")
        .repeat(usize::from(n) + 1)
        .into_bytes()
}

fn values() -> Vec<Change> {
    (0..12).map(|n| Change::Put(name(n), value(n))).collect()
}

async fn commit(space: &dyn Space, changes: Vec<Change>) -> Result<(), SpaceError> {
    let durability = Durability::Synced;
    space
        .commit(Batch {
            changes,
            durability,
        })
        .await
}

/// Everything of the kind, by each way to it, which must agree.
async fn read(vault: &Vault) -> Result<Vec<(Place, Vec<u8>)>, SpaceError> {
    let places: Vec<_> = (0..12).map(name).collect();
    let single = vault.get_many(&places).await?;
    let found = places.into_iter().zip(single);
    let found: Vec<_> = found
        .filter_map(|(place, value)| Some((place, value?)))
        .collect();
    let mut listed = vault.list(KIND, None).await?;
    listed.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    assert_eq!(found, listed);
    Ok(found)
}

fn all() -> Vec<(Place, Vec<u8>)> {
    (0..12).map(|n| (name(n), value(n))).collect()
}

fn is_unusable<T: fmt::Debug>(found: &Result<T, SpaceError>) -> bool {
    matches!(found, Err(SpaceError::Unusable { .. }))
}

fn is_unavailable<T: fmt::Debug>(found: &Result<T, SpaceError>) -> bool {
    matches!(found, Err(SpaceError::Unavailable { .. }))
}

/// Whether this process has a file open, by its path.
fn is_open(path: &Path) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").expect("proc");
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        target.starts_with(path.parent().expect("a directory"))
    })
}
