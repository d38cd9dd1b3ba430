//! A log of the memory engine: entries by position, trimmed behind the slowest reader.
//!
//! Invariant: a reader stands neither before the oldest entry nor behind the end; it never goes back.

use crate::delivery::{Entry, Position};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Entries and readers.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Position of the oldest entry.
    first: u64,
    entries: VecDeque<Bytes>,
    readers: BTreeMap<&'static str, Position>,
}

impl Log {
    pub(super) fn end(&self) -> u64 {
        self.first + u64::try_from(self.entries.len()).expect("usize has at most 64 bits")
    }

    pub(super) fn append(&mut self, record: Bytes) {
        self.entries.push_back(record);
    }

    /// Takes back the last append.
    pub(super) fn undo_append(&mut self) {
        self.entries.pop_back();
    }

    /// Moves a reader; returns where it was. Trims nothing yet: the step may still be refused.
    pub(super) fn advance(&mut self, reader: &'static str, to: Position) -> Option<Position> {
        let to = Position(to.0.clamp(self.first, self.end()));
        let before = self.readers.get(reader).copied();
        self.readers
            .insert(reader, before.map_or(to, |before| before.max(to)));
        before
    }

    /// Takes back the last advance of a reader.
    pub(super) fn undo_advance(&mut self, reader: &'static str, before: Option<Position>) {
        match before {
            Some(before) => self.readers.insert(reader, before),
            None => self.readers.remove(reader),
        };
    }

    /// Drops what every reader has done.
    pub(super) fn trim(&mut self) {
        let Some(slowest) = self.readers.values().min() else {
            return;
        };
        while self.first < slowest.0 && self.entries.pop_front().is_some() {
            self.first += 1;
        }
    }

    pub(super) fn position(&self, reader: &'static str) -> Position {
        self.readers.get(reader).copied().unwrap_or(Position(self.first))
    }

    pub(super) fn read(&self, from: Position, max: usize) -> Vec<Entry> {
        let from = from.0.max(self.first);
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let positions = (from..).map(Position);
        let entries = self.entries.iter().skip(skip).take(max);
        positions
            .zip(entries)
            .map(|(position, record)| Entry {
                position,
                record: record.clone(),
            })
            .collect()
    }
}
