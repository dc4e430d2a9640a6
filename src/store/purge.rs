//! The destructive half of a logout: one rename commits it, the rest can be repeated.
//!
//! 1. The intent (`logout.json`: why, who asked, how the unlink went, what is removed) is written into
//!    the session's directory. The session is still whole; a start that finds it there removes it.
//! 2. The directory is renamed into the trash and both parents are synced. **The session is gone.**
//! 3. The line is written into the history.
//! 4. The directory in the trash is erased, the intent at the end.
//!
//! After a crash between 2 and 4 the intent is found in the trash: the history line is
//! written if it is missing, and the directory erased. Each step can be repeated, so a [`Purge`] that
//! failed goes on where it stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::Replacing;
use super::step::Step;
use super::{History, StoreError, durable, trash};
use crate::blocking::Room;
use crate::protocol::{Account, Cause, HistoryEntry, Redacted, Removed, Unlink, UserId};

pub(super) const INTENT: &str = "logout.json";

const INTENT_STEPS: Replacing = Replacing {
    write: Step::IntentWrite,
    sync: Step::IntentSync,
    rename: Step::IntentRename,
    sync_dir: Step::IntentSyncDir,
};

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
        let entry = HistoryEntry {
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
        };
        entry.bounded()
    }
}

/// An intent as it stands in its file, with what the directory held before anything was erased.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written<I> {
    pub(super) intent: I,
    pub(super) removed: Removed,
}

/// A purge of one session, as far as it got.
#[derive(Debug)]
pub struct Purge {
    session: PathBuf,
    trash: PathBuf,
    id: String,
    /// What the directory held, before the rename.
    removed: Removed,
    /// Where it is in the trash, once the rename is durable.
    moved: Option<PathBuf>,
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
        Self {
            session: sessions.join(user.as_str()),
            trash: trash.to_owned(),
            id: unique_id(),
            removed: Removed::default(),
            moved: None,
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
        self.moved.is_some()
    }

    /// Steps 1 and 2: after it, the session is gone. Returns what the directory held. Does nothing
    /// when it was done already.
    ///
    /// # Errors
    /// [`PurgeFailed`]: the session is still whole, or the rename is made and not yet durable.
    pub fn commit(&mut self, intent: &Intent) -> Result<Removed, PurgeFailed> {
        if self.moved.is_none() {
            let to = self.trash.join(trash::name(intent, &self.id));
            self.rename(intent, &to).map_err(|source| PurgeFailed {
                left: self.session.clone(),
                source,
            })?;
            self.moved = Some(to);
        }
        Ok(self.removed)
    }

    fn rename(&mut self, intent: &Intent, to: &Path) -> Result<(), StoreError> {
        // A rename of an earlier try may have been made without its syncs; and where there is no
        // directory any more, there is nothing to rename.
        if let Some(meta) = look_at(&self.session)? {
            // Something else in its place goes as it is; what a link points to is not ours.
            if meta.is_dir() {
                self.removed = trash::measure(&self.session);
                self.write_intent(intent);
            }
            Step::TrashRename
                .take(|| fs::rename(&self.session, to))
                .map_err(|e| StoreError::unavailable("move to the trash", &self.session, e))?;
        }
        durable::sync_dir(durable::parent(&self.session), Step::TrashSyncFrom)?;
        durable::sync_dir(&self.trash, Step::TrashSyncTo)
    }

    /// Best effort: on a full disk the rename works where a write does not, and a purge that is asked
    /// for must not depend on room. After a crash the name in the trash and the record tell the most
    /// of it then.
    fn write_intent(&self, intent: &Intent) {
        let written = Written {
            intent,
            removed: self.removed,
        };
        if let Ok(text) = serde_json::to_vec(&written) {
            let _ = durable::replace(&self.session.join(INTENT), &text, &INTENT_STEPS);
        }
    }

    /// Steps 3 and 4: the line in the history, and nothing is left. Can be repeated.
    ///
    /// # Errors
    /// [`PurgeFailed`]: the session is gone, but files of it are left in the trash.
    pub fn conclude(&self, entry: &HistoryEntry, history: &History) -> Result<(), PurgeFailed> {
        match &self.moved {
            Some(dir) => trash::conclude(dir, &self.id, entry, history),
            None => Ok(()),
        }
    }
}

/// The removal of a session, as far as it got.
#[derive(Debug)]
pub struct Removal {
    purge: Option<Purge>,
    disk: Room,
}

impl Removal {
    pub(super) const fn new(purge: Purge, disk: Room) -> Self {
        Self {
            purge: Some(purge),
            disk,
        }
    }

    /// Removes everything, and writes the history.
    ///
    /// # Errors
    /// [`PurgeFailed`]: what is left. It can be called again, and goes on where it stopped.
    pub async fn carry_out(
        &mut self,
        intent: &Intent,
        history: &Arc<History>,
    ) -> Result<HistoryEntry, PurgeFailed> {
        let (mut purge, intent, history) = match self.purge.take() {
            Some(purge) => (purge, intent.clone(), Arc::clone(history)),
            None => std::future::pending().await,
        };
        let work = move || {
            let done = purge.commit(&intent).and_then(|removed| {
                let entry = intent.entry(removed);
                purge.conclude(&entry, &history).map(|()| entry)
            });
            (purge, done)
        };
        let (purge, done) = self.disk.run(work).await;
        self.purge = Some(purge);
        done
    }
}

/// Removes an intent that a crash left before its rename: the session is whole and goes on.
pub(super) fn forget_intent(session: &Path) {
    let _ = fs::remove_file(session.join(INTENT));
}

/// What has that name, if anything: a link that leads nowhere is something, too.
fn look_at(path: &Path) -> Result<Option<fs::Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::unavailable("look at", path, e)),
    }
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

    fn history(root: &Path) -> History {
        History::open(&root.join("history.jsonl"), 9).expect("history")
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
        let history = history(dir.path());
        let entry = intent(&alice).entry(removed);
        purge.conclude(&entry, &history).expect("conclude");
        purge.conclude(&entry, &history).expect("again");
        assert_eq!(history.read().newest_first().collect::<Vec<_>>(), [&entry]);
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
        found[0].conclude(&history(dir.path())).expect("conclude");
        assert!(store.leftovers().expect("leftovers").is_empty());
    }

    #[test]
    fn a_failed_rename_leaves_the_session_whole() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        // Something in the way: a rename onto a non-empty directory fails, for root too.
        let obstacle = purge.trash.join(trash::name(&intent(&alice), purge.id()));
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

    #[test]
    fn without_an_intent_the_name_and_the_record_tell_the_most_of_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        purge.commit(&intent(&alice)).expect("commit");
        let moved = purge.moved.clone().expect("it was moved");
        // As a full disk would have left it.
        fs::write(moved.join(INTENT), b"{\"int").expect("tear it");
        let found = store.leftovers().expect("leftovers");
        let entry = found[0].entry.clone().expect("entry");
        assert_eq!((&entry.user, entry.cause), (&alice, Cause::ForceLogout));
        assert_eq!((entry.owner, entry.unlink), (1000, Unlink::Unreachable));
        assert_eq!(entry.removed.files, 2);
    }

    #[test]
    fn a_history_that_cannot_be_written_loses_nothing_that_belongs_into_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, alice) = store_with_alice(dir.path());
        let mut purge = store.purge(&alice);
        let removed = purge.commit(&intent(&alice)).expect("commit");
        let entry = intent(&alice).entry(removed);
        let broken = History::open(&dir.path().join("no/where"), 9).expect("history");
        let failed = purge.conclude(&entry, &broken).expect_err("no history");
        assert!(failed.to_string().contains("no/where"), "{failed}");
        // What takes room is gone; what tells whose session it was is not.
        let moved = purge.moved.clone().expect("it was moved");
        assert_eq!(names(&moved), [INTENT, "session.toml"]);
        let found = store.leftovers().expect("leftovers");
        assert_eq!(found[0].entry.as_ref(), Some(&entry));
        purge.conclude(&entry, &history(dir.path())).expect("again");
        assert!(!moved.exists());
    }

    #[test]
    fn whatever_stands_in_the_place_of_a_session_is_erased() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("open");
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).expect("mkdir");
        fs::write(outside.join("theirs"), b"x").expect("write");
        for what in ["file", "link", "dangling link", "loop", "deep"] {
            let user: UserId = "alice".parse().expect("id");
            let place = store.session_dir(&user);
            match what {
                "file" => fs::write(&place, b"a file"),
                "link" => std::os::unix::fs::symlink(&outside, &place),
                "loop" => std::os::unix::fs::symlink(&place, &place),
                "dangling link" => std::os::unix::fs::symlink("nowhere", &place),
                _ => fs::create_dir_all(place.join("a/b/c")),
            }
            .expect(what);
            let mut purge = store.purge(&user);
            let removed = purge.commit(&intent(&user)).expect("commit");
            let entry = intent(&user).entry(removed);
            let history = history(dir.path());
            purge.conclude(&entry, &history).expect("conclude");
            assert_eq!(names(&dir.path().join("sessions")), Vec::<String>::new());
            assert_eq!(names(&dir.path().join("trash")), Vec::<String>::new());
        }
        assert_eq!(names(&outside), ["theirs"], "what a link points to stays");
    }
}
