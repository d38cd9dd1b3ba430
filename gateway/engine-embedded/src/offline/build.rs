//! Makes a data directory from items, as an engine would have left it.
//!
//! Invariants: nothing counts before [`Builder::finish`], which syncs everything; the directory is not at its place yet,
//! who builds moves it there.

use super::{OfflineError, config, sync_dir};
use crate::bodies::CAPACITY;
use crate::format::{
    EXPIRY_HEAD, FORMAT, GONE_HEAD, GenerationEntry, GenerationState, Home, LOGS_HEAD, LogMeta, META_FORMAT,
    META_NEXT, META_NUMBERS, META_OPENED, Move, RECORDS_HEAD, STATE_HEAD, Value, anchor_key, block,
    block_key, due_of, encode_hold, encode_move, encode_record, expiry_key, hold_key, numbered_key,
    state_key,
};
use crate::leases::{Found, Leases};
use crate::lock::DirLock;
use crate::store::Store;
use fjall::{Keyspace, OwnedWriteBatch, PersistMode};
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use smsgw_queue::QueueName;
use smsgw_queue::index::At;
use smsgw_queue::transfer::{Item, LogHead, Marks, StateItem, StoredRecord};
use std::path::{Path, PathBuf};

/// Octets that are written at once.
const BATCH: usize = 2 * 1024 * 1024;
/// Octets of a block of a log.
const BLOCK: usize = 64 * 1024;
/// Octets of a generation.
const GENERATION: u64 = 512 * 1024 * 1024;
/// Records with numbers far from each other go to `records` until a generation has so many.
const MUCH: u64 = CAPACITY / 64;
/// Marks of leases that are written. With more, there are none: every record counts as possibly leased then.
const MOST_MARKS: usize = 4_000_000;

pub(super) struct Builder {
    store: Store,
    dir: PathBuf,
    batch: OwnedWriteBatch,
    pending: usize,
    numbers: FxHashMap<QueueName, u32>,
    next_number: u32,
    leased: FxHashSet<u64>,
    too_many: bool,
    log: Option<OpenLog>,
    generation: Option<Filling>,
    generations: u32,
}

/// A generation that is being written.
struct Filling {
    number: u32,
    first: u64,
    end: u64,
    records: u64,
    octets: u64,
    keyspace: Keyspace,
}

impl Filling {
    fn takes(&self, id: u64) -> bool {
        (self.end..self.first.saturating_add(CAPACITY)).contains(&id) && self.octets < GENERATION
    }

    /// It is worth its keyspace.
    fn is_much(&self) -> bool {
        self.records >= MUCH || self.octets >= GENERATION
    }
}

struct OpenLog {
    number: u32,
    first: u64,
    block: block::Encoder,
}

impl Builder {
    /// In a directory that is ours alone. It is made; nothing may be there.
    pub(super) fn new(dir: &Path) -> Result<Self, OfflineError> {
        std::fs::create_dir(dir).map_err(OfflineError::io(format!("make {}", dir.display())))?;
        let open = || Store::open(&config(dir), DirLock::acquire(dir)?);
        let store = open().map_err(|kind| super::open_error(dir, kind))?;
        Ok(Self {
            batch: store.db.batch(),
            store,
            dir: dir.to_owned(),
            pending: 0,
            numbers: FxHashMap::default(),
            next_number: 1,
            leased: FxHashSet::default(),
            too_many: false,
            log: None,
            generation: None,
            generations: 0,
        })
    }

    pub(super) fn add(&mut self, item: Item) -> Result<(), OfflineError> {
        match item {
            Item::Hold(hold) => self.batch.insert(
                &self.store.meta,
                hold_key(&hold.queue, &hold.held.scope),
                encode_hold(hold.held.reason, hold.held.since),
            ),
            Item::Record(record) => self.record(&record)?,
            Item::State(state) => self.value(state),
            Item::Log(log) => {
                self.end_log();
                self.begin_log(log);
            }
            Item::Entry(entry) => {
                if let Some(log) = &mut self.log {
                    log.block.push(&entry.record);
                    if log.block.octets().len() >= BLOCK {
                        self.end_block();
                    }
                }
            }
        }
        if self.pending >= BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn number(&mut self, queue: &QueueName) -> u32 {
        if let Some(number) = self.numbers.get(queue) {
            return *number;
        }
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        self.numbers.insert(queue.clone(), number);
        self.batch
            .insert(&self.store.meta, numbered_key(b'q', number), queue.as_str());
        number
    }

    fn record(&mut self, record: &StoredRecord) -> Result<(), OfflineError> {
        let number = self.number(&record.queue);
        let mut entry = Vec::new();
        encode_record(
            number,
            &record.lane,
            &record.at,
            record.published_at,
            &record.record,
            &mut entry,
        );
        self.pending = self.pending.saturating_add(entry.len()).saturating_add(64);
        let key = record.id.to_be_bytes();
        self.place(record.id, entry)?;
        // What stands aside counts as leased only where a move says that the marks count.
        let aside_and_leased = record.leased_before && matches!(record.at, At::Aside { .. });
        if record.attempt != 1 || aside_and_leased {
            let moved = Move {
                at: record.at,
                attempt: record.attempt,
                void: if record.leased_before { 0 } else { 1 },
                home: None::<Home>,
            };
            self.batch.insert(&self.store.moves, key, encode_move(&moved));
        }
        if record.leased_before && !self.too_many {
            self.leased.insert(record.id);
            if self.leased.len() > MOST_MARKS {
                self.too_many = true;
                self.leased = FxHashSet::default();
            }
        }
        Ok(())
    }

    /// Records come in the order of their numbers, or nearly.
    fn place(&mut self, id: u64, entry: Vec<u8>) -> Result<(), OfflineError> {
        if !self.generation.as_ref().is_some_and(|there| there.takes(id)) {
            if self
                .generation
                .as_ref()
                .is_some_and(|there| !there.is_much() || id < there.end)
            {
                self.batch.insert(&self.store.records, id.to_be_bytes(), entry);
                return Ok(());
            }
            self.end_generation();
            let number = self.generations.saturating_add(1);
            self.generations = number;
            let keyspace = self.store.generation_keyspace(number);
            let keyspace = keyspace.map_err(OfflineError::store("make a keyspace"))?;
            self.batch
                .insert(&keyspace, anchor_key(id.saturating_sub(1)), Vec::new());
            self.generation = Some(Filling {
                number,
                first: id,
                end: id,
                records: 0,
                octets: 0,
                keyspace,
            });
        }
        if let Some(there) = &mut self.generation {
            there.end = id.saturating_add(1);
            there.records = there.records.saturating_add(1);
            there.octets = there.octets.saturating_add(crate::shared::number(entry.len()));
            self.batch.insert(&there.keyspace, id.to_be_bytes(), entry);
        }
        Ok(())
    }

    fn end_generation(&mut self) {
        let Some(there) = self.generation.take() else {
            return;
        };
        let entry = GenerationEntry {
            state: GenerationState::Sealed,
            first: there.first,
            end: there.end,
            from: there.first,
            began: Timestamp::from_millis(0),
        };
        self.batch
            .insert(&self.store.meta, numbered_key(b'g', there.number), entry.encode());
    }

    fn value(&mut self, state: StateItem) {
        let key = state.key.as_str();
        if let Some(due) = due_of(&state.expiry) {
            let reminder = expiry_key(due, state.version, key);
            self.batch.insert(&self.store.expiry, reminder, Vec::new());
        }
        let value = Value {
            version: state.version,
            entry: state.version,
            step: state.written_by,
            expiry: state.expiry,
            octets: state.value,
        };
        let entry = value.encode();
        self.pending = self.pending.saturating_add(entry.len()).saturating_add(128);
        self.batch.insert(&self.store.state, state_key(key), entry);
    }

    fn begin_log(&mut self, log: LogHead) {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        let meta = LogMeta {
            next: log.next,
            first: log.first,
            name: log.name.as_str().to_owned(),
            readers: log.readers,
        };
        self.batch
            .insert(&self.store.meta, numbered_key(b'l', number), meta.encode());
        self.log = Some(OpenLog {
            number,
            first: log.first,
            block: block::Encoder::default(),
        });
    }

    fn end_block(&mut self) {
        let Some(log) = &mut self.log else { return };
        if log.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut log.block);
        self.pending = self.pending.saturating_add(block.octets().len());
        let key = block_key(log.number, log.first);
        self.batch.insert(&self.store.logs, key, block.octets());
        log.first = log.first.saturating_add(block.end().count());
    }

    fn end_log(&mut self) {
        self.end_block();
        self.log = None;
    }

    fn write(&mut self) -> Result<(), OfflineError> {
        let next = self.store.db.batch();
        self.pending = 0;
        std::mem::replace(&mut self.batch, next)
            .commit()
            .map_err(OfflineError::store("write"))
    }

    /// Everything is there: makes it durable. `epoch` is larger than that of every engine that had these records.
    pub(super) fn finish(mut self, marks: Marks, epoch: u64) -> Result<(), OfflineError> {
        self.end_log();
        self.end_generation();
        let store = &self.store;
        let batch = &mut self.batch;
        batch.insert(&store.meta, META_NEXT, marks.next_record.to_be_bytes());
        batch.insert(&store.gone, GONE_HEAD, Vec::new());
        batch.insert(&store.records, RECORDS_HEAD, marks.next_record.to_be_bytes());
        batch.insert(&store.moves, RECORDS_HEAD, Vec::new());
        batch.insert(&store.state, STATE_HEAD, marks.next_version.to_be_bytes());
        batch.insert(&store.expiry, EXPIRY_HEAD, Vec::new());
        batch.insert(&store.logs, LOGS_HEAD, Vec::new());
        batch.insert(&store.meta, META_FORMAT, FORMAT.to_be_bytes());
        batch.insert(&store.meta, META_OPENED, epoch.to_be_bytes());
        batch.insert(&store.meta, META_NUMBERS, self.next_number.to_be_bytes());
        self.write()?;
        self.store
            .db
            .persist(PersistMode::SyncAll)
            .map_err(OfflineError::store("sync"))?;
        if !self.too_many {
            let live = std::mem::take(&mut self.leased);
            let leases = Leases::start(&self.dir, epoch, Found::default(), live)
                .map_err(|kind| super::open_error(&self.dir, kind))?;
            // Closed: the marks are all there are, on whatever machine they are read.
            leases.close().map_err(OfflineError::io("sync the lease marks"))?;
        }
        let dir = self.dir.clone();
        drop(self);
        sync_dir(&dir.join("store"))?;
        sync_dir(&dir)
    }
}
