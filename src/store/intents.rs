//! `intents.jsonl`: the intents of the removals under way.
//!
//! An intent is written as the line that the history will have. It is durable before its session is
//! renamed, and it is needed until the session is erased: after a crash it is copied into the history.
//! Removals that begin together share one write and one sync. The file is emptied when no removal is under
//! way.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::commit::GroupCommit;
use super::durable::{Appending, Replacing};
use super::step::Step;
use super::{StoreError, durable, regular};
use crate::blocking::Room;
use crate::protocol::HistoryEntry;

/// From this size on, the file is written anew when most of its lines belong to removals that are over.
/// Otherwise it would grow for ever where some removal is always under way.
const LONG: usize = 1024 * 1024;

const STEPS: Appending = Appending {
    sync_dir: Step::IntentSyncDir,
    write: Step::IntentWrite,
    sync: Step::IntentSync,
};

const REWRITING: Replacing = Replacing {
    write: Step::RewriteWrite,
    sync: Step::RewriteSync,
    rename: Step::RewriteRename,
    sync_dir: Step::RewriteSyncDir,
};

/// The intents of the removals under way.
#[derive(Debug)]
pub(super) struct Intents {
    path: PathBuf,
    under_way: Arc<Mutex<UnderWay>>,
    log: GroupCommit<Option<String>, OnDisk>,
}

/// The lines that are still needed, each by the id of its removal.
#[derive(Debug, Default)]
struct UnderWay {
    lines: HashMap<String, Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct OnDisk {
    bytes: usize,
    /// Whether the file's own name is durable.
    is_named: bool,
}

#[derive(Serialize, Deserialize)]
struct Line<E> {
    id: String,
    entry: E,
}

impl UnderWay {
    fn put(&mut self, id: &str, line: &str) {
        self.remove(id);
        self.bytes += line.len();
        self.lines.insert(id.to_owned(), line.into());
    }

    fn remove(&mut self, id: &str) {
        if let Some(line) = self.lines.remove(id) {
            self.bytes -= line.len();
        }
    }
}

impl Intents {
    /// Reads the file. Only the lines of these removals are still needed.
    pub(super) fn open(
        path: PathBuf,
        interrupted: &HashSet<String>,
        room: Room,
    ) -> Result<Self, StoreError> {
        let bytes = durable::read_lines(&path)?;
        let mut under_way = UnderWay::default();
        for line in bytes
            .iter()
            .flat_map(|b| b.split_inclusive(|b| *b == b'\n'))
        {
            let Ok(text) = str::from_utf8(line) else {
                continue;
            };
            // A line that cannot be parsed does not help its removal.
            let Ok(known) = serde_json::from_str::<Line<HistoryEntry>>(text) else {
                continue;
            };
            if interrupted.contains(&known.id) {
                under_way.put(&known.id, text);
            }
        }
        let mut on_disk = OnDisk {
            bytes: bytes.as_ref().map_or(0, Vec::len),
            is_named: bytes.is_some(),
        };
        if under_way.lines.is_empty() {
            empty(&path, &mut on_disk);
        }
        Ok(Self {
            path,
            under_way: Arc::new(Mutex::new(under_way)),
            log: GroupCommit::new(room, on_disk),
        })
    }

    /// Writes the intent of a removal down, durably: its line for the history.
    pub(super) async fn note(&self, id: &str, entry: &HistoryEntry) -> Result<(), StoreError> {
        let line = Line {
            id: id.to_owned(),
            entry,
        };
        let mut text = serde_json::to_string(&line).map_err(|e| {
            StoreError::unusable(&self.path, format!("an intent cannot be written: {e}"))
        })?;
        text.push('\n');
        lock(&self.under_way).put(id, &text);
        self.commit(Some(text)).await
    }

    /// The line for the history that was written down for a removal.
    pub(super) fn get(&self, id: &str) -> Option<HistoryEntry> {
        let line = lock(&self.under_way).lines.get(id).cloned()?;
        let known: Line<HistoryEntry> = serde_json::from_str(&line).ok()?;
        Some(known.entry)
    }

    /// Drops the intent of a removal: the session is erased, or will not be removed.
    pub(super) fn forget(&self, id: &str) {
        lock(&self.under_way).remove(id);
    }

    /// Empties the file where nothing in it is needed.
    pub(super) async fn tidy(&self) {
        if lock(&self.under_way).lines.is_empty() {
            // After a failure the next removal empties the file.
            let _ = self.commit(None).await;
        }
    }

    async fn commit(&self, line: Option<String>) -> Result<(), StoreError> {
        let (path, under_way) = (self.path.clone(), Arc::clone(&self.under_way));
        let write = move |on_disk: &mut OnDisk, lines: Vec<Option<String>>| {
            let text: String = lines.into_iter().flatten().collect();
            if !text.is_empty() {
                return write(&path, on_disk, &text, &under_way);
            }
            if lock(&under_way).lines.is_empty() {
                empty(&path, on_disk);
            }
            Ok(())
        };
        self.log.commit(line, write, |_| ()).await
    }
}

fn write(
    path: &Path,
    on_disk: &mut OnDisk,
    text: &str,
    under_way: &Mutex<UnderWay>,
) -> Result<(), StoreError> {
    let needed = lock(under_way).bytes;
    let is_long = on_disk.bytes + text.len() > LONG && on_disk.bytes > 2 * needed;
    if is_long {
        match rewrite(path, on_disk, under_way) {
            // The file has the new lines already: they were needed before they were to be written.
            Ok(()) => return Ok(()),
            Err(e) => tracing::warn!("the intents could not be shortened: {e}"),
        }
    }
    durable::append(path, text.as_bytes(), &mut on_disk.is_named, &STEPS)?;
    on_disk.bytes += text.len();
    Ok(())
}

fn rewrite(
    path: &Path,
    on_disk: &mut OnDisk,
    under_way: &Mutex<UnderWay>,
) -> Result<(), StoreError> {
    let lines: Vec<Arc<str>> = lock(under_way).lines.values().cloned().collect();
    durable::replace_with(path, &REWRITING, |file| {
        lines
            .iter()
            .try_for_each(|line| file.write_all(line.as_bytes()))
    })?;
    on_disk.bytes = lines.iter().map(|line| line.len()).sum();
    on_disk.is_named = true;
    Ok(())
}

/// Empties the file. That needs no sync: a line that comes back after a crash belongs to no session in the
/// trash.
fn empty(path: &Path, on_disk: &mut OnDisk) {
    if on_disk.bytes == 0 {
        return;
    }
    let emptied = Step::IntentsEmpty.take(|| {
        regular::open(OpenOptions::new().write(true), path).and_then(|file| file.set_len(0))
    });
    match emptied {
        Ok(()) => on_disk.bytes = 0,
        Err(e) => tracing::warn!("cannot empty {}: {e}. It is tried again", path.display()),
    }
}

fn lock(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::protocol::Removed;
    use crate::store::removal::fixtures::intent;

    fn line(user: &str) -> HistoryEntry {
        intent(user).entry(Removed {
            files: 3,
            bytes: 5,
            targets: 0,
        })
    }

    fn open(path: &Path, interrupted: &[&str]) -> Intents {
        let interrupted = interrupted.iter().map(|&id| id.to_owned()).collect();
        Intents::open(path.to_owned(), &interrupted, Room::new("intents", 1)).expect("open")
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).map_or(0, |about| about.len())
    }

    #[tokio::test]
    async fn what_is_under_way_comes_back_after_a_crash_and_nothing_else() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        let intents = open(&path, &[]);
        for id in ["a", "b"] {
            intents.note(id, &line("alice")).await.expect("note");
        }
        drop(intents);
        let mut torn = fs::read(&path).expect("read");
        torn.extend(b"{\"id\":\"c\",\"entry\":{\"at\"");
        fs::write(&path, torn).expect("write");
        let intents = open(&path, &["b", "c"]);
        assert!(intents.get("a").is_none() && intents.get("c").is_none());
        assert_eq!(intents.get("b"), Some(line("alice")));
        // What comes after half a line is whole.
        intents.note("d", &line("dora")).await.expect("note");
        assert!(open(&path, &["d"]).get("d").is_some());
    }

    #[tokio::test]
    async fn the_file_is_emptied_when_nothing_is_under_way() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        let intents = open(&path, &[]);
        for id in ["a", "b"] {
            intents.note(id, &line("alice")).await.expect("note");
        }
        intents.forget("a");
        intents.tidy().await;
        assert!(size(&path) > 0, "b is under way");
        intents.forget("b");
        intents.tidy().await;
        assert_eq!(size(&path), 0);
        intents.note("c", &line("alice")).await.expect("note");
        drop(intents);
        open(&path, &[]);
        assert_eq!(size(&path), 0, "and at the start");
    }

    #[tokio::test]
    async fn a_long_file_is_written_anew_with_what_is_still_needed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        let intents = open(&path, &[]);
        intents.note("kept", &line("alice")).await.expect("note");
        let mut longer = line("bob");
        longer.text = Some("x".repeat(100_000));
        for n in 0..50 {
            let id = n.to_string();
            intents.note(&id, &longer).await.expect("note");
            intents.forget(&id);
            assert!(size(&path) < LONG as u64 + 200_000);
        }
        assert!(open(&path, &["kept"]).get("kept").is_some());
    }

    #[test]
    fn something_else_in_its_place_is_told_and_waits_for_nobody() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let refused = Intents::open(path, &HashSet::new(), Room::new("intents", 1));
        let refused = refused.expect_err("a pipe").to_string();
        assert!(refused.contains("not a regular file"), "{refused}");
    }
}
