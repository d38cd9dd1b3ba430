//! The part of a scan that reads logs: their heads, blocks and entries.
//!
//! Invariant: the entries of a log that are handed on follow each other without a hole, from its oldest to its end.
//!
//! # Limits
//! The entries of a hole in a log are counted one by one: a log whose end was damaged into a huge number takes long.

use super::OfflineError;
use super::report::What;
use super::scan::{Scan, Sink, Verdict, hex};
use crate::format::block::Block;
use crate::format::{LOGS_HEAD, LogMeta, Reader, block_key, decode_block_key};
use crate::walk::{Next, Walk};
use bytes::Bytes;
use smsgw_queue::transfer::{Item, LogEntry, LogHead};
use smsgw_queue::{LogName, Position};
use std::collections::{BTreeMap, BTreeSet};

impl Scan<'_> {
    pub(super) fn logs(&mut self, sink: Sink<'_>) -> Result<(), OfflineError> {
        let mut logs: BTreeMap<u32, LogMeta> = BTreeMap::new();
        let mut nameless = BTreeSet::new();
        let mut walk = Walk::new(&self.held.store.meta, b"l", b"m");
        while let Some(next) = walk.next() {
            match next {
                Next::Entry(key, entry) => {
                    let number = Reader(key.get(1..).unwrap_or_default()).u32();
                    match (number, LogMeta::decode(&entry)) {
                        (Ok(number), Ok(log)) => {
                            logs.insert(number, log);
                        }
                        (Ok(number), Err(_)) => {
                            nameless.insert(number);
                        }
                        (Err(_), _) => self.report.add(What::Log, || hex(&key)),
                    }
                }
                Next::Gap { after, until, why } => self.gap("logs", &after, &until, &why),
            }
        }
        // Blocks of logs that nobody knows.
        let mut from = Some(0);
        while let Some(number) = from {
            let mut blocks = self.held.store.logs.range(block_key(number, 0)..LOGS_HEAD);
            let there = blocks.next().and_then(|block| block.key().ok());
            let there = there
                .and_then(|key| decode_block_key(&key).ok())
                .map(|(there, _)| there);
            if let Some(there) = there
                && !logs.contains_key(&there)
            {
                nameless.insert(there);
            }
            from = there.and_then(|there| there.checked_add(1));
        }
        for number in nameless {
            self.report.add(What::Log, || format!("log {number} has no name"));
            let mut blocks = self
                .held
                .store
                .logs
                .range(block_key(number, 0)..block_key(number, u64::MAX));
            let first = blocks.next().and_then(|block| block.key().ok());
            let first = first
                .and_then(|key| decode_block_key(&key).ok())
                .map_or(0, |(_, first)| first);
            logs.insert(
                number,
                LogMeta {
                    next: first,
                    first,
                    name: format!("lost.log.{number}"),
                    readers: Vec::new(),
                },
            );
        }
        let entries = logs.values().map(|log| log.next.saturating_sub(log.first));
        self.expect_entries(entries.fold(0, u64::saturating_add));
        for (number, log) in logs {
            self.log(number, log, sink)?;
        }
        Ok(())
    }

    fn log(&mut self, number: u32, log: LogMeta, sink: Sink<'_>) -> Result<(), OfflineError> {
        let LogMeta {
            next,
            first,
            name,
            mut readers,
        } = log;
        self.report.logs = self.report.logs.saturating_add(1);
        let store = &self.held.store;
        let (begin, end) = (block_key(number, 0), block_key(number, u64::MAX));
        // The newest block says where the log ends.
        let newest = store.logs.range(begin..end).next_back();
        let newest = newest.and_then(|block| block.into_inner().ok());
        let newest = newest.and_then(|(key, block)| {
            let (_, first) = decode_block_key(&key).ok()?;
            let block = Block::decode(Bytes::copy_from_slice(&block)).ok()?;
            Some(first.saturating_add(block.count()))
        });
        let ends = newest.map_or(next, |newest| newest.max(next));
        let begins = first.min(ends);
        let within = begins..=ends;
        if ends != next || begins != first || !readers.iter().all(|(_, at)| within.contains(at)) {
            self.report.add(What::Log, || name.clone());
            for (_, at) in &mut readers {
                *at = (*at).clamp(begins, ends);
            }
        }
        sink(Item::Log(LogHead {
            name: LogName::from(name.as_str()),
            first: begins,
            next: ends,
            readers,
        }))?;
        let mut expected = begins;
        let mut walk = Walk::new(&store.logs, &begin, &end);
        while let Some(next) = walk.next() {
            let (key, block) = match next {
                Next::Entry(key, block) => (key, block),
                Next::Gap { after, until, why } => {
                    self.gap(&name, &after, &until, &why);
                    continue;
                }
            };
            let block = Bytes::copy_from_slice(&block);
            let (Ok((_, first)), Ok(block)) = (decode_block_key(&key), Block::decode(block)) else {
                self.report
                    .add(What::LogHole, || format!("{name}: block {}", hex(&key)));
                continue;
            };
            for (position, record) in (first..ends).zip(block.from(0)) {
                if position < expected {
                    continue;
                }
                self.hole(&name, expected..position, sink)?;
                match self.judge.entry(&name, &record) {
                    Verdict::Fits => {}
                    Verdict::Newer => self.report.add(What::EntryNewer, || format!("{name} {position}")),
                    Verdict::Broken(why) => {
                        self.report
                            .add(What::Entry, || format!("{name} {position}: {why}"));
                    }
                }
                self.entry(position, record, sink)?;
                expected = position.saturating_add(1);
            }
        }
        self.hole(&name, expected..ends, sink)
    }

    fn entry(&mut self, position: u64, record: Bytes, sink: Sink<'_>) -> Result<(), OfflineError> {
        self.report.entries = self.report.entries.saturating_add(1);
        let octets = u64::try_from(record.len()).unwrap_or(u64::MAX);
        self.report.octets = self.report.octets.saturating_add(octets);
        self.note_read();
        sink(Item::Entry(LogEntry {
            position: Position(position),
            record,
        }))
    }

    fn hole(&mut self, log: &str, missing: std::ops::Range<u64>, sink: Sink<'_>) -> Result<(), OfflineError> {
        for position in missing {
            self.report.add(What::LogHole, || format!("{log} {position}"));
            self.entry(position, Bytes::new(), sink)?;
        }
        Ok(())
    }
}
