//! The destructive half of a logout: one rename commits it, the rest can be repeated.
//!
//! 1. The intent (`logout.json`: why, who asked, how the unlink went) is written into the session's
//!    directory. The session is still whole; a start that finds it there removes it.
//! 2. The directory is renamed into the trash and both parents are synced. **The session is gone.**
//! 3. The caller writes the history.
//! 4. The directory in the trash is erased.
//!
//! After a crash between 2 and 4 the intent is found in the trash: the history line is written if it
//! is missing, and the directory erased. Each step can be repeated, so a [`Purge`] that failed goes
//! on where it stopped.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoreError, durable};
use crate::protocol::{Account, Cause, HistoryEntry, Redacted, Removed, Unlink, UserId};

const INTENT: &str = "logout.json";

/// Why a session is purged: what the history needs to know, durable before the rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// When it was decided.
    pub at: Timestamp,
    /// Whose session it is.
    pub user: UserId,
    /// Why.
    pub cause: Cause,
    /// The account it was linked to.
    pub account: Option<Account>,
    /// The uid that had created it.
    pub owner: u32,
    /// The uid that asked.
    pub requested_by: Option<u32>,
    /// How unlinking at WhatsApp went.
    pub unlink: Unlink,
    /// How many target groups it had.
    pub targets: u32,
    /// What WhatsApp said.
    pub text: Option<String>,
    /// The appeal token of a locked account.
    pub appeal_token: Option<Redacted>,
}

impl Intent {
    /// The line for the history.
    #[must_use]
    pub fn entry(&self, mut removed: Removed) -> HistoryEntry {
        removed.targets = self.targets;
        HistoryEntry {
            at: self.at,
            user: self.user.clone(),
            cause: self.cause,
            account: self.account.clone(),
            owner: self.owner,
            requested_by: self.requested_by,
            unlink: self.unlink,
            removed,
            text: self.text.clone(),
            appeal_token: self.appeal_token.clone(),
        }
    }
}

/// A purge of one session, as far as it got.
#[derive(Debug)]
pub struct Purge {
    session: PathBuf,
    trash: PathBuf,
    id: String,
    removed: Option<Removed>,
}

/// A purge that could not go on: what is left, and why.
#[derive(Debug, thiserror::Error)]
#[error("{left} is left: {source}", left = left.display())]
pub struct PurgeFailed {
    /// The directory that is left.
    pub left: PathBuf,
    /// Why.
    #[source]
    pub source: StoreError,
}

impl Purge {
    pub(super) fn new(sessions: &Path, trash: &Path, user: &UserId) -> Self {
        let id = unique_id();
        Self {
            session: sessions.join(user.as_str()),
            trash: trash.join(format!("{user}.{id}")),
            id,
            removed: None,
        }
    }

    /// The purge's own name: its history line carries it, so that it is written once.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the rename has been made: then the session is gone, whatever else fails.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.removed.is_some()
    }

    /// Steps 1 and 2: after it, the session is gone. Returns what the directory held. Does nothing
    /// when it was done already.
    ///
    /// # Errors
    /// [`PurgeFailed`]: the session is still whole.
    pub fn commit(&mut self, intent: &Intent) -> Result<Removed, PurgeFailed> {
        if let Some(removed) = self.removed {
            return Ok(removed);
        }
        let removed = self.rename(intent).map_err(|source| PurgeFailed {
            left: self.session.clone(),
            source,
        })?;
        self.removed = Some(removed);
        Ok(removed)
    }

    fn rename(&self, intent: &Intent) -> Result<Removed, StoreError> {
        let (sessions, trash) = (parent(&self.session), parent(&self.trash));
        // A rename of an earlier try may have been made without its syncs; and where there is no
        // directory any more, there is nothing to rename.
        if is_there(&self.session)? {
            self.write_intent(intent);
            fs::rename(&self.session, &self.trash)
                .map_err(|e| StoreError::io("move to the trash", &self.session, e))?;
        }
        durable::sync_dir(sessions)?;
        durable::sync_dir(trash)?;
        Ok(measure(&self.trash))
    }

    /// Best effort: on a full disk the rename works where a write does not, and a purge that is asked
    /// for must not depend on room. Without it, a crash before the history is written costs the line.
    fn write_intent(&self, intent: &Intent) {
        if let Ok(text) = serde_json::to_vec(intent) {
            let _ = durable::replace(&self.session.join(INTENT), &text);
        }
    }

    /// Step 4: erases what the rename moved. Does nothing when it is gone already.
    ///
    /// # Errors
    /// [`PurgeFailed`]: the session is gone, but files of it are left in the trash.
    pub fn erase(&self) -> Result<(), PurgeFailed> {
        erase(&self.trash)
    }
}

/// What a purge left in the trash.
#[derive(Debug)]
pub struct Leftover {
    dir: PathBuf,
    /// Whose session it was, as the directory's name has it.
    pub user: String,
    /// The purge's name.
    pub id: String,
    /// The line that belongs into the history; `None` when the intent cannot be read.
    pub entry: Option<HistoryEntry>,
}

impl Leftover {
    /// Erases it.
    ///
    /// # Errors
    /// [`PurgeFailed`]: it is still there, at least in part.
    pub fn erase(&self) -> Result<(), PurgeFailed> {
        erase(&self.dir)
    }
}

pub(super) fn leftovers(trash: &Path) -> Result<Vec<Leftover>, StoreError> {
    let entries = fs::read_dir(trash).map_err(|e| StoreError::io("read", trash, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let dir = entry.map_err(|e| StoreError::io("read", trash, e))?.path();
        let intent = fs::read(dir.join(INTENT))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Intent>(&bytes).ok());
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        // The user's id may hold dots, the purge's name does not.
        let (user, id) = name.rsplit_once('.').unwrap_or((&name, ""));
        found.push(Leftover {
            entry: intent.map(|intent| intent.entry(measure(&dir))),
            user: user.to_owned(),
            id: id.to_owned(),
            dir,
        });
    }
    Ok(found)
}

/// Removes an intent that a crash left before its rename: the session is whole and goes on.
pub(super) fn forget_intent(session: &Path) {
    let _ = fs::remove_file(session.join(INTENT));
}

fn erase(dir: &Path) -> Result<(), PurgeFailed> {
    let failed = |source| PurgeFailed {
        left: dir.to_owned(),
        source,
    };
    let erased = match fs::symlink_metadata(dir) {
        Ok(meta) if !meta.is_dir() => fs::remove_file(dir),
        _ => fs::remove_dir_all(dir),
    };
    match erased {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(StoreError::io("erase", dir, e))),
    }
    durable::sync_dir(parent(dir)).map_err(failed)
}

/// Whether anything has that name: a link that leads nowhere is something, too.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io("look at", path, e)),
    }
}

/// Counts the files below a directory and their bytes. The intent is the purge's own, so it does not
/// count; what cannot be read counts as nothing.
fn measure(dir: &Path) -> Removed {
    let mut removed = Removed::default();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => pending.push(entry.path()),
                Ok(meta) if entry.file_name() != INTENT => {
                    removed.files += 1;
                    removed.bytes += meta.len();
                }
                _ => {}
            }
        }
    }
    removed
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

/// A name that no other purge has: 64 random bits in hex.
fn unique_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Store};
    use super::*;

    fn intent(user: &UserId) -> Intent {
        Intent {
            at: Timestamp::UNIX_EPOCH,
            user: user.clone(),
            cause: Cause::ForceLogout,
            account: None,
            owner: 1000,
            requested_by: Some(0),
            unlink: Unlink::Confirmed,
            targets: 2,
            text: None,
            appeal_token: None,
        }
    }

    fn store_with_alice(root: &Path) -> (Store, UserId) {
        let store = Store::open(root).expect("open");
        let alice: UserId = "alice".parse().expect("id");
        store.create(&alice, &Record::new(1000)).expect("create");
        fs::write(store.auth_db(&alice), b"0123456789").expect("write");
        (store, alice)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .expect("read")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_purge_leaves_nothing_and_can_be_repeated() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        let removed = purge.commit(&intent(&alice)).expect("commit");
        assert_eq!(removed.files, 2);
        assert!(removed.bytes > 10);
        assert_eq!(names(&dir.path().join("sessions")), Vec::<String>::new());
        assert_eq!(purge.commit(&intent(&alice)).expect("again"), removed);
        purge.erase().expect("erase");
        purge.erase().expect("again");
        assert_eq!(names(&dir.path().join("trash")), Vec::<String>::new());
    }

    #[test]
    fn a_crash_after_the_rename_leaves_the_line_for_the_history() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        purge.commit(&intent(&alice)).expect("commit");
        let id = purge.id().to_owned();
        drop(purge);
        let found = store.leftovers().expect("leftovers");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, id);
        let entry = found[0].entry.as_ref().expect("entry");
        assert_eq!((entry.cause, entry.removed.files), (Cause::ForceLogout, 2));
        assert_eq!(entry.removed.targets, 2);
        found[0].erase().expect("erase");
        assert!(store.leftovers().expect("leftovers").is_empty());
    }

    #[test]
    fn a_failed_rename_leaves_the_session_whole() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        // Something in the way: a rename onto a non-empty directory fails, for root too.
        let obstacle = purge.trash.clone();
        fs::create_dir(&obstacle).expect("mkdir");
        fs::write(obstacle.join("x"), b"x").expect("write");
        let failed = purge.commit(&intent(&alice)).expect_err("the rename");
        assert_eq!(failed.left, store.session_dir(&alice));
        assert!(!purge.is_committed());
        assert!(store.auth_db(&alice).exists());
        fs::remove_dir_all(&obstacle).expect("rmdir");
        purge.commit(&intent(&alice)).expect("once the way is free");
        assert!(!store.session_dir(&alice).exists());
    }

    #[test]
    fn what_stands_in_a_directorys_place_goes_too() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let place = store.session_dir(&alice);
        fs::remove_dir_all(&place).expect("remove");
        let in_its_place: [&dyn Fn(); 3] = [
            &|| fs::write(&place, b"x").expect("a file"),
            &|| std::os::unix::fs::symlink(&place, &place).expect("a link to itself"),
            &|| std::os::unix::fs::symlink("/nowhere", &place).expect("a link to nowhere"),
        ];
        for put in in_its_place {
            put();
            let mut purge = store.purge(&alice);
            purge.commit(&intent(&alice)).expect("commit");
            purge.erase().expect("erase");
            assert_eq!(names(&dir.path().join("sessions")), Vec::<String>::new());
            assert_eq!(names(&dir.path().join("trash")), Vec::<String>::new());
        }
    }

    #[test]
    fn a_user_with_dots_keeps_its_id_apart() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let user: UserId = "a.b.c".parse().expect("id");
        store.create(&user, &Record::new(0)).expect("create");
        let mut purge = store.purge(&user);
        purge.commit(&intent(&user)).expect("commit");
        let found = store.leftovers().expect("leftovers");
        assert_eq!(
            (found[0].user.as_str(), found[0].id.as_str()),
            ("a.b.c", purge.id())
        );
    }
}
