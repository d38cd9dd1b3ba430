//! The fjall database of an engine: its keyspaces, how they are tuned, and reading from them.
//!
//! Knows the format of entries, no queue. Invariant: readers see only what is durable, because fjall puts a batch into
//! its memory tables after the sync of the journal (`durability(SyncData)`), never before.
//!
//! # Limits
//! Journals take up to `max_journals` plus 64 MiB for the active one and one that is being sealed.

use crate::bodies::Bodies;
use crate::config::{EmbeddedConfig, OpenErrorKind};
use crate::format::block::Block;
use crate::format::{
    FORMAT, META_FORMAT, OLDEST_FORMAT, Reader, Value, block_key, decode_block_key, expiry_from, state_key,
};
use crate::lock::DirLock;
use crate::pace::Debt;
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{CompressionPolicy, FilterPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use smsgw_message::Timestamp;
use smsgw_queue::{Entry, Position, StateKey};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const MIB: u64 = 1024 * 1024;

/// All that lies in the directory. The lock goes last.
pub(crate) struct Store {
    pub(crate) meta: Keyspace,
    /// What the last groups wrote.
    pub(crate) young: Keyspace,
    /// The generations of records; empty until recovery found them.
    pub(crate) bodies: Bodies,
    pub(crate) gone: Keyspace,
    /// Records that their generation did not keep.
    pub(crate) records: Keyspace,
    pub(crate) moves: Keyspace,
    pub(crate) state: Keyspace,
    pub(crate) expiry: Keyspace,
    pub(crate) logs: Keyspace,
    pub(crate) write_buffer: u64,
    pub(crate) db: Database,
    _lock: Arc<DirLock>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Records that were read.
#[derive(Debug)]
pub(crate) struct Read {
    /// In the order asked.
    pub(crate) records: Vec<Bytes>,
    /// Others of the queue.
    pub(crate) ahead: Vec<(u64, Bytes)>,
}

/// A read that failed, in words.
pub(crate) type ReadResult<T> = Result<T, String>;

fn say(error: fjall::Error) -> String {
    in_words(&error)
}

/// What the library says, without the names of its types where the operating system has the last word.
pub(crate) fn in_words(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(source) => source.to_string(),
        other => other.to_string(),
    }
}

fn broken(what: &'static str) -> impl Fn(crate::format::Broken) -> String {
    move |broken| format!("{what}: {}", broken.0)
}

/// What was made or moved in a directory survives a power cut.
fn sync_directory(path: &Path) -> Result<(), OpenErrorKind> {
    let synced = fs::File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(OpenErrorKind::io("sync a directory"))
}

impl Store {
    pub(crate) fn open(
        config: &EmbeddedConfig,
        lock: impl Into<Arc<DirLock>>,
    ) -> Result<Self, OpenErrorKind> {
        let path = config.dir.join("store");
        if !path
            .try_exists()
            .map_err(OpenErrorKind::io("look for the store"))?
        {
            Self::make(&path, config)?;
        }
        crate::journal::check(&path)?;
        let (db, keyspaces) = Self::open_checked(&path, config)?;
        let [meta, young, gone, records, moves, state, expiry, logs] = keyspaces;
        let store = Self {
            meta,
            young,
            bodies: Bodies::default(),
            gone,
            records,
            moves,
            state,
            expiry,
            logs,
            write_buffer: config.write_buffer.max(MIB),
            db,
            _lock: lock.into(),
        };
        match store.meta.get(META_FORMAT).map_err(OpenErrorKind::Store)? {
            None => {}
            Some(found) => match Reader(&found).u32() {
                Ok(OLDEST_FORMAT..=FORMAT) => {}
                Ok(found) => return Err(OpenErrorKind::Newer { found, known: FORMAT }),
                Err(broken) => return Err(OpenErrorKind::damaged("the format version", broken.0)),
            },
        }
        Ok(store)
    }

    /// Makes an empty store beside its place and moves it there whole: fjall does not open what it was killed in the
    /// middle of making.
    fn make(path: &Path, config: &EmbeddedConfig) -> Result<(), OpenErrorKind> {
        let io = OpenErrorKind::io;
        let unfinished = path.with_extension("new");
        // Left by a process that did not get as far as the move: nothing was ever kept in it.
        if unfinished
            .try_exists()
            .map_err(io("look for an unfinished store"))?
        {
            fs::remove_dir_all(&unfinished).map_err(io("remove an unfinished store"))?;
        }
        let (db, keyspaces) = Self::open_checked(&unfinished, config)?;
        db.persist(PersistMode::SyncAll).map_err(OpenErrorKind::Store)?;
        drop((keyspaces, db));
        sync_directory(&unfinished)?;
        fs::rename(&unfinished, path).map_err(io("move the new store to its place"))?;
        sync_directory(&config.dir)
    }

    /// fjall trusts its own files in places: what it finds damaged may end in a panic of its, not of ours.
    fn open_checked(
        path: &Path,
        config: &EmbeddedConfig,
    ) -> Result<(Database, [Keyspace; 8]), OpenErrorKind> {
        match std::panic::catch_unwind(|| Self::open_database(path, config)) {
            Ok(opened) => opened,
            Err(panic) => Err(OpenErrorKind::damaged("the store", panic_text(panic.as_ref()))),
        }
    }

    fn open_database(
        path: &Path,
        config: &EmbeddedConfig,
    ) -> Result<(Database, [Keyspace; 8]), OpenErrorKind> {
        let db = Database::builder(path)
            .cache_size(config.block_cache)
            .max_journaling_size(config.max_journals.max(64 * MIB))
            .manual_journal_persist(true)
            // One of them does nothing but write tables, and spins while merges wait that nobody is free for. Merges of
            // several keyspaces wait at once.
            .worker_threads(4)
            .max_cached_files(Some(256))
            .open()
            .map_err(OpenErrorKind::Store)?;
        let buffer = config.write_buffer.max(MIB);
        // fjall keeps what a keyspace was made with: a directory that is older than a change here keeps its own.
        let keyspace = |name: &str, buffer: u64, misses: bool| {
            db.keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .manual_journal_persist(true)
                    .max_memtable_size(buffer)
                    // Small tables: what a queue leaves behind is soon merged away, not carried along. And fjall writes and
                    // syncs the last table of a merge under the lock that the committer needs.
                    .compaction_strategy(Arc::new(
                        Leveled::default()
                            .with_table_target_size(8 * MIB)
                            .with_level_ratio_policy(vec![20.0, 10.0]),
                    ))
                    .expect_point_read_hits(!misses)
            })
            .map_err(OpenErrorKind::Store)
        };
        let small = (buffer / 4).max(MIB);
        let keyspaces = [
            // Every group that publishes writes the next number here.
            keyspace("meta", 4 * MIB, false)?,
            // Entries live for some seconds; those that end before their table is written are not written at all.
            keyspace("young", buffer.saturating_mul(4), false)?,
            keyspace("gone", small, false)?,
            keyspace("records", buffer, false)?,
            keyspace("moves", small, false)?,
            // Most compares ask for keys that are not there. What is overwritten before its table is written costs nothing but
            // the journal.
            keyspace("state", buffer.saturating_mul(4), true)?,
            keyspace("expiry", buffer.saturating_mul(2), false)?,
            keyspace("logs", buffer, false)?,
        ];
        Ok((db, keyspaces))
    }

    /// Read in long runs, and never asked for what is not there.
    pub(crate) fn generation_options(write_buffer: u64) -> KeyspaceCreateOptions {
        KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(write_buffer)
            .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(16 * MIB)))
            .data_block_compression_policy(CompressionPolicy::disabled())
            .filter_policy(FilterPolicy::disabled())
            .expect_point_read_hits(true)
    }

    /// All keyspaces but those of generations.
    pub(crate) fn keyspaces(&self) -> [&Keyspace; 8] {
        [
            &self.young,
            &self.gone,
            &self.records,
            &self.state,
            &self.logs,
            &self.moves,
            &self.expiry,
            &self.meta,
        ]
    }

    /// The most that one keyspace has outstanding.
    pub(crate) fn debt(&self) -> Debt {
        let all = self.bodies.all();
        // Older generations are not written to.
        let open = all.iter().rev().take(2).map(|generation| &generation.keyspace);
        self.keyspaces()
            .into_iter()
            .chain(open)
            .fold(Debt::default(), |most, keyspace| {
                most.most(Debt {
                    sealed: keyspace.sealed_memtable_count(),
                    unmerged: keyspace.l0_table_count(),
                })
            })
    }

    /// The newest value of a key; expired ones too.
    pub(crate) fn value(&self, key: &StateKey) -> ReadResult<Option<Arc<Value>>> {
        decode_value(self.state.get(state_key(key.as_str())))
    }

    /// The value of a key at a moment.
    pub(crate) fn value_at(&self, snapshot: &Snapshot, key: &StateKey) -> ReadResult<Option<Arc<Value>>> {
        decode_value(snapshot.get(&self.state, state_key(key.as_str())))
    }

    /// Entries of a log from a position on, before `end`. Empty when they were trimmed meanwhile.
    pub(crate) fn entries(&self, log: u32, from: u64, end: u64, max: usize) -> ReadResult<Vec<Entry>> {
        // The block that `from` is in begins at or before it.
        let last = self
            .logs
            .range(block_key(log, 0)..=block_key(log, from))
            .next_back();
        let begin = match last {
            Some(found) => {
                decode_block_key(&found.key().map_err(say)?)
                    .map_err(broken("a log is damaged"))?
                    .1
            }
            None => from,
        };
        let mut entries = Vec::new();
        for item in self.logs.range(block_key(log, begin)..block_key(log, end)) {
            let (key, block) = item.into_inner().map_err(say)?;
            let (_, first) = decode_block_key(&key).map_err(broken("a log is damaged"))?;
            let block = Block::decode(Bytes::copy_from_slice(&block)).map_err(broken("a log is damaged"))?;
            let begin = first.max(from);
            for (position, record) in (begin..end).zip(block.from(begin.saturating_sub(first))) {
                if entries.len() == max {
                    return Ok(entries);
                }
                entries.push(Entry {
                    position: Position(position),
                    record,
                });
            }
        }
        Ok(entries)
    }

    /// First positions of blocks of a log from `floor` on that lie before `end`.
    pub(crate) fn blocks(&self, log: u32, floor: u64, end: u64, max: usize) -> ReadResult<Vec<u64>> {
        let keys = self
            .logs
            .range(block_key(log, floor)..block_key(log, end))
            .take(max);
        keys.map(|item| {
            let key = item.key().map_err(say)?;
            Ok(decode_block_key(&key).map_err(broken("a log is damaged"))?.1)
        })
        .collect()
    }

    /// Keys of entries of `expiry` from a time on, up to and with another; at most `max`.
    pub(crate) fn due(&self, from: Timestamp, to: Timestamp, max: usize) -> ReadResult<Vec<fjall::UserKey>> {
        let range =
            expiry_from(from).to_vec()..expiry_from(to.after(std::time::Duration::from_millis(1))).to_vec();
        self.expiry
            .range(range)
            .take(max)
            .map(|item| item.key().map_err(say))
            .collect()
    }

    /// The first entry of `expiry` from a time on.
    pub(crate) fn first_due(&self, from: Timestamp) -> ReadResult<Option<fjall::UserKey>> {
        let mut entries = self
            .expiry
            .range(expiry_from(from).to_vec()..crate::format::EXPIRY_HEAD.to_vec());
        entries.next().map(|item| item.key().map_err(say)).transpose()
    }
}

fn decode_value(entry: fjall::Result<Option<fjall::UserValue>>) -> ReadResult<Option<Arc<Value>>> {
    let Some(entry) = entry.map_err(say)? else {
        return Ok(None);
    };
    let value = Value::decode(&entry).map_err(broken("a value is damaged"))?;
    Ok(Some(Arc::new(value)))
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}
