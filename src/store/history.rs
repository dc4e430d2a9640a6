//! `history.jsonl`: one line per ended session.
//!
//! It is bounded, and shared fairly between the owners of the sessions: when it is full, the owner with
//! the most in it loses a line, and pairings that nobody finished go before real ends. So nobody's ends,
//! and the tokens in them that WhatsApp sends once, are lost to another owner's churn.

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

/// So many lines are copied at a time while the file is shortened, and parsed by a thread at the start.
const SLICE: usize = 4096;

/// The ended sessions, in memory and on the disk. Reading does not wait for a write, which lasts as long
/// as the disk wants.
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
    /// When shortening it failed: it is not tried before the file weighs that much.
    not_before: u64,
    /// Whether the file's own name is durable.
    is_named: bool,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The removal it belongs to: one that a crash interrupted is not written twice.
    id: String,
    entry: HistoryEntry,
    /// What it counts for.
    #[serde(skip)]
    weight: u64,
}

impl Line {
    fn parse(text: &[u8]) -> Kept {
        match serde_json::from_slice::<Self>(text) {
            Ok(known) => Kept::Line(Arc::new(Self {
                entry: known.entry.bounded(),
                weight: weight(text.len()),
                ..known
            })),
            Err(_) => Kept::Strange(String::from_utf8_lossy(text).into()),
        }
    }

    fn text(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string(self)?;
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

    /// What is in it now. Whoever holds this holds up the next entry: it is for moments.
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

/// Understands lines, many of them on more than one processor.
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
            // What a thread failed at fails here again, where it is told.
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

/// Rewrites the file when it has twice the lines that are kept. That is made when the lines just written
/// are acknowledged, and it holds up no look-up.
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

    /// The newest entry of a user, of those whose owner is let through, with the id of its removal.
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
    /// `None`: all. What was forgotten long ago has nothing older than it.
    pub fn before(&self, id: Option<&str>) -> impl Iterator<Item = (&str, &HistoryEntry)> {
        self.0
            .before(id)
            .map(|line| (line.id.as_str(), &line.entry))
    }

    /// [`Entries::before`], of one user or of one owner only. It costs nothing for the lines of others.
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
