//! Writes of the record. They come one after the other, and the last one wins. What cannot be read is
//! never overwritten.

use std::time::Duration;

use super::super::clock::Monotonic;
use super::{Effect, Machine, Moment};
use crate::protocol::{Failure, FailureCode};

/// How long until a record that could not be written is written again.
const AGAIN: Duration = Duration::from_secs(30);

/// How far the record on the disk is behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::session) struct Saving {
    /// The number of the last change that must be written.
    wanted: u64,
    /// The number of the change that is being written.
    writing: Option<u64>,
    /// The number of the last change that was written.
    written: u64,
    /// Why the last write failed, and when to try again.
    failed: Option<(String, Monotonic)>,
}

impl Saving {
    pub(super) const fn is_under_way(&self) -> bool {
        self.writing.is_some()
    }

    /// The number of the next change.
    pub(super) const fn next(&self) -> u64 {
        self.wanted + 1
    }

    /// Whether this change is on the disk.
    pub(super) const fn has_written(&self, change: u64) -> bool {
        self.written >= change
    }

    /// Why the record on the disk is behind, where it could not be written.
    fn failure(&self) -> Option<&str> {
        let failed = self.failed.as_ref().filter(|_| self.writing.is_none());
        failed.map(|(why, _)| why.as_str())
    }
}

impl Machine {
    /// Writes the record: at once, or after the write that is under way. Returns the number of the
    /// change.
    pub(super) fn save(&mut self) -> u64 {
        self.saving.wanted += 1;
        self.write();
        self.saving.wanted
    }

    fn write(&mut self) {
        // What could not be read, or is being removed, is not written over.
        if self.saving.writing.is_some() || self.unread || self.logout.is_some() {
            return;
        }
        let mut record = self.record.clone();
        if let Some(targets) = self.edits.to_write() {
            record.targets.clone_from(targets);
        }
        self.saving.writing = Some(self.saving.wanted);
        self.effects.push(Effect::Save(Box::new(record)));
    }

    pub(super) fn saved(&mut self, saved: Result<(), String>, at: Moment) {
        let Some(change) = self.saving.writing.take() else {
            return;
        };
        match saved {
            Ok(()) => {
                self.saving.written = change;
                self.saving.failed = None;
            }
            Err(why) => self.saving.failed = Some((why, at.monotonic + AGAIN)),
        }
        self.edit_saved(change, at);
        if self.saving.wanted > change {
            self.write();
        }
    }

    /// When to write again what could not be written.
    pub(super) fn save_again_at(&self) -> Option<Monotonic> {
        let keeps_out = self.unread || self.logout.is_some() || self.is_stopping();
        if self.saving.writing.is_some() || keeps_out {
            return None;
        }
        self.saving.failed.as_ref().map(|(_, at)| *at)
    }

    /// The failure to write the record, where the last try failed.
    pub(super) fn save_failure(&self) -> Option<Failure> {
        let why = self.saving.failure()?;
        let message = format!("the session of {} could not be written: {why}", self.user);
        Some(Failure::new(FailureCode::StoreFailed, message))
    }
}
