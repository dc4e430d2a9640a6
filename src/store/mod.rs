//! The only place that touches the disk.
//!
//! Everything about a user is in one directory, so that one rename removes it:
//!
//! ```text
//! <state directory>/     0700, locked: one daemon
//!   lock                 the pid of the daemon, for the message to a second one; empty after a stop
//!   key                  the master key, where systemd gives none
//!   key.id               its id, which says nothing about it; key.next, key.old while it is rotated
//!   state.key            the key of the history's and the intents' sealed parts, wrapped by the master key
//!   sessions/<user>/     session.toml; key and vault.db (-wal), open only while they are used
//!   trash/<user>.<cause>.<id>/  renamed here by a removal, then erased
//!   intents.jsonl        why, of the removals under way; empty when there are none
//!   history.jsonl        one line per ended session
//!   client-version.toml  the version of WhatsApp Web that was fetched last
//! ```
//!
//! What names an account or a person, and every secret, is sealed: the vault as a whole, the rest in a field
//! `sealed` (see `record` and `line`). Names of directories hold the ids of users, causes, and ids of removals;
//! `lock` and `client-version.toml` name nobody.
//!
//! An `async` function here makes its calls to the disk in the store's own rooms. Every other function
//! blocks; async callers run it in a room, too (`Store::work`, `Store::disk`).
//!
//! A [`Store`] proves that the lock is held: every change of the disk needs one.

mod client_version;
mod commit;
mod credentials;
mod durable;
mod error;
mod former;
mod history;
mod intent;
mod intents;
mod line;
mod lock;
mod masters;
mod moved;
mod private;
mod record;
mod regular;
mod removal;
mod shred;
mod space;
mod step;
mod trash;
mod vault;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use client_version::ClientVersion;
pub use credentials::{Credentials, CredentialsError};
pub use error::StoreError;
pub(crate) use former::set_up;
pub use former::{Contents as FormerContents, Former};
pub use history::{Entries, History};
pub use intent::Intent;
pub use record::{AccountLock, Desired, Hold, ProxyChoice, Record};
pub use removal::{Removal, RemovalFailed};
pub use space::{Batch, Change, Durability, Kind, Place, Space, SpaceError};
pub use step::Step;
pub(crate) use vault::Contents as VaultContents;
pub use vault::{MasterKey, MasterKeys, Rotated, Vault, rotate};

pub(crate) use removal::Leftover;

use crate::blocking::{Room, UncancellableWork};
use crate::failpoint;
use crate::protocol::UserId;
use durable::SharedSync;
use intents::Intents;
use line::LineSeal;
use lock::Lock;
use masters::Masters;
use moved::Moved;
use record::RecordKey;

/// How many calls to the disk are made at a time. More would not make it faster.
const DISK_THREADS: usize = 8;

/// How many calls to the disk may hang, besides those, before other users wait. A user has one call at a
/// time, so that is the number of users whose files hang.
const SPARE_DISK_THREADS: usize = 120;

/// One thread for each thing that is written or synced for many sessions at once: the intents, the history,
/// the directory of sessions, the trash. None of them waits behind calls to a session's own files.
const COMMIT_THREADS: usize = 4;

/// The state directory, held exclusively for as long as a clone of this lives.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    disk: Room,
    commits: Room,
    intents: Intents,
    moved: Moved,
    masters: Masters,
    seal: LineSeal,
    sessions_sync: SharedSync,
    trash_sync: SharedSync,
    /// Whether the log says already that the directory was replaced.
    is_loss_logged: AtomicBool,
    // Held for as long as the store lives: dropping it lets another daemon in.
    lock: Lock,
}

/// What is in a user's directory.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A session.
    Session(Box<Record>),
    /// A session whose record cannot be used. It must not be overwritten.
    Unusable {
        /// Why.
        why: String,
        /// The uid that created it, as far as that can be read; otherwise uid 0.
        owner: u32,
    },
}

impl Store {
    /// Opens the state directory, makes what is missing, and takes the lock before anything is read.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a live daemon has it; [`StoreError::Foreign`] when it is another
    /// user's; [`StoreError::Unavailable`] when it cannot be made or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, None)
    }

    /// The same, with systemd's directory of credentials, which may have the master key.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: &Path, credentials: Option<&Path>) -> Result<Self, StoreError> {
        private::make(root)?;
        let lock = Lock::take(root)?;
        // What a crash cut off in the middle of a write: among it may be a master key that was never used.
        durable::remove_temporaries(root);
        let (sessions, trash) = (root.join(SESSIONS), root.join(TRASH));
        private::make(&sessions)?;
        private::make(&trash)?;
        durable::sync_dir(root, Step::RootSync)?;
        // A path of the configuration may go through links; the real path does not.
        let real =
            fs::canonicalize(root).map_err(|e| StoreError::unavailable("look at", root, e))?;
        for why in private::replaceable(&real) {
            tracing::warn!(
                "somebody else could put another directory in the place of {}: {why}",
                root.display()
            );
        }
        let commits = Room::new("commit", COMMIT_THREADS);
        let path = root.join("intents.jsonl");
        let masters = Masters::new(root, credentials);
        let seal = LineSeal::new(root, masters.clone());
        let intents = Intents::open(path, &trash::ids(&trash)?, commits.clone(), seal.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                root: root.to_owned(),
                disk: Room::with_spares("disk", DISK_THREADS, SPARE_DISK_THREADS),
                sessions_sync: SharedSync::new(sessions, commits.clone()),
                trash_sync: SharedSync::new(trash, commits.clone()),
                commits,
                intents,
                moved: Moved::default(),
                masters,
                seal,
                is_loss_logged: AtomicBool::new(false),
                lock,
            }),
        })
    }

    /// The state directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The uncancellable work of one user, with none begun: above all calls to the disk.
    #[must_use]
    pub(crate) fn work(&self) -> UncancellableWork {
        UncancellableWork::new(self.inner.disk.clone())
    }

    /// The room for calls to the disk that belong to no user.
    #[must_use]
    pub(crate) fn disk(&self) -> &Room {
        &self.inner.disk
    }

    /// Whether the daemon before this one died, instead of being stopped.
    #[must_use]
    pub(crate) fn was_left_by_a_crash(&self) -> bool {
        self.inner.lock.was_left_by_a_crash()
    }

    /// Notes that this daemon was stopped, and is done with the disk.
    pub(crate) fn ends_well(&self) {
        self.inner.lock.ends_well();
    }

    /// For the watchdog: whether the disk answers, and the state directory is still the one that is locked.
    /// This call hangs where the disk does.
    #[must_use]
    pub(crate) fn answers(&self) -> bool {
        failpoint::hang("store");
        match self.inner.lock.still_holds() {
            Ok(()) => true,
            Err(error) => {
                if !self.inner.is_loss_logged.swap(true, Ordering::Relaxed) {
                    tracing::error!("the state directory is lost: {error}");
                }
                false
            }
        }
    }

    /// Where everything about a user is, whether or not it exists.
    #[must_use]
    pub fn session_dir(&self, user: &UserId) -> PathBuf {
        self.sessions().join(user.as_str())
    }

    /// The file with the user's credentials, whether or not it exists.
    #[must_use]
    pub fn vault_db(&self, user: &UserId) -> PathBuf {
        self.session_dir(user).join(vault::FILE)
    }

    /// The user's credentials, to ask about them.
    #[must_use]
    pub fn credentials(&self, user: &UserId) -> Credentials {
        let masters = self.inner.masters.clone();
        Credentials::new(self.session_dir(user), masters)
    }

    /// Makes the directory of a new session with its record, durably.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when something is there already, which stays as it is;
    /// [`StoreError::Unavailable`] when it cannot be made, and nothing of the session is left then.
    pub fn create(&self, user: &UserId, record: &Record) -> Result<(), StoreError> {
        let dir = self.session_dir(user);
        let mut is_ours = false;
        let mkdir = || {
            private::make_new(&dir)?;
            is_ours = true;
            Ok(())
        };
        let made = Step::CreateDir
            .take(mkdir)
            .map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    let why = "it is there already, and no session of this daemon made it. Look at what it is, and move it away";
                    StoreError::unusable(&dir, why)
                }
                _ => StoreError::unavailable("make the private directory (mode 0700)", &dir, e),
            })
            .and_then(|()| record.save(&self.record_key(&dir)))
            .and_then(|()| durable::sync_dir(&self.sessions(), Step::CreateSync));
        if made.is_err() && is_ours {
            // The next start would take a directory without a record for a broken session. Files that
            // somebody else has put into the directory stay.
            let _ = fs::remove_file(dir.join(record::FILE));
            let _ = shred::file(&dir.join(vault::KEY_FILE));
            durable::remove_temporaries(&dir);
            let _ = fs::remove_dir(&dir);
        }
        made
    }

    /// Saves a session's record, durably. The directory must exist: a record never brings a removed
    /// session back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the old record is then still there, whole.
    pub fn save(&self, user: &UserId, record: &Record) -> Result<(), StoreError> {
        record.save(&self.record_key(&self.session_dir(user)))
    }

    /// Where the record of a session and its key are.
    fn record_key<'a>(&'a self, dir: &'a Path) -> RecordKey<'a> {
        RecordKey {
            dir,
            masters: &self.inner.masters,
        }
    }

    /// Looks a user's directory up, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be read; that says nothing about whether it is there.
    pub(crate) fn find(&self, user: &UserId) -> Result<Found, StoreError> {
        let dir = self.session_dir(user);
        let unusable = |why| Found::Unusable {
            why,
            owner: Record::stand_in_for(&dir).owner,
        };
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Ok(unusable(format!("{} is not a directory", dir.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(e) => return Err(StoreError::unavailable("look at", &dir, e)),
        }
        match Record::read(&self.record_key(&dir)) {
            Ok(record) => Ok(Found::Session(Box::new(record))),
            Err(StoreError::Unusable { .. }) if was_never_made(&dir)? => Ok(Found::Nothing),
            Err(StoreError::Unusable { path, why }) => {
                Ok(unusable(format!("{}: {why}", path.display())))
            }
            Err(other) => Err(other),
        }
    }

    /// What stands for a record that cannot be used.
    pub(crate) fn stand_in(&self, user: &UserId) -> Record {
        Record::stand_in_for(&self.session_dir(user))
    }

    /// Clears away what an interrupted write left beside a session's record, and seals what a former version left
    /// in clear in the record. Without a record, the directory itself goes where nothing else was found in it. Do
    /// not call this where the record cannot be used: a newer version may have made what is beside it.
    pub(crate) fn tidy(&self, user: &UserId, record: Option<&mut Record>) {
        let dir = self.session_dir(user);
        durable::remove_temporaries(&dir);
        let Some(record) = record else {
            if was_never_made(&dir).is_ok_and(|never| never) {
                let _ = shred::file(&dir.join(vault::KEY_FILE));
            }
            let _ = fs::remove_dir(&dir);
            return;
        };
        if let Err(e) = record.seal_file(&self.record_key(&dir)) {
            tracing::warn!(
                "what the session's record has in clear could not be sealed; that is tried again with the next \
                 change of it, and at the next start: {e}"
            );
        }
    }

    /// Every user that has a directory, in order. Entries whose names are no user ids are left alone; they
    /// are in the second list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the directory of sessions cannot be read.
    pub(crate) fn users(&self) -> Result<(Vec<UserId>, Vec<PathBuf>), StoreError> {
        let sessions = self.sessions();
        let mut users = Vec::new();
        let mut strangers = Vec::new();
        let entries =
            fs::read_dir(&sessions).map_err(|e| StoreError::unavailable("read", &sessions, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| StoreError::unavailable("read", &sessions, e))?;
            match entry.file_name().to_str().map(str::parse) {
                Some(Ok(user)) => users.push(user),
                _ => strangers.push(entry.path()),
            }
        }
        users.sort();
        Ok((users, strangers))
    }

    /// Opens the history, which keeps at most `limit` lines.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be read or made.
    pub fn history(&self, limit: usize) -> Result<History, StoreError> {
        let path = self.inner.root.join("history.jsonl");
        let (room, seal) = (self.inner.commits.clone(), self.inner.seal.clone());
        History::open(&path, limit, room, seal)
    }

    /// The version of WhatsApp Web that was fetched last, if one is kept.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read; a fetch replaces it.
    pub fn client_version(&self) -> Result<Option<ClientVersion>, StoreError> {
        client_version::read(&self.inner.root.join(client_version::FILE))
    }

    /// Keeps a version of WhatsApp Web, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the old one is then still there, whole.
    pub fn keep_client_version(&self, version: &ClientVersion) -> Result<(), StoreError> {
        client_version::write(&self.inner.root.join(client_version::FILE), version)
    }

    /// The removal of a user's session, not yet begun.
    #[must_use]
    pub fn removal(&self, user: &UserId) -> Removal {
        Removal::new(self, user)
    }

    /// What removals of this user's sessions left in the trash in this run of the daemon, the oldest first:
    /// their task failed in the middle. Whoever calls this finishes them, and nobody gets them again.
    pub(crate) fn unfinished(&self, user: &UserId) -> Vec<Leftover> {
        let mut left = Vec::new();
        for dir in self.moved().take(user) {
            match fs::symlink_metadata(&dir) {
                // The rename was not made.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.intents().forget(&trash::Name::from_path(&dir).id);
                }
                _ => left.push(Leftover::new(self, dir)),
            }
        }
        left
    }

    /// What removals left in the trash: because of a crash, or because it could not be erased.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the trash cannot be read.
    pub(crate) fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        let dirs = trash::list(&self.trash())?;
        Ok(dirs
            .into_iter()
            .map(|dir| Leftover::new(self, dir))
            .collect())
    }

    fn masters(&self) -> &Masters {
        &self.inner.masters
    }

    fn intents(&self) -> &Intents {
        &self.inner.intents
    }

    fn moved(&self) -> &Moved {
        &self.inner.moved
    }

    fn sessions_sync(&self) -> &SharedSync {
        &self.inner.sessions_sync
    }

    fn trash_sync(&self) -> &SharedSync {
        &self.inner.trash_sync
    }

    fn sessions(&self) -> PathBuf {
        self.inner.root.join(SESSIONS)
    }

    fn trash(&self) -> PathBuf {
        self.inner.root.join(TRASH)
    }
}

const SESSIONS: &str = "sessions";
const TRASH: &str = "trash";

/// Whether a crash came between this directory and its first record: nothing was ever in it but what an
/// interrupted write left, and the key that was made to seal the record.
fn was_never_made(dir: &Path) -> Result<bool, StoreError> {
    let unreadable = |e| StoreError::unavailable("read", dir, e);
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_key = entry.file_name() == vault::KEY_FILE;
        if !is_key && !durable::is_temporary(&entry) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
