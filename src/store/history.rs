//! `history.jsonl`: one line per ended session.
//!
//! The history is bounded, and the owners of the sessions share it fairly: when it is full, the owner with
//! the most lines loses one, and unfinished pairings go before real ends. So no owner loses an end, or the
//! token in it that WhatsApp sends only once, because another owner begins and ends many sessions.
//!
//! What names an account is sealed on the disk: see [`super::line`].

mod memory;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;

use self::memory::{Kept, Memory, Weighed, weight};
use super::commit::GroupCommit;
use super::durable::{Appending, Replacing};
use super::line::{Line, LineSeal};
use super::step::Step;
use super::vault::TextSeal;
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
    log: GroupCommit<Line, OnDisk>,
    seal: LineSeal,
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

impl History {
    /// Reads the file. Where it has in clear what is to be sealed, it is written anew.
    pub(super) fn open(
        path: &Path,
        limit: usize,
        room: Room,
        seal: LineSeal,
    ) -> Result<Self, StoreError> {
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
        let key = seal.to_open().unwrap_or_else(|e| {
            tracing::error!(
                "what the history has sealed cannot be opened, and is kept as it is: {e}"
            );
            None
        });
        let mut is_in_clear = false;
        for (line, kept) in lines.iter().zip(parse(&lines, key.as_deref())) {
            on_disk.weight += weight(line.len());
            is_in_clear |= matches!(&kept, Kept::Line(line) if line.is_in_clear());
            memory.push(kept);
        }
        let memory = RwLock::new(memory);
        if is_in_clear {
            let sealed = seal.make().map_err(|e| e.to_string());
            let sealed = sealed
                .and_then(|()| shorten(path, &memory, &seal, true).map_err(|e| e.to_string()));
            match sealed {
                Ok(weight) => on_disk.weight = weight,
                Err(why) => tracing::warn!(
                    "the accounts in the history could not be sealed, that is tried again at the next start: {why}"
                ),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            memory: Arc::new(memory),
            log: GroupCommit::new(room, on_disk),
            seal,
        })
    }

    /// Adds an entry, durably. A removal that is already in it is not added again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the entry is then not in it.
    pub async fn append(&self, id: &str, entry: &HistoryEntry) -> Result<(), StoreError> {
        self.append_line(Line::new(id, entry.clone())).await
    }

    /// [`History::append`], of a line as the intent of the removal had it.
    pub(super) async fn append_line(&self, line: Line) -> Result<(), StoreError> {
        if self.read().contains(&line.id) {
            return Ok(());
        }
        let shared = || {
            (
                self.path.clone(),
                Arc::clone(&self.memory),
                self.seal.clone(),
            )
        };
        let (path, memory, seal) = shared();
        let write = move |on_disk: &mut OnDisk, lines| write(&path, &memory, &seal, on_disk, lines);
        let (path, memory, seal) = shared();
        let shorten = move |on_disk: &mut OnDisk| keep_short(&path, &memory, &seal, on_disk);
        self.log.commit(line, write, shorten).await
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
fn parse(lines: &[&[u8]], key: Option<&TextSeal>) -> Vec<Kept> {
    let all = |lines: &[&[u8]]| -> Vec<Kept> {
        let parsed = lines.iter().map(|text| match Line::parse(text, key) {
            Some(line) => Kept::Line(Arc::new(Weighed::new(line, text.len()))),
            None => Kept::Strange(String::from_utf8_lossy(text).into()),
        });
        parsed.collect()
    };
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
    seal: &LineSeal,
    on_disk: &mut OnDisk,
    lines: Vec<Line>,
) -> Result<(), StoreError> {
    let mut fresh = Vec::new();
    let mut text = String::new();
    let mut ids = HashSet::new();
    for line in lines {
        if read(memory).contains(&line.id) || !ids.insert(line.id.clone()) {
            continue;
        }
        let key = seal.to_seal(&line)?;
        let line_text = line
            .text(key.as_deref())
            .map_err(|e| StoreError::unusable(path, format!("a line cannot be written: {e}")))?;
        text.push_str(&line_text);
        text.push('\n');
        fresh.push(Weighed::new(line, line_text.len()));
    }
    if fresh.is_empty() {
        return Ok(());
    }
    durable::append(path, text.as_bytes(), &mut on_disk.is_named, &APPENDING)?;
    let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
    for line in fresh {
        on_disk.weight += line.weight;
        memory.push(Kept::Line(Arc::new(line)));
    }
    Ok(())
}

/// Rewrites the file when it has twice the lines that are kept. The lines just written are acknowledged
/// first, and no look-up waits for the rewriting.
fn keep_short(path: &Path, memory: &RwLock<Memory>, seal: &LineSeal, on_disk: &mut OnDisk) {
    let limit = read(memory).limit();
    if on_disk.weight < (limit * 2).max(on_disk.not_before) {
        return;
    }
    match shorten(path, memory, seal, false) {
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

/// Writes the file anew with the lines that are kept. What the old one has in clear is destroyed.
fn shorten(
    path: &Path,
    memory: &RwLock<Memory>,
    seal: &LineSeal,
    is_in_clear: bool,
) -> Result<u64, StoreError> {
    let mut total = 0;
    let write = |file: &mut BufWriter<&File>| {
        let mut next = 0;
        loop {
            // Nobody appends meanwhile, so what is not copied yet stays where it is, or is forgotten.
            let (lines, end) = read(memory).slice(next, SLICE);
            if lines.is_empty() {
                return Ok(());
            }
            next = end;
            for kept in lines {
                let text = match &kept {
                    Kept::Line(line) => {
                        let key = seal.to_seal(line).map_err(std::io::Error::other)?;
                        line.text(key.as_deref())?
                    }
                    Kept::Strange(line) => line.to_string(),
                };
                total += weight(text.len());
                writeln!(file, "{text}")?;
            }
        }
    };
    if is_in_clear {
        durable::replace_in_clear(path, &SHORTENING, write)?;
    } else {
        durable::replace_with(path, &SHORTENING, write)?;
    }
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
