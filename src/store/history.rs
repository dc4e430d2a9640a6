//! `history.jsonl`: one line per ended session.
//!
//! The history is bounded, and the owners of the sessions share it fairly: when it is full, the owner with
//! the most lines loses one, and unfinished pairings go before real ends. So no owner loses an end, or the
//! token in it that WhatsApp sends only once, because another owner begins and ends many sessions.

mod memory;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;

use serde::{Deserialize, Serialize};

use self::memory::{Kept, Memory, weight};
use super::commit::GroupCommit;
use super::durable::{Appending, Replacing};
use super::step::Step;
use super::{StoreError, durable};
use crate::blocking::Room;
use crate::protocol::{HistoryEntry, UserId};

const APPENDING: Appending = Appending {
    sync_dir: Step::HistorySyncDir,
    write: Step::HistoryWrite,
    sync: Step::HistorySync,
};

const SHORTENING: Replacing = Replacing {
    write: Step::ShortenWrite,
    sync: Step::ShortenSync,
    rename: Step::ShortenRename,
    sync_dir: Step::ShortenSyncDir,
};

/// How many lines are copied at a time while the file is shortened, and how many a thread parses at the
/// start.
const SLICE: usize = 4096;

/// The ended sessions, in memory and on the disk. A reader does not wait for a write, which may take any
/// time.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    /// Locked for moments.
    memory: Arc<RwLock<Memory>>,
    /// Lines that are appended together share one write and one sync.
    log: GroupCommit<(Arc<Line>, String), OnDisk>,
}

#[derive(Debug)]
struct OnDisk {
    /// What the lines in the file weigh.
    weight: u64,
    /// After a failed try to shorten the file: the weight of the file at which the next try is made.
    not_before: u64,
    /// Whether the file's own name is durable.
    is_named: bool,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The removal that the line belongs to. It keeps the line of an interrupted removal from being written
    /// twice.
    id: String,
    entry: HistoryEntry,
    /// The line as it stands in the file, where this version would write it otherwise: a newer version may
    /// have put more into it, and that is kept when the file is rewritten.
    #[serde(skip)]
    original: Option<Box<str>>,
    /// What it counts for.
    #[serde(skip)]
    weight: u64,
}

impl Line {
    fn parse(text: &[u8]) -> Kept {
        let Ok(mut line) = serde_json::from_slice::<Self>(text) else {
            return Kept::Strange(String::from_utf8_lossy(text).into());
        };
        let is_all = serde_json::to_vec(&line).is_ok_and(|own| own == text);
        line.original = (!is_all).then(|| String::from_utf8_lossy(text).into());
        line.entry = line.entry.bounded();
        line.weight = weight(text.len());
        Kept::Line(Arc::new(line))
    }

    fn text(&self) -> serde_json::Result<String> {
        let mut text = match &self.original {
            Some(original) => original.to_string(),
            None => serde_json::to_string(self)?,
        };
        text.push('\n');
        Ok(text)
    }
}

impl History {
    pub(super) fn open(path: &Path, limit: usize, room: Room) -> Result<Self, StoreError> {
        let bytes = durable::read_lines(path)?;
        let mut on_disk = OnDisk {
            weight: 0,
            not_before: 0,
            is_named: bytes.is_some(),
        };
        let mut memory = Memory::new(limit);
        let bytes = bytes.unwrap_or_default();
        let lines: Vec<&[u8]> = bytes
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        for (line, kept) in lines.iter().zip(parse(&lines)) {
            on_disk.weight += weight(line.len());
            memory.push(kept);
        }
        Ok(Self {
            path: path.to_owned(),
            memory: Arc::new(RwLock::new(memory)),
            log: GroupCommit::new(room, on_disk),
        })
    }

    /// Adds an entry, durably. A removal that is already in it is not added again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the entry is then not in it.
    pub async fn append(&self, id: &str, entry: &HistoryEntry) -> Result<(), StoreError> {
        if self.read().contains(id) {
            return Ok(());
        }
        let mut line = Line {
            id: id.to_owned(),
            entry: entry.clone(),
            original: None,
            weight: 0,
        };
        let text = line.text().map_err(|e| {
            StoreError::unusable(&self.path, format!("a line cannot be written: {e}"))
        })?;
        line.weight = weight(text.len());
        let (path, memory) = (self.path.clone(), Arc::clone(&self.memory));
        let write = move |on_disk: &mut OnDisk, lines| write(&path, &memory, on_disk, lines);
        let (path, memory) = (self.path.clone(), Arc::clone(&self.memory));
        let shorten = move |on_disk: &mut OnDisk| keep_short(&path, &memory, on_disk);
        self.log
            .commit((Arc::new(line), text), write, shorten)
            .await
    }

    /// The entries of this moment. Hold the result only for a moment: the next entry waits for it.
    #[must_use]
    pub fn read(&self) -> Entries<'_> {
        Entries(read(&self.memory))
    }

    /// Changes how many entries are kept.
    pub fn set_limit(&self, limit: usize) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.set_limit(limit);
    }
}

fn read(memory: &RwLock<Memory>) -> RwLockReadGuard<'_, Memory> {
    memory.read().unwrap_or_else(PoisonError::into_inner)
}

/// Parses lines, on several processors where they are many.
fn parse(lines: &[&[u8]]) -> Vec<Kept> {
    let all =
        |lines: &[&[u8]]| -> Vec<Kept> { lines.iter().map(|text| Line::parse(text)).collect() };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    if lines.len() <= SLICE || threads == 1 {
        return all(lines);
    }
    let parts = lines.chunks(lines.len().div_ceil(threads));
    thread::scope(|scope| {
        let working: Vec<_> = parts
            .map(|part| (part, scope.spawn(move || all(part))))
            .collect();
        let parsed = working.into_iter().map(|(part, thread)| {
            // Lines whose thread failed are parsed again here, so that the failure is seen.
            thread.join().unwrap_or_else(|_| all(part))
        });
        parsed.flatten().collect()
    })
}

fn write(
    path: &Path,
    memory: &RwLock<Memory>,
    on_disk: &mut OnDisk,
    lines: Vec<(Arc<Line>, String)>,
) -> Result<(), StoreError> {
    let mut fresh = Vec::new();
    let mut text = String::new();
    let mut ids = HashSet::new();
    for (line, line_text) in lines {
        if !read(memory).contains(&line.id) && ids.insert(line.id.clone()) {
            text.push_str(&line_text);
            fresh.push(line);
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    durable::append(path, text.as_bytes(), &mut on_disk.is_named, &APPENDING)?;
    let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
    for line in fresh {
        on_disk.weight += line.weight;
        memory.push(Kept::Line(line));
    }
    Ok(())
}

/// Rewrites the file when it has twice the lines that are kept. The lines just written are acknowledged
/// first, and no look-up waits for the rewriting.
fn keep_short(path: &Path, memory: &RwLock<Memory>, on_disk: &mut OnDisk) {
    let limit = read(memory).limit();
    if on_disk.weight < (limit * 2).max(on_disk.not_before) {
        return;
    }
    match shorten(path, memory) {
        Ok(weight) => {
            on_disk.weight = weight;
            on_disk.not_before = 0;
        }
        Err(e) => {
            // The entry is durable; the file is shortened later.
            tracing::warn!("the history could not be shortened: {e}");
            on_disk.not_before = on_disk.weight + limit.div_ceil(8);
        }
    }
}

fn shorten(path: &Path, memory: &RwLock<Memory>) -> Result<u64, StoreError> {
    let mut total = 0;
    durable::replace_with(path, &SHORTENING, |file| {
        let mut next = 0;
        loop {
            // Nobody appends meanwhile, so what is not copied yet stays where it is, or is forgotten.
            let (lines, end) = read(memory).slice(next, SLICE);
            if lines.is_empty() {
                return Ok(());
            }
            next = end;
            for kept in lines {
                let text = match kept {
                    Kept::Line(line) => line.text()?,
                    Kept::Strange(line) => format!("{line}\n"),
                };
                total += weight(text.len());
                file.write_all(text.as_bytes())?;
            }
        }
    })?;
    Ok(total)
}

/// The entries of a history at one moment.
pub struct Entries<'a>(RwLockReadGuard<'a, Memory>);

impl Entries<'_> {
    /// Whether the entry of this removal is there.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains(id)
    }

    /// The newest entry of a user among those whose owner `may_see` accepts, with the id of its removal.
    #[must_use]
    pub fn last_of(
        &self,
        user: &UserId,
        may_see: impl Fn(u32) -> bool,
    ) -> Option<(&str, &HistoryEntry)> {
        let last = self.0.last_of(user, may_see);
        last.map(|line| (line.id.as_str(), &line.entry))
    }

    /// The entries, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.0.before(None).map(|line| &line.entry)
    }

    /// The entries older than the one of this removal, newest first, each with the id of its removal;
    /// `None`: all. For a removal that was forgotten long ago there are none.
    pub fn before(&self, id: Option<&str>) -> impl Iterator<Item = (&str, &HistoryEntry)> {
        self.0
            .before(id)
            .map(|line| (line.id.as_str(), &line.entry))
    }

    /// [`Entries::before`], of one user or of one owner only. The lines of others cost nothing.
    pub fn select(
        &self,
        before: Option<&str>,
        user: Option<&UserId>,
        owner: Option<u32>,
    ) -> impl Iterator<Item = (&str, &HistoryEntry)> {
        let lines = self.0.select(before, user, owner);
        lines.map(|line| (line.id.as_str(), &line.entry))
    }
}

#[cfg(test)]
mod tests;
