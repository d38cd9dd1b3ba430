//! The generations of records that a start finds, and the records in them.
//!
//! Invariants: what was marked as dropped is not looked at, only deleted; a keyspace that nobody entered has nothing in
//! it, or the start ends with an error; records are handed on in the order of their numbers, wherever they are.

use crate::bodies::{CAPACITY, Generation};
use crate::config::OpenErrorKind;
use crate::format::{
    GONE_HEAD, GenerationEntry, GenerationState, RECORDS_HEAD, Reader, decode_chunk, decode_chunk_key,
    generation_name, generation_number, numbered_key,
};
use crate::store::Store;
use fjall::{Keyspace, OwnedWriteBatch};
use smsgw_message::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::info;

type Fails<T> = Result<T, OpenErrorKind>;

fn damaged(why: impl Into<String>) -> OpenErrorKind {
    OpenErrorKind::damaged("a generation of records", why)
}

/// Takes the records of a start.
pub(crate) type Take<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Fails<()>;

/// What is entered and there.
#[derive(Debug)]
pub(crate) struct FoundGenerations {
    all: Vec<Arc<Generation>>,
    is_open: bool,
    /// Dropped ones: their entries are still there.
    dropped: Vec<u32>,
    /// Marks that belong to none.
    stale: Vec<[u8; 8]>,
    next_number: u32,
}

/// The entries of generations, by number; those that cannot be read by themselves.
pub(crate) fn entries(store: &Store) -> Fails<BTreeMap<u32, Result<GenerationEntry, &'static str>>> {
    let mut entries = BTreeMap::new();
    for item in store.meta.prefix(b"g") {
        let (key, entry) = item.into_inner().map_err(OpenErrorKind::Store)?;
        let number = key.get(1..).map(|number| Reader(number).u32());
        let Some(Ok(number)) = number else {
            return Err(damaged("the key of an entry is broken"));
        };
        entries.insert(number, GenerationEntry::decode(&entry).map_err(|broken| broken.0));
    }
    Ok(entries)
}

/// The keyspaces of generations, by number.
pub(crate) fn keyspaces(store: &Store) -> Fails<BTreeMap<u32, Keyspace>> {
    let names = store.db.list_keyspace_names();
    let numbers = names.iter().filter_map(|name| generation_number(name));
    numbers
        .map(|number| {
            Ok((
                number,
                store.generation_keyspace(number).map_err(OpenErrorKind::Store)?,
            ))
        })
        .collect()
}

/// Looks for them, finishes what was being dropped, and reads the marks.
pub(crate) fn find(store: &Store) -> Fails<FoundGenerations> {
    let mut keyspaces = keyspaces(store)?;
    let mut found = FoundGenerations {
        all: Vec::new(),
        is_open: false,
        dropped: Vec::new(),
        stale: Vec::new(),
        next_number: 1,
    };
    let highest = keyspaces.keys().next_back().copied().unwrap_or(0);
    found.next_number = highest.saturating_add(1);
    for (number, entry) in entries(store)? {
        found.next_number = found.next_number.max(number.saturating_add(1));
        let entry = entry.map_err(|why| damaged(format!("{}: {why}", generation_name(number))))?;
        let keyspace = keyspaces.remove(&number);
        match (entry.state, keyspace) {
            (GenerationState::Dropped, keyspace) => {
                if let Some(keyspace) = keyspace {
                    store.db.delete_keyspace(keyspace).map_err(OpenErrorKind::Store)?;
                }
                found.dropped.push(number);
            }
            (GenerationState::Open | GenerationState::Sealed, Some(keyspace)) => {
                if found.is_open {
                    return Err(damaged(format!(
                        "{} follows an open one",
                        generation_name(number)
                    )));
                }
                found.is_open = entry.state == GenerationState::Open;
                found
                    .all
                    .push(Arc::new(Generation::new(number, &entry, keyspace)));
            }
            (GenerationState::Open | GenerationState::Sealed, None) => {
                return Err(damaged(format!("{} is missing", generation_name(number))));
            }
        }
    }
    let in_order = |pair: &[Arc<Generation>]| match pair {
        [one, next] => one.end() <= next.first,
        _fewer => true,
    };
    if !found.all.windows(2).all(in_order) {
        return Err(damaged("two of them overlap"));
    }
    for (number, keyspace) in keyspaces {
        // Made for a generation that never began.
        if !keyspace.is_empty().map_err(OpenErrorKind::Store)? {
            return Err(damaged(format!("{} has no entry", generation_name(number))));
        }
        store.db.delete_keyspace(keyspace).map_err(OpenErrorKind::Store)?;
    }
    found.read_marks(store)?;
    Ok(found)
}

impl FoundGenerations {
    fn read_marks(&mut self, store: &Store) -> Fails<()> {
        for item in store.gone.range(..GONE_HEAD) {
            let (key, entry) = item.into_inner().map_err(OpenErrorKind::Store)?;
            let broken = |broken: crate::format::Broken| damaged(broken.0);
            let (number, chunk) = decode_chunk_key(&key).map_err(broken)?;
            match self.all.iter().find(|there| there.number == number) {
                Some(generation) => generation.restore_chunk(chunk, decode_chunk(&entry).map_err(broken)?),
                None => self.stale.extend(<[u8; 8]>::try_from(&*key)),
            }
        }
        Ok(())
    }

    /// The lowest number a new record may have. A generation may begin behind numbers that no record ever got, those of
    /// steps that failed, and then `meta` knows less.
    pub(crate) fn next_record(&self) -> u64 {
        self.all.last().map_or(1, |last| last.first)
    }

    /// Every record that is not gone, in order; counts what is left of each generation.
    pub(crate) fn each_record(&self, store: &Store, next_record: u64, take: Take<'_>) -> Fails<()> {
        let kept = store.records.range(..RECORDS_HEAD);
        let mut kept = kept.map(fjall::Guard::into_inner).peekable();
        // Those of `records` before a number.
        let mut before = |id: u64, take: Take<'_>| -> Fails<()> {
            loop {
                let first = match kept.peek() {
                    Some(Ok((key, _))) => Reader(key).u64().map_err(|broken| damaged(broken.0))?,
                    Some(Err(_)) => 0,
                    None => return Ok(()),
                };
                if first == id && id < u64::MAX {
                    return Err(damaged(format!("record {id} is there twice")));
                }
                if first > id {
                    return Ok(());
                }
                let Some(item) = kept.next() else { return Ok(()) };
                let (_, entry) = item.map_err(OpenErrorKind::Store)?;
                take(first, &entry)?;
            }
        };
        let words = usize::try_from(CAPACITY / 64).unwrap_or_default();
        for generation in &self.all {
            let mut written = 0u64;
            let mut live = vec![0u64; words];
            for item in generation.keyspace.iter() {
                let (key, entry) = item.into_inner().map_err(OpenErrorKind::Store)?;
                let Ok(id) = <[u8; 8]>::try_from(&*key).map(u64::from_be_bytes) else {
                    continue;
                };
                let number = id.checked_sub(generation.first).filter(|_| id < generation.end());
                let number = number.ok_or_else(|| damaged(format!("record {id} is not of it")))?;
                written = written.saturating_add(1);
                if id < generation.from() || generation.is_gone(id) {
                    continue;
                }
                if let Some(word) = usize::try_from(number / 64)
                    .ok()
                    .and_then(|word| live.get_mut(word))
                {
                    *word |= 1 << (number % 64);
                }
                before(id, take)?;
                take(id, &entry)?;
            }
            generation.restored(&live, next_record, written);
        }
        before(u64::MAX, take)
    }

    /// What the committer goes on with: there is an open generation, and nothing is left of dropped ones.
    pub(crate) fn go_on(
        mut self,
        store: &Store,
        next_record: u64,
        now: Timestamp,
        batch: &mut OwnedWriteBatch,
    ) -> Fails<u32> {
        for number in &self.dropped {
            batch.remove(&store.meta, numbered_key(b'g', *number));
        }
        if !self.stale.is_empty() {
            batch.insert(&store.gone, GONE_HEAD, Vec::new());
        }
        for key in &self.stale {
            batch.remove(&store.gone, *key);
        }
        if !self.is_open {
            let number = self.next_number;
            self.next_number = number.saturating_add(1);
            let keyspace = store.generation_keyspace(number).map_err(OpenErrorKind::Store)?;
            let entry = GenerationEntry {
                state: GenerationState::Open,
                first: next_record,
                end: next_record.saturating_add(CAPACITY),
                from: next_record,
                began: now,
            };
            batch.insert(&store.meta, numbered_key(b'g', number), entry.encode());
            self.all.push(Arc::new(Generation::new(number, &entry, keyspace)));
        }
        info!(
            generations = self.all.len(),
            dropped = self.dropped.len(),
            "generations of records"
        );
        store.bodies.set(self.all.into());
        Ok(self.next_number)
    }
}
