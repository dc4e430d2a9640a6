//! The destructive half of a logout: one rename commits it, the rest can be repeated.
//!
//! 1. The intent (why, who asked, how the unlink went, what is removed) is written down. The session is
//!    still whole; after a crash it continues, and the intent is dropped.
//! 2. The directory is renamed into the trash and both parents are synced. **The session is gone.**
//! 3. The line is written into the history, while what takes room is erased.
//! 4. The rest is erased, and that is synced. The intent is dropped.
//!
//! After a crash between 2 and 4 the next start finds the directory in the trash: it writes the line
//! into the history if it is missing, and erases the directory. Each step can be repeated, so a
//! [`Removal`] that failed goes on where it stopped.
//!
//! Removals that happen together share their syncs: each of them waits for the next sync of a file or a
//! directory, which is made once for all. Calls to one session's own files are made one at a time, so a
//! file that hangs holds up only its own removal, and takes one thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::intent::Intent;
use super::line::Line;
use super::step::Step;
use super::trash::Intended;
use super::{History, Store, StoreError, trash};
use crate::protocol::{HistoryEntry, Removed, UserId};

/// The removal of one session, with the steps that are done.
#[derive(Debug)]
pub struct Removal {
    store: Store,
    user: UserId,
    id: String,
    /// What the directory held, before the rename.
    removed: Removed,
    /// Whether the rename was tried. Even where that failed or panicked, it may have been made.
    is_begun: bool,
    /// Where it is in the trash, once the rename is made.
    moved: Option<PathBuf>,
    /// Whether the rename is durable.
    is_committed: bool,
    intended: Intended,
    end: End,
}

/// The steps after the rename, with those that are done.
#[derive(Debug, Default)]
struct End {
    /// Whether the line is in the history.
    is_recorded: bool,
}

/// A removal that could not go on: what is left, and why.
#[derive(Debug, thiserror::Error)]
#[error("{left} is left: {source}", left = left.display())]
pub struct RemovalFailed {
    /// What is left.
    left: PathBuf,
    /// Why.
    #[source]
    source: StoreError,
}

impl RemovalFailed {
    fn left(dir: &Path, source: StoreError) -> Self {
        Self {
            left: dir.to_owned(),
            source,
        }
    }
}

impl Removal {
    pub(super) fn new(store: &Store, user: &UserId) -> Self {
        Self {
            store: store.clone(),
            user: user.clone(),
            id: unique_id(),
            removed: Removed::default(),
            is_begun: false,
            moved: None,
            is_committed: false,
            intended: Intended::No,
            end: End::default(),
        }
    }

    /// Whether the rename is durable: then the session is gone, whatever else fails.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.is_committed
    }

    /// Removes the session, and returns the line that is in the history then. Nobody may have anything
    /// of the session open.
    ///
    /// Do not drop the future: a call to the disk would go on that nobody waits for. After a failure this can
    /// be called again, and goes on where it stopped.
    ///
    /// # Errors
    /// [`RemovalFailed`]: the session is still whole; or it is gone, but files of it are left.
    pub async fn carry_out(
        &mut self,
        intent: &Intent,
        history: &Arc<History>,
    ) -> Result<HistoryEntry, RemovalFailed> {
        if !self.is_committed {
            let session = self.store.session_dir(&self.user);
            let committed = self.commit(intent).await;
            committed.map_err(|source| RemovalFailed::left(&session, source))?;
        }
        let entry = intent.entry(self.removed);
        if let Some(dir) = &self.moved {
            let line = Line::new(&self.id, entry.clone());
            let (line, end) = (Some((&line, self.intended)), &mut self.end);
            conclude(&self.store, dir, &self.id, line, end, history).await?;
            self.store.moved().forget(&self.user, dir);
        }
        Ok(entry)
    }

    /// Steps 1 and 2: after it, the session is gone.
    async fn commit(&mut self, intent: &Intent) -> Result<(), StoreError> {
        if self.moved.is_none() {
            self.prepare(intent).await?;
            self.rename(intent).await?;
        }
        // The rename of an earlier try may have been made without its syncs.
        let (from, to) = tokio::join!(
            self.store.sessions_sync().sync(Step::TrashSyncFrom),
            self.store.trash_sync().sync(Step::TrashSyncTo),
        );
        from.and(to)?;
        self.is_committed = true;
        Ok(())
    }

    /// Writes the intent, where that is possible. On a full disk a rename works where a write does not, and a
    /// removal must not need room. Without an intent, after a crash, the name in the trash and the record
    /// say the most of it.
    async fn prepare(&mut self, intent: &Intent) -> Result<(), StoreError> {
        let session = self.store.session_dir(&self.user);
        let look = move || match fs::symlink_metadata(&session) {
            // Something else in the directory's place is removed as it is: the target of a link is not ours.
            Ok(meta) if meta.is_dir() => Ok(Some(trash::measure(&session))),
            Ok(_) => Ok(Some(Removed::default())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::unavailable("look at", &session, e)),
        };
        if let Some(removed) = self.store.disk().run(look).await? {
            self.removed = removed;
            self.intended = match self.note(intent.entry(removed)).await {
                Ok(()) => Intended::Yes,
                Err(e) => {
                    tracing::warn!(
                        "the intent of the logout could not be written; the logout goes on without it: {e}"
                    );
                    Intended::No
                }
            };
        }
        Ok(())
    }

    /// Writes the intent down.
    async fn note(&self, entry: HistoryEntry) -> Result<(), StoreError> {
        let (store, line) = (self.store.clone(), Line::new(&self.id, entry));
        let sealed = self.store.disk().run(move || store.intents().seal(&line));
        self.store.intents().note(&self.id, sealed.await?).await
    }

    async fn rename(&mut self, intent: &Intent) -> Result<(), StoreError> {
        let from = self.store.session_dir(&self.user);
        let to = self.store.trash().join(trash::name(intent, &self.id));
        let target = to.clone();
        self.is_begun = true;
        self.store.moved().note(&self.user, &to);
        let rename = move || match fs::symlink_metadata(&from) {
            // Nothing is there any more, so there is nothing to rename.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            _ => Step::TrashRename
                .take(|| fs::rename(&from, &target))
                .map_err(|e| StoreError::unavailable("move to the trash", &from, e)),
        };
        self.store.disk().run(rename).await?;
        self.moved = Some(to);
        Ok(())
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        // What is in the trash, or may be, still needs its intent.
        if !self.is_begun {
            self.store.intents().forget(&self.id);
        }
    }
}

/// Files that a removal left in the trash, because of a crash, or because they could not be erased.
#[derive(Debug)]
pub(crate) struct Leftover {
    store: Store,
    dir: PathBuf,
    /// Whose session it was, as the directory's name has it.
    pub(crate) user: String,
    /// The removal's id.
    pub(crate) id: String,
    /// The entry for the history; `None` where nothing says whose session it was.
    pub(crate) entry: Option<HistoryEntry>,
    /// Its line.
    line: Option<(Line, Intended)>,
    end: End,
}

impl Leftover {
    pub(super) fn new(store: &Store, dir: PathBuf) -> Self {
        let name = trash::Name::from_path(&dir);
        let written = store.intents().get(&name.id);
        let line = written.map(|line| (line, Intended::Yes)).or_else(|| {
            let entry = trash::reconstruct(&dir, &name, store.masters())?;
            Some((Line::new(&name.id, entry), Intended::No))
        });
        Self {
            store: store.clone(),
            dir,
            user: name.user,
            id: name.id,
            entry: line.as_ref().map(|(line, _)| line.entry.clone()),
            line,
            end: End::default(),
        }
    }

    /// Finishes its removal: writes its line into the history if it is missing, and erases it.
    ///
    /// # Errors
    /// [`RemovalFailed`]: it is still there, at least in part. It can be called again.
    pub(crate) async fn conclude(&mut self, history: &Arc<History>) -> Result<(), RemovalFailed> {
        let line = self.line.as_ref().map(|(line, intended)| (line, *intended));
        let end = &mut self.end;
        conclude(&self.store, &self.dir, &self.id, line, end, history).await
    }
}

/// Steps 3 and 4: the line in the history, and nothing is left.
async fn conclude(
    store: &Store,
    dir: &Path,
    id: &str,
    line: Option<(&Line, Intended)>,
    end: &mut End,
    history: &History,
) -> Result<(), RemovalFailed> {
    let left = |source| RemovalFailed::left(dir, source);
    if let Some((line, intended)) = line.filter(|_| !end.is_recorded) {
        let roomy = dir.to_owned();
        let (recorded, emptied) = tokio::join!(
            history.append_line(line.clone()),
            store.disk().run(move || trash::make_room(&roomy, intended)),
        );
        end.is_recorded = recorded.is_ok();
        emptied.map_err(left)?;
        if !end.is_recorded {
            // On a full disk, erasing makes the room that the line needs. What the line says stays in
            // the trash until it is durable.
            let recorded = history.append_line(line.clone());
            recorded.await.map_err(left)?;
            end.is_recorded = true;
        }
    }
    let erased = dir.to_owned();
    let erase = store.disk().run(move || trash::erase(&erased));
    erase.await.map_err(left)?;
    let synced = store.trash_sync().sync(Step::EraseSync).await;
    synced.map_err(left)?;
    store.intents().forget(id);
    store.intents().tidy().await;
    Ok(())
}

/// A name that no other removal has: 64 random bits in hex.
fn unique_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
pub(super) mod fixtures {
    use jiff::Timestamp;

    use super::Intent;
    use crate::protocol::{Cause, Unlink};

    pub(in super::super) fn intent(user: &str) -> Intent {
        Intent {
            at: Timestamp::UNIX_EPOCH,
            user: user.parse().expect("an id"),
            cause: Cause::ForceLogout,
            account: None,
            owner: 1000,
            requested_by: Some(0),
            unlink: Unlink::Confirmed,
            targets: 2,
            text: None,
            appeal_token: Some("token-4711".into()),
            restrictions: Vec::new(),
            linked_at: Some(Timestamp::UNIX_EPOCH),
        }
    }
}

#[cfg(test)]
mod tests;
