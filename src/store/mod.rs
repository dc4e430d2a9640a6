//! The only place that touches the disk.
//!
//! Everything about a user is in one directory, so that one rename removes it:
//!
//! ```text
//! <state directory>/     0700
//!   lock                 one daemon
//!   sessions/<user>/     session.toml, auth.db (-wal, -shm)
//!   trash/<user>.<cause>.<id>/  renamed here by a purge, then erased
//!   history.jsonl        one line per ended session
//! ```
//!
//! Everything here blocks; callers on the async side make their calls in the store's own room
//! ([`Store::work`], [`Store::disk`]).

mod descriptors;
mod durable;
mod error;
mod history;
mod lock;
mod purge;
mod record;
mod step;
mod trash;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::StoreError;
pub use history::{Entries, History};
pub use purge::{Intent, Purge, PurgeFailed};
pub use record::{Desired, Hold, Record};
pub use step::Step;
pub use trash::Leftover;

use crate::blocking::{Room, UncancellableWork};
use crate::failpoint;
use crate::protocol::UserId;
use descriptors::Descriptors;
use lock::Lock;

/// Calls to the disk at a time: it gets no faster from more.
const DISK_THREADS: usize = 8;

/// The state directory, held exclusively for as long as a clone of this lives.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    descriptors: Descriptors,
    disk: Room,
    // Held for its lifetime: closing it lets another daemon in.
    _lock: Lock,
}

/// What stands in a user's directory.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A session.
    Session(Box<Record>),
    /// A session whose record cannot be used, and why. It must not be overwritten.
    Unusable(String),
}

impl Store {
    /// Opens the state directory, makes what is missing, and takes the lock before anything is read.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a live daemon has it; [`StoreError::Unavailable`] when it cannot be made or
    /// written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        make_private_dir(root)?;
        let lock = Lock::take(&root.join("lock"))?;
        make_private_dir(&root.join("sessions"))?;
        make_private_dir(&root.join("trash"))?;
        durable::sync_dir(root, Step::RootSync)?;
        // As the kernel names it: a path of the configuration may go through links.
        let real =
            fs::canonicalize(root).map_err(|e| StoreError::unavailable("look at", root, e))?;
        Ok(Self {
            inner: Arc::new(Inner {
                root: root.to_owned(),
                disk: Room::new("disk", DISK_THREADS),
                descriptors: Descriptors::below(real.join("sessions")),
                _lock: lock,
            }),
        })
    }

    /// The state directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The work of one user that cannot be broken off, none of it begun: calls to the disk above all.
    #[must_use]
    pub fn work(&self) -> UncancellableWork {
        UncancellableWork::new(self.inner.disk.clone())
    }

    /// Where calls to the disk are made that belong to no user.
    #[must_use]
    pub fn disk(&self) -> &Room {
        &self.inner.disk
    }

    /// Whether the disk answers: for a watchdog. It hangs where the disk does.
    #[must_use]
    pub fn answers(&self) -> bool {
        failpoint::hang("store");
        fs::metadata(self.root()).is_ok()
    }

    /// Where everything about a user is, whether or not it exists.
    #[must_use]
    pub fn session_dir(&self, user: &UserId) -> PathBuf {
        self.sessions().join(user.as_str())
    }

    /// The user's credentials, whether or not they exist.
    #[must_use]
    pub fn auth_db(&self, user: &UserId) -> PathBuf {
        self.session_dir(user).join("auth.db")
    }

    /// What this process has open of a user's session, files that were already unlinked included.
    /// Unlike the rest of the store it does not wait for the disk.
    pub async fn open_files(&self, user: &UserId) -> Vec<PathBuf> {
        self.inner.descriptors.of(user.as_str()).await
    }

    /// Makes the directory of a new session with its record, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; nothing of the session is left then.
    pub fn create(&self, user: &UserId, record: &Record) -> Result<(), StoreError> {
        let dir = self.session_dir(user);
        let made = Step::CreateDir
            .take(|| make_private(&dir))
            .map_err(|e| StoreError::unavailable("make the private directory (mode 0700)", &dir, e))
            .and_then(|()| record.save(&dir))
            .and_then(|()| durable::sync_dir(&self.sessions(), Step::CreateSync));
        if made.is_err() {
            // A directory without a record would be taken for a broken session at the next start. It
            // was made just now, so it holds nothing that anybody could miss.
            let _ = fs::remove_dir_all(&dir);
        }
        made
    }

    /// Saves a session's record, durably. The directory must exist: a record never brings a removed
    /// session back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the old record is then still there, whole.
    pub fn save(&self, user: &UserId, record: &Record) -> Result<(), StoreError> {
        record.save(&self.session_dir(user))
    }

    /// Looks a user's directory up.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be read; that says nothing about whether it is there.
    pub fn find(&self, user: &UserId) -> Result<Found, StoreError> {
        let dir = self.session_dir(user);
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Ok(Found::Unusable(format!(
                    "{} is not a directory",
                    dir.display()
                )));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(e) => return Err(StoreError::unavailable("look at", &dir, e)),
        }
        match Record::load(&dir) {
            // A crash between the directory and its first record: nothing was ever in it.
            Err(StoreError::Unusable { .. }) if fs::remove_dir(&dir).is_ok() => Ok(Found::Nothing),
            Ok(record) => Ok(Found::Session(Box::new(record))),
            Err(StoreError::Unusable { path, why }) => {
                Ok(Found::Unusable(format!("{}: {why}", path.display())))
            }
            Err(other) => Err(other),
        }
    }

    /// Every user that has a directory, in order. What is not named like a user is left alone, and
    /// reported in the second list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the directory of sessions cannot be read.
    pub fn users(&self) -> Result<(Vec<UserId>, Vec<PathBuf>), StoreError> {
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
        History::open(&self.inner.root.join("history.jsonl"), limit)
    }

    /// A purge of a user's session, not yet begun.
    #[must_use]
    pub fn purge(&self, user: &UserId) -> Purge {
        Purge::new(&self.sessions(), &self.trash(), user)
    }

    /// What purges left in the trash: because of a crash, or because it could not be erased.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the trash cannot be read.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        trash::leftovers(&self.trash())
    }

    fn sessions(&self) -> PathBuf {
        self.inner.root.join("sessions")
    }

    fn trash(&self) -> PathBuf {
        self.inner.root.join("trash")
    }
}

/// Makes a directory with mode 0700, or makes sure that one which exists is a directory and private.
fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
    make_private(dir)
        .map_err(|e| StoreError::unavailable("make the private directory (mode 0700)", dir, e))
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    if fs::metadata(dir)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        id.parse().expect("a good id")
    }

    #[test]
    fn one_daemon_a_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("state");
        let store = Store::open(&root).expect("first");
        let second = Store::open(&root).expect_err("second");
        assert!(matches!(second, StoreError::Locked { .. }), "{second}");
        assert!(second.to_string().contains(&std::process::id().to_string()));
        drop(store);
        Store::open(&root).expect("after the first has gone");
    }

    #[test]
    fn everything_is_private() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("state");
        let store = Store::open(&root).expect("open");
        store
            .create(&user("alice"), &Record::new(1000))
            .expect("create");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        for path in [
            &root,
            &root.join("sessions"),
            &root.join("trash"),
            &root.join("sessions/alice"),
        ] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
        assert_eq!(mode(&root.join("sessions/alice/session.toml")), 0o600);
        assert_eq!(mode(&root.join("lock")), 0o600);
    }

    #[test]
    fn a_record_comes_back_and_never_brings_a_session_back() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let alice = user("alice");
        assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
        let mut record = Record::new(1000);
        store.create(&alice, &record).expect("create");
        record.targets = vec!["120363012345678901@g.us".parse().expect("jid")];
        record.desired = Desired::Down;
        store.save(&alice, &record).expect("save");
        match store.find(&alice).expect("find") {
            Found::Session(found) => assert_eq!(*found, record),
            other => panic!("{other:?}"),
        }
        fs::remove_dir_all(store.session_dir(&alice)).expect("remove");
        store.save(&alice, &record).expect_err("a late save");
        assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
    }

    #[test]
    fn what_cannot_be_read_is_corrupt_not_absent() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let alice = user("alice");
        let file = store.session_dir(&alice).join("session.toml");
        store.create(&alice, &Record::new(1000)).expect("create");
        for (text, why) in [
            ("", "version"),
            ("version = 99\n", "newer"),
            ("version = 1\nowner = \"x\"\n", "owner"),
            ("\u{0}\u{0}\u{0}", "session.toml"),
        ] {
            fs::write(&file, text).expect("write");
            match store.find(&alice).expect("find") {
                Found::Unusable(message) => assert!(message.contains(why), "{text:?}: {message}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        fs::remove_file(&file).expect("remove");
        fs::write(store.auth_db(&alice), b"credentials").expect("write");
        assert!(matches!(store.find(&alice), Ok(Found::Unusable(_))));
        assert!(store.auth_db(&alice).exists());
    }

    #[test]
    fn a_directory_that_never_got_its_record_is_no_session() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let alice = user("alice");
        for temporary in [false, true] {
            let session = store.session_dir(&alice);
            fs::create_dir(&session).expect("mkdir");
            if temporary {
                fs::write(session.join(".new-x"), b"version").expect("write");
            }
            assert!(matches!(store.find(&alice), Ok(Found::Nothing)));
            assert!(!session.exists());
        }
    }

    #[tokio::test]
    async fn open_files_are_seen_through_a_link_to_the_state_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).expect("mkdir");
        std::os::unix::fs::symlink(&real, &link).expect("link");
        let store = Store::open(&link).expect("open");
        let alice = user("alice");
        store.create(&alice, &Record::new(0)).expect("create");
        let file = fs::File::create(store.auth_db(&alice)).expect("create");
        assert_eq!(store.open_files(&alice).await.len(), 1);
        drop(file);
        assert_eq!(store.open_files(&alice).await.len(), 0);
    }

    #[test]
    fn strangers_are_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        store.create(&user("bob"), &Record::new(0)).expect("create");
        store
            .create(&user("alice"), &Record::new(0))
            .expect("create");
        fs::create_dir(dir.path().join("sessions/.hidden")).expect("mkdir");
        let (users, strangers) = store.users().expect("users");
        assert_eq!(users, [user("alice"), user("bob")]);
        assert_eq!(strangers, [dir.path().join("sessions/.hidden")]);
    }
}
