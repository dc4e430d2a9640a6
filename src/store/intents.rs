//! `intents.jsonl`: the intents of the removals under way.
//!
//! An intent is written as the line that the history will have: what names an account is sealed, see
//! [`super::line`]. It is durable before its session is
//! renamed, and it is needed until the session is erased: after a crash it is copied into the history.
//! Removals that begin together share one write and one sync. The file is emptied when no removal is under
//! way.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::commit::GroupCommit;
use super::durable::{Appending, Replacing};
use super::line::{Line, LineSeal};
use super::step::Step;
use super::{StoreError, durable, regular, shred};
use crate::blocking::Room;

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
    seal: LineSeal,
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
    /// Reads the file. Only the lines of these removals are still needed. What the file has in clear, a former
    /// version having written it, is sealed or destroyed.
    pub(super) fn open(
        path: PathBuf,
        interrupted: &HashSet<String>,
        room: Room,
        seal: LineSeal,
    ) -> Result<Self, StoreError> {
        let bytes = durable::read_lines(&path)?;
        let mut under_way = UnderWay::default();
        let mut is_in_clear = false;
        for line in bytes
            .iter()
            .flat_map(|b| b.split_inclusive(|b| *b == b'\n'))
        {
            // A line that cannot be parsed does not help its removal.
            let (Ok(text), Some(known)) = (str::from_utf8(line), Line::parse(line, None)) else {
                continue;
            };
            is_in_clear |= known.is_in_clear();
            if !interrupted.contains(&known.id) {
                continue;
            }
            let sealed = known.is_in_clear().then(|| text_of(&known, &seal));
            match sealed {
                Some(Ok(sealed)) => under_way.put(&known.id, &sealed),
                Some(Err(_)) | None => under_way.put(&known.id, text),
            }
        }
        let mut on_disk = OnDisk {
            bytes: bytes.as_ref().map_or(0, Vec::len),
            is_named: bytes.is_some(),
        };
        let under_way = Mutex::new(under_way);
        if lock(&under_way).lines.is_empty() {
            if is_in_clear && shred::file(&path).is_ok() {
                (on_disk.bytes, on_disk.is_named) = (0, false);
            }
            empty(&path, &mut on_disk);
        } else if is_in_clear && let Err(e) = rewrite(&path, &mut on_disk, &under_way, true) {
            tracing::warn!("the accounts in the intents could not be sealed: {e}");
        }
        Ok(Self {
            path,
            under_way: Arc::new(under_way),
            log: GroupCommit::new(room, on_disk),
            seal,
        })
    }

    /// The intent of a removal as it is to be noted: its line for the history. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be sealed now.
    pub(super) fn seal(&self, line: &Line) -> Result<String, StoreError> {
        text_of(line, &self.seal)
    }

    /// Writes the sealed intent of a removal down, durably.
    pub(super) async fn note(&self, id: &str, sealed: String) -> Result<(), StoreError> {
        lock(&self.under_way).put(id, &sealed);
        self.commit(Some(sealed)).await
    }

    /// The line for the history that was written down for a removal. Where it cannot be opened, it is kept as it
    /// is. Blocks.
    pub(super) fn get(&self, id: &str) -> Option<Line> {
        let line = lock(&self.under_way).lines.get(id).cloned()?;
        let key = self.seal.to_open().unwrap_or_else(|e| {
            tracing::error!(
                "the intent of a logout cannot be opened, and goes into the history as it is: {e}"
            );
            None
        });
        Line::parse(line.as_bytes(), key.as_deref())
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

/// A line as it stands in the file.
fn text_of(line: &Line, seal: &LineSeal) -> Result<String, StoreError> {
    let key = seal.to_seal(line)?;
    let unwritable =
        |e| StoreError::unusable(seal.state(), format!("an intent cannot be written: {e}"));
    let text = line.text(key.as_deref()).map_err(unwritable)?;
    Ok(text + "\n")
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
        match rewrite(path, on_disk, under_way, false) {
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
    is_in_clear: bool,
) -> Result<(), StoreError> {
    let lines: Vec<Arc<str>> = lock(under_way).lines.values().cloned().collect();
    let write = |file: &mut BufWriter<&File>| {
        lines
            .iter()
            .try_for_each(|line| file.write_all(line.as_bytes()))
    };
    if is_in_clear {
        durable::replace_in_clear(path, &REWRITING, write)?;
    } else {
        durable::replace_with(path, &REWRITING, write)?;
    }
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
    use crate::protocol::{HistoryEntry, Removed};
    use crate::store::masters::Masters;
    use crate::store::removal::fixtures::intent;

    fn entry(user: &str) -> HistoryEntry {
        intent(user).entry(Removed {
            files: 3,
            bytes: 5,
            targets: 0,
        })
    }

    fn seal(path: &Path) -> LineSeal {
        let state = path.parent().expect("a directory");
        LineSeal::new(state, Masters::new(state, None))
    }

    fn open(path: &Path, interrupted: &[&str]) -> Intents {
        let interrupted = interrupted.iter().map(|&id| id.to_owned()).collect();
        let room = Room::new("intents", 1);
        Intents::open(path.to_owned(), &interrupted, room, seal(path)).expect("open")
    }

    async fn note(intents: &Intents, id: &str, entry: &HistoryEntry) {
        let sealed = intents.seal(&Line::new(id, entry.clone()));
        let noted = intents.note(id, sealed.expect("sealed")).await;
        noted.expect("note");
    }

    fn found(intents: &Intents, id: &str) -> Option<HistoryEntry> {
        intents.get(id).map(|line| line.entry)
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
            note(&intents, id, &entry("alice")).await;
        }
        drop(intents);
        let mut torn = fs::read(&path).expect("read");
        torn.extend(b"{\"id\":\"c\",\"entry\":{\"at\"");
        fs::write(&path, torn).expect("write");
        let intents = open(&path, &["b", "c"]);
        assert!(intents.get("a").is_none() && intents.get("c").is_none());
        assert_eq!(found(&intents, "b"), Some(entry("alice")));
        // What comes after half a line is whole.
        note(&intents, "d", &entry("dora")).await;
        assert!(open(&path, &["d"]).get("d").is_some());
    }

    #[tokio::test]
    async fn the_file_is_emptied_when_nothing_is_under_way() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        let intents = open(&path, &[]);
        for id in ["a", "b"] {
            note(&intents, id, &entry("alice")).await;
        }
        intents.forget("a");
        intents.tidy().await;
        assert!(size(&path) > 0, "b is under way");
        intents.forget("b");
        intents.tidy().await;
        assert_eq!(size(&path), 0);
        note(&intents, "c", &entry("alice")).await;
        drop(intents);
        open(&path, &[]);
        assert_eq!(size(&path), 0, "and at the start");
    }

    #[tokio::test]
    async fn a_long_file_is_written_anew_with_what_is_still_needed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        let intents = open(&path, &[]);
        note(&intents, "kept", &entry("alice")).await;
        let mut longer = entry("bob");
        longer.text = Some("x".repeat(100_000));
        for n in 0..50 {
            let id = n.to_string();
            note(&intents, &id, &longer).await;
            intents.forget(&id);
            assert!(size(&path) < LONG as u64 + 300_000);
        }
        assert!(open(&path, &["kept"]).get("kept").is_some());
    }

    #[tokio::test]
    async fn an_intent_whose_key_is_missing_keeps_its_sealed_part() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        note(&open(&path, &[]), "a", &entry("alice")).await;
        let before = fs::read_to_string(&path).expect("read");
        assert!(
            !before.contains("token-4711") && before.contains("\"sealed\""),
            "{before}"
        );
        let (key, aside) = (dir.path().join("key"), dir.path().join("aside"));
        fs::rename(&key, &aside).expect("take it away");
        let line = open(&path, &["a"]).get("a").expect("a line");
        assert!(line.is_locked());
        assert_eq!(line.entry.appeal_token, None);
        assert_eq!(
            (line.entry.cause, line.entry.removed.files),
            (entry("alice").cause, 3)
        );
        assert_eq!(line.text(None).expect("text") + "\n", before);
        assert!(!key.exists(), "no other key is made");
        fs::rename(&aside, &key).expect("give it back");
        assert_eq!(found(&open(&path, &["a"]), "a"), Some(entry("alice")));
    }

    #[test]
    fn what_a_former_version_wrote_in_clear_is_sealed_or_destroyed() {
        #[derive(serde::Serialize)]
        struct Former {
            id: &'static str,
            entry: HistoryEntry,
        }
        for needed in [&["a"][..], &[]] {
            let dir = tempfile::tempdir().expect("tempdir");
            let path = dir.path().join("intents.jsonl");
            let former = Former {
                id: "a",
                entry: entry("alice"),
            };
            let text = serde_json::to_string(&former).expect("JSON") + "\n";
            fs::write(&path, &text).expect("write");
            let mut before = File::open(&path).expect("open");
            let intents = open(&path, needed);
            assert_eq!(found(&intents, "a").is_some(), !needed.is_empty());
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut before, &mut bytes).expect("read");
            assert!(
                bytes.len() == text.len() && bytes != text.as_bytes(),
                "it is noise"
            );
            let now = fs::read_to_string(&path).unwrap_or_default();
            assert!(!now.contains("token-4711"), "{now}");
            let expected = (!needed.is_empty()).then(|| entry("alice"));
            assert_eq!(found(&open(&path, needed), "a"), expected);
        }
    }

    #[test]
    fn something_else_in_its_place_is_told_and_waits_for_nobody() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("intents.jsonl");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let refused = Intents::open(
            path.clone(),
            &HashSet::new(),
            Room::new("intents", 1),
            seal(&path),
        );
        let refused = refused.expect_err("a pipe").to_string();
        assert!(refused.contains("not a regular file"), "{refused}");
    }
}
