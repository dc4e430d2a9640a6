//! `history.jsonl`: one line per ended session.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use super::durable::Replacing;
use super::step::Step;
use super::{StoreError, durable};
use crate::protocol::HistoryEntry;

const SHORTENING: Replacing = Replacing {
    write: Step::ShortenWrite,
    sync: Step::ShortenSync,
    rename: Step::ShortenRename,
    sync_dir: Step::ShortenSyncDir,
};

/// The ended sessions, in memory and on the disk. Reading does not wait for a write, which lasts as long
/// as the disk wants.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    /// Held for as long as a write takes.
    file: Mutex<OnDisk>,
    /// Held for moments.
    memory: RwLock<InMemory>,
}

#[derive(Debug)]
struct OnDisk {
    /// Lines in the file; it is rewritten when they are twice the limit.
    lines: usize,
    /// Whether the file's own name is durable.
    is_named: bool,
}

#[derive(Debug)]
struct InMemory {
    limit: usize,
    /// Newest last.
    lines: VecDeque<Kept>,
}

impl InMemory {
    fn trim(&mut self) {
        while self.lines.len() > self.limit {
            self.lines.pop_front();
        }
    }
}

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    /// The purge it belongs to: a purge that a crash interrupted is not written twice.
    id: String,
    entry: HistoryEntry,
}

#[derive(Debug)]
enum Kept {
    Line(Box<Line>),
    /// Of a newer version, or damaged. It is not understood, and not thrown away for that.
    Strange(String),
}

impl Kept {
    fn known(&self) -> Option<&Line> {
        match self {
            Self::Line(line) => Some(line),
            Self::Strange(_) => None,
        }
    }
}

impl History {
    pub(super) fn open(path: &Path, limit: usize) -> Result<Self, StoreError> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(StoreError::unavailable("read", path, e)),
        };
        // A crash in the middle of a write leaves half a line at the end: that session's purge had
        // not been acknowledged, and is finished and written again at this start. Cutting it off
        // needs no room on the disk.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            cut(path).map_err(|e| StoreError::unavailable("cut half a line off", path, e))?;
        }
        let lines: VecDeque<Kept> = text[..whole]
            .lines()
            .map(|line| match serde_json::from_str::<Line>(line) {
                Ok(known) => Kept::Line(Box::new(Line {
                    entry: known.entry.bounded(),
                    ..known
                })),
                Err(_) => Kept::Strange(line.to_owned()),
            })
            .collect();
        let file = OnDisk {
            lines: lines.len(),
            is_named: !text.is_empty(),
        };
        let mut memory = InMemory {
            limit: limit.max(1),
            lines,
        };
        memory.trim();
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            memory: RwLock::new(memory),
        })
    }

    /// Adds an entry, durably. A purge that is already in it is not added again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the entry is then not in it.
    pub fn append(&self, id: &str, entry: &HistoryEntry) -> Result<(), StoreError> {
        let mut on_disk = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if self.read().contains(id) {
            return Ok(());
        }
        let line = Line {
            id: id.to_owned(),
            entry: entry.clone(),
        };
        let text = self.text(&line)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(|e| StoreError::unavailable("open", &self.path, e))?;
        // The name first: a line whose file could not be made durable would be written again.
        if !on_disk.is_named {
            durable::sync_dir(durable::parent(&self.path), Step::HistorySyncDir)?;
            on_disk.is_named = true;
        }
        write_synced(&file, text.as_bytes())
            .map_err(|e| StoreError::unavailable("write", &self.path, e))?;
        on_disk.lines += 1;
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.lines.push_back(Kept::Line(Box::new(line)));
        memory.trim();
        let too_long = on_disk.lines > memory.limit * 2;
        drop(memory);
        if too_long && let Err(e) = self.shorten(&mut on_disk) {
            // The entry is durable; the file is shortened after the next one.
            tracing::warn!("the history could not be shortened: {e}");
        }
        Ok(())
    }

    /// What is in it now. Whoever holds this holds up the next entry: it is for moments.
    pub fn read(&self) -> Entries<'_> {
        Entries(self.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes how many entries are kept.
    pub fn set_limit(&self, limit: usize) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.limit = limit.max(1);
        memory.trim();
    }

    fn shorten(&self, on_disk: &mut OnDisk) -> Result<(), StoreError> {
        let mut text = String::new();
        let mut lines = 0;
        for kept in &self.read().0.lines {
            match kept {
                Kept::Line(line) => text.push_str(&self.text(line)?),
                Kept::Strange(line) => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            lines += 1;
        }
        durable::replace(&self.path, text.as_bytes(), &SHORTENING)?;
        on_disk.lines = lines;
        Ok(())
    }

    fn text(&self, line: &Line) -> Result<String, StoreError> {
        let mut text = serde_json::to_string(line)
            .map_err(|e| StoreError::unusable(&self.path, format!("it cannot be written: {e}")))?;
        text.push('\n');
        Ok(text)
    }
}

/// The entries of a history at one moment.
pub struct Entries<'a>(RwLockReadGuard<'a, InMemory>);

impl Entries<'_> {
    /// Whether the entry of this purge is there.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.before(None).any(|(known, _)| known == id)
    }

    /// The entries, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.before(None).map(|(_, entry)| entry)
    }

    /// The entries older than the one of this purge, newest first, each with the id of its purge;
    /// `None`: all. What was forgotten has nothing older than it.
    pub fn before(&self, id: Option<&str>) -> impl Iterator<Item = (&str, &HistoryEntry)> {
        let lines = &self.0.lines;
        let end = id.map_or(lines.len(), |id| {
            lines
                .iter()
                .rposition(|kept| kept.known().is_some_and(|line| line.id == id))
                .unwrap_or(0)
        });
        let older = lines.range(..end).rev().filter_map(Kept::known);
        older.map(|line| (line.id.as_str(), &line.entry))
    }
}

/// Appends bytes and syncs; when that fails the file is cut back, so that no half line is followed by
/// a whole one.
fn write_synced(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = Step::HistoryWrite
        .take(|| file.write_all(bytes))
        .and_then(|()| Step::HistorySync.take(|| file.sync_data()));
    if written.is_err() {
        let _ = file.set_len(before);
    }
    written
}

/// Cuts off what follows the last line break. Bytes, not characters: they may be no text.
fn cut(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(whole as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Cause;
    use crate::protocol::fixtures::bare_entry;

    fn entry(user: &str) -> HistoryEntry {
        HistoryEntry {
            appeal_token: Some("token".into()),
            ..bare_entry(user, Cause::Unlinked)
        }
    }

    fn users(history: &History) -> Vec<String> {
        history
            .read()
            .newest_first()
            .map(|e| e.user.to_string())
            .collect()
    }

    #[test]
    fn entries_come_back_newest_first_and_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.jsonl");
        let history = History::open(&path, 10).expect("open");
        for (id, user) in [("1", "a"), ("2", "b"), ("2", "b")] {
            history.append(id, &entry(user)).expect("append");
        }
        assert_eq!(users(&history), ["b", "a"]);
        let again = History::open(&path, 10).expect("open again");
        assert_eq!(users(&again), ["b", "a"]);
        assert_eq!(again.read().newest_first().next(), Some(&entry("b")));
        assert!(again.read().contains("1") && !again.read().contains("3"));
    }

    #[test]
    fn it_is_bounded_in_memory_and_on_the_disk() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.jsonl");
        let history = History::open(&path, 3).expect("open");
        for n in 0..20 {
            history
                .append(&n.to_string(), &entry(&format!("u{n}")))
                .expect("append");
            let lines = fs::read_to_string(&path).expect("read").lines().count();
            assert!(lines <= 7, "{lines} lines");
        }
        assert_eq!(users(&history), ["u19", "u18", "u17"]);
    }

    #[test]
    fn a_torn_line_is_dropped_and_the_rest_kept() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.jsonl");
        let history = History::open(&path, 10).expect("open");
        history.append("1", &entry("a")).expect("append");
        let mut text = fs::read_to_string(&path).expect("read");
        text.push_str("{\"id\":\"2\",\"entry\":{\"at\":");
        fs::write(&path, text).expect("write");
        let history = History::open(&path, 10).expect("open torn");
        assert_eq!(users(&history), ["a"]);
        history.append("3", &entry("c")).expect("append");
        assert_eq!(users(&History::open(&path, 10).expect("again")), ["c", "a"]);
    }

    #[test]
    fn a_line_of_a_newer_version_is_kept() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.jsonl");
        let newer = "{\"id\":\"9\",\"entry\":{\"cause\":\"of tomorrow\"}}";
        fs::write(&path, format!("{newer}\n")).expect("write");
        let history = History::open(&path, 4).expect("open");
        for n in 0..3 {
            history.append(&n.to_string(), &entry("a")).expect("append");
        }
        assert_eq!(users(&history), ["a", "a", "a"]);
        history
            .shorten(&mut history.file.lock().expect("free"))
            .expect("shorten");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().next(), Some(newer));
        assert_eq!(text.lines().count(), 4);
    }
}
