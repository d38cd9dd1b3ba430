//! Where records are: in the keyspace of their generation, or in `records` when that did not keep them.
//!
//! A generation is a run of records in the order of their numbers. Its tables never overlap, so fjall has nothing to
//! merge, and a record that is gone is a bit here and on the disk (`gone`), not a deletion that has to find its record.
//! Knows no queue and does not change the disk; turnover.rs begins, empties and drops generations. Invariants: only the
//! committer changes what is here, and only to what is durable; a record is where `home` says, or was when it was asked.

use crate::format::{GenerationEntry, GenerationState, RECORDS_HEAD, Reader, decode_record, generation_name};
use crate::store::{Read, ReadResult, Store};
use bytes::Bytes;
use fjall::{AbstractTree, Keyspace, UserKey, UserValue};
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, PoisonError, RwLock};

/// Numbers of records in one generation, at most.
pub(crate) const CAPACITY: u64 = 1 << 22;
/// Numbers whose bits are written together.
pub(crate) const CHUNK: u64 = 512;

/// A run of records.
pub(crate) struct Generation {
    pub(crate) number: u32,
    pub(crate) first: u64,
    pub(crate) began: Timestamp,
    pub(crate) keyspace: Keyspace,
    end: AtomicU64,
    from: AtomicU64,
    /// A bit for each number: the record is gone.
    gone: Box<[AtomicU64]>,
    /// Records that were written into it.
    written: AtomicU64,
    /// Those that are neither gone nor in `records`.
    live: AtomicU64,
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

impl Generation {
    pub(crate) fn new(number: u32, entry: &GenerationEntry, keyspace: Keyspace) -> Self {
        let words = CAPACITY / 64;
        Self {
            number,
            first: entry.first,
            began: entry.began,
            keyspace,
            end: AtomicU64::new(entry.end),
            from: AtomicU64::new(entry.from),
            gone: (0..words).map(|_| AtomicU64::new(0)).collect(),
            written: AtomicU64::new(0),
            live: AtomicU64::new(0),
        }
    }

    pub(crate) fn entry(&self, state: GenerationState) -> GenerationEntry {
        GenerationEntry {
            state,
            first: self.first,
            end: self.end(),
            from: self.from(),
            began: self.began,
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Acquire)
    }

    /// No record from here on is in it.
    pub(crate) fn seal(&self, end: u64) {
        self.end.store(end.min(self.end()), Release);
    }

    pub(crate) fn from(&self) -> u64 {
        self.from.load(Acquire)
    }

    /// What comes before this is in `records` now.
    pub(crate) fn moved_up_to(&self, from: u64, records: u64) {
        self.from.store(from, Release);
        let left = if from < self.end() {
            self.live().saturating_sub(records)
        } else {
            0
        };
        self.live.store(left, Relaxed);
    }

    /// Records that are still here and nowhere else.
    pub(crate) fn left(&self) -> impl Iterator<Item = u64> {
        (self.from()..self.end()).filter(|id| !self.is_gone(*id))
    }

    fn bit(&self, id: u64) -> Option<(&AtomicU64, u64)> {
        let offset = id.checked_sub(self.first)?;
        let word = self.gone.get(usize::try_from(offset / 64).ok()?)?;
        Some((word, 1 << (offset % 64)))
    }

    pub(crate) fn is_gone(&self, id: u64) -> bool {
        self.bit(id)
            .is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
    }

    /// A record of it is gone, durably.
    pub(crate) fn forget(&self, id: u64) {
        if let Some((word, bit)) = self.bit(id)
            && word.fetch_or(bit, Relaxed) & bit == 0
            && id >= self.from()
        {
            self.live.fetch_sub(1.min(self.live()), Relaxed);
        }
    }

    pub(crate) fn chunk_of(&self, id: u64) -> u32 {
        u32::try_from(id.saturating_sub(self.first) / CHUNK).unwrap_or(u32::MAX)
    }

    fn words_of(&self, chunk: u32) -> &[AtomicU64] {
        let begin = usize::try_from(chunk).unwrap_or(usize::MAX).saturating_mul(8);
        self.gone.get(begin..begin.saturating_add(8)).unwrap_or_default()
    }

    /// The bits of a chunk as they are.
    pub(crate) fn chunk(&self, chunk: u32) -> [u64; 8] {
        let mut words = [0; 8];
        for (to, from) in words.iter_mut().zip(self.words_of(chunk)) {
            *to = from.load(Relaxed);
        }
        words
    }

    /// Bits of a chunk as they lie on the disk.
    pub(crate) fn restore_chunk(&self, chunk: u32, words: [u64; 8]) {
        for (to, from) in self.words_of(chunk).iter().zip(words) {
            to.fetch_or(from, Relaxed);
        }
    }

    /// Where in its chunk a record has its bit: the word, and the bit in it.
    pub(crate) fn place_in_chunk(&self, id: u64) -> (usize, u64) {
        let offset = id.saturating_sub(self.first) % CHUNK;
        (
            usize::try_from(offset / 64).unwrap_or_default(),
            1 << (offset % 64),
        )
    }

    /// Records were written into it.
    pub(crate) fn wrote(&self, records: u64) {
        self.written.fetch_add(records, Relaxed);
        self.live.fetch_add(records, Relaxed);
    }

    /// What recovery found: everything but `live` (bit n of which is record `first` + n) is gone, before `next`.
    pub(crate) fn restored(&self, live: &[u64], next: u64, written: u64) {
        let numbers = next.min(self.end()).saturating_sub(self.first);
        for (n, (to, live)) in (0u64..).zip(self.gone.iter().zip(live)) {
            let begin = n.saturating_mul(64);
            let all = match numbers.saturating_sub(begin) {
                64.. => u64::MAX,
                some => (1 << some) - 1,
            };
            to.store(all & !live, Relaxed);
        }
        let live = live.iter().map(|word| u64::from(word.count_ones())).sum();
        self.live.store(live, Relaxed);
        self.written.store(written, Relaxed);
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Octets that it takes on the disk, or will when its table in memory is written.
    pub(crate) fn size(&self) -> u64 {
        let in_memory = self.keyspace.tree.active_memtable().size();
        self.keyspace.disk_space().saturating_add(in_memory)
    }

    /// Its records from a number on, without those that are gone.
    pub(crate) fn range(&self, from: u64) -> impl Iterator<Item = fjall::Result<(u64, UserKey, UserValue)>> {
        let range = self.keyspace.range(from.to_be_bytes().to_vec()..);
        range.filter_map(|item| match item.into_inner() {
            // Not eight octets: an anchor.
            Ok((key, entry)) => {
                let id = Reader(&key).u64().ok().filter(|_| key.len() == 8)?;
                (!self.is_gone(id)).then_some(Ok((id, key, entry)))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// Generations by their first record.
pub(crate) type Generations = Arc<[Arc<Generation>]>;

/// The generation that a number is of, and that still keeps it.
pub(crate) fn home(all: &[Arc<Generation>], id: u64) -> Option<&Arc<Generation>> {
    let behind = all.partition_point(|generation| generation.first <= id);
    let there = all.get(behind.checked_sub(1)?)?;
    (id >= there.from() && id < there.end()).then_some(there)
}

/// All generations, as readers see them.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    all: RwLock<Generations>,
}

impl Bodies {
    pub(crate) fn all(&self) -> Generations {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, all: Generations) {
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all;
    }
}

fn broken(broken: crate::format::Broken) -> String {
    format!("a record is damaged: {}", broken.0)
}

impl Store {
    /// The entry of a record; `None`: it is gone.
    pub(crate) fn entry(&self, id: u64) -> fjall::Result<Option<UserValue>> {
        if let Some(there) = home(&self.bodies.all(), id) {
            if there.is_gone(id) {
                return Ok(None);
            }
            return there.keyspace.get(id.to_be_bytes());
        }
        self.records.get(id.to_be_bytes())
    }

    fn record(&self, id: u64) -> ReadResult<Bytes> {
        let entry = self.entry(id).map_err(|error| error.to_string())?;
        let entry = entry.ok_or_else(|| format!("record {id} is missing"))?;
        let (_, octets) = decode_record(&entry).map_err(broken)?;
        Ok(Bytes::copy_from_slice(octets))
    }

    /// Records by number, in the order asked. With `ahead`, also up to that many others of the queue that lie between
    /// and behind them.
    pub(crate) fn records(&self, ids: &[u64], queue: u32, ahead: usize) -> ReadResult<Read> {
        let (Some(first), true) = (ids.iter().min(), ahead > 0) else {
            let records = ids.iter().map(|id| self.record(*id)).collect::<ReadResult<_>>()?;
            return Ok(Read {
                records,
                ahead: Vec::new(),
            });
        };
        let mut asked: FxHashMap<u64, Option<Bytes>> = ids.iter().map(|id| (*id, None)).collect();
        // Records of other queues lie between: not more of them than there is to gain.
        let walk = ids.len().saturating_add(ahead.saturating_mul(4));
        let all = self.bodies.all();
        let others = match home(&all, *first) {
            Some(there) => gather(there.range(*first).take(walk), &mut asked, queue, ahead),
            None => {
                let kept = self.records.range(first.to_be_bytes()..RECORDS_HEAD);
                let kept = kept.filter_map(|item| match item.into_inner() {
                    Ok((key, entry)) => Some(Ok((Reader(&key).u64().ok()?, key, entry))),
                    Err(error) => Some(Err(error)),
                });
                gather(kept.take(walk), &mut asked, queue, ahead)
            }
        }?;
        let records = ids.iter().map(|id| match asked.get(id).cloned().flatten() {
            Some(record) => Ok(record),
            None => self.record(*id),
        });
        Ok(Read {
            records: records.collect::<ReadResult<_>>()?,
            ahead: others,
        })
    }

    /// The keyspace of a generation, made if it is not there. Waits for the disk.
    pub(crate) fn generation_keyspace(&self, number: u32) -> fjall::Result<Keyspace> {
        self.db.keyspace(&generation_name(number), || {
            Self::generation_options(self.write_buffer)
        })
    }
}

/// Fills in what was asked for; returns others of the queue.
fn gather(
    walk: impl Iterator<Item = fjall::Result<(u64, UserKey, UserValue)>>,
    asked: &mut FxHashMap<u64, Option<Bytes>>,
    queue: u32,
    ahead: usize,
) -> ReadResult<Vec<(u64, Bytes)>> {
    let mut others = Vec::new();
    let mut octets = 0usize;
    for item in walk {
        let (id, _, entry) = item.map_err(|error| error.to_string())?;
        if let Some(place) = asked.get_mut(&id) {
            let (_, record) = decode_record(&entry).map_err(broken)?;
            *place = Some(Bytes::copy_from_slice(record));
            continue;
        }
        // One that is damaged and that nobody asked for is for its own checkout to tell.
        if let Ok((header, record)) = decode_record(&entry)
            && header.queue == queue
        {
            octets = octets.saturating_add(record.len());
            others.push((id, Bytes::copy_from_slice(record)));
        }
        if others.len() >= ahead || octets >= crate::ahead::OCTETS {
            break;
        }
    }
    Ok(others)
}
