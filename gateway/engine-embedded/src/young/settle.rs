//! What a start does before anything else: what is in `young` goes to its place.
//!
//! Knows no queue. Invariant: entries of `young` are deleted last and all at once, so a start that is killed is done again; nothing
//! is put elsewhere because its place is not found.

use crate::config::OpenErrorKind;
use crate::format::young::Decoded;
use crate::format::{
    Broken, EXPIRY_HEAD, GenerationEntry, GenerationState, META_NEXT, RECORDS_HEAD, Reader, STATE_HEAD,
    Value, YOUNG_HEAD, expiry_key, generation_name, state_key,
};
use crate::generations;
use crate::store::Store;
use crate::walk::{Next, Walk};
use fjall::{Keyspace, OwnedWriteBatch, PersistMode};
use std::collections::BTreeMap;
use tracing::info;

/// Puts what is in `young` to its place, as every start does before anything else. Returns the number of the next group and
/// what of `young` cannot be read: then nothing is done, unless all that can be read is wanted, whatever is missing. Done
/// again after a crash in between, it does the same.
pub(crate) fn settle(store: &Store, whatever_is_missing: bool) -> Result<(u64, Vec<String>), OpenErrorKind> {
    let head = store.young.get(YOUNG_HEAD).map_err(OpenErrorKind::Store)?;
    let head = head.map(|entry| Reader(&entry).u64());
    let mut broken = Vec::new();
    let mut groups = Vec::new();
    let mut found = Found::default();
    let mut walk = Walk::new(&store.young, &[], &YOUNG_HEAD);
    while let Some(next) = walk.next() {
        match next {
            Next::Entry(key, entry) => {
                let read = Reader(&key).u64().and_then(|number| {
                    found.add(&Decoded::of(&entry)?)?;
                    Ok(number)
                });
                match read {
                    Ok(number) => groups.push(number),
                    Err(why) => broken.push(why.0.to_owned()),
                }
            }
            Next::Gap { why, .. } => broken.push(why),
        }
    }
    let next = match head {
        Some(Ok(next)) => next,
        Some(Err(why)) => {
            broken.push(why.0.to_owned());
            1
        }
        None => 1,
    };
    let next = groups
        .last()
        .map_or(next, |last| next.max(last.saturating_add(1)));
    if groups.is_empty() {
        return Ok((next, broken));
    }
    let homes = Homes::of(store)?;
    broken.extend(homes.missing.iter().cloned());
    if broken.is_empty() || whatever_is_missing {
        found.write(store, &homes)?;
        let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
        for number in &groups {
            batch.remove_weak(&store.young, number.to_be_bytes());
        }
        batch.insert(&store.young, YOUNG_HEAD, next.to_be_bytes());
        batch.commit().map_err(OpenErrorKind::Store)?;
        info!(
            groups = groups.len(),
            records = found.records.len(),
            values = found.values.len(),
            "what was young is at its place"
        );
    }
    Ok((next, broken))
}

/// What young groups come to, one after the other.
#[derive(Debug, Default)]
struct Found {
    next_version: u64,
    records: BTreeMap<u64, Vec<u8>>,
    values: BTreeMap<String, Option<Vec<u8>>>,
}

impl Found {
    fn add(&mut self, group: &Decoded<'_>) -> Result<(), Broken> {
        for (_, value) in &group.values {
            value.map(Value::decode).transpose()?;
        }
        self.next_version = self.next_version.max(group.next_version);
        let records = group.records.iter();
        self.records
            .extend(records.map(|(id, entry)| (*id, entry.to_vec())));
        for id in &group.gone {
            self.records.remove(id);
        }
        let values = group.values.iter();
        self.values
            .extend(values.map(|(key, value)| ((*key).to_owned(), value.map(<[u8]>::to_vec))));
        Ok(())
    }

    fn write(&self, store: &Store, homes: &Homes) -> Result<(), OpenErrorKind> {
        let head = |keyspace: &Keyspace, key: &[u8]| -> Result<u64, OpenErrorKind> {
            let entry = keyspace.get(key).map_err(OpenErrorKind::Store)?;
            let number = entry.map_or(Ok(1), |entry| Reader(&entry).u64());
            number.map_err(|broken| OpenErrorKind::damaged("a high-water mark", broken.0))
        };
        let next_version = self.next_version.max(head(&store.state, &STATE_HEAD)?);
        let next_record = head(&store.meta, META_NEXT)?.max(head(&store.records, &RECORDS_HEAD)?);
        let batch = |batch: OwnedWriteBatch| batch.commit().map_err(OpenErrorKind::Store);
        let mut kept = false;
        for (id, entry) in &self.records {
            let mut one = store.db.batch();
            match homes.home(*id) {
                Some(keyspace) => one.insert(keyspace, id.to_be_bytes(), entry.as_slice()),
                // One that was written twice would outlive its deletion.
                None if store
                    .records
                    .contains_key(id.to_be_bytes())
                    .map_err(OpenErrorKind::Store)? => {}
                None => {
                    one.insert(&store.records, id.to_be_bytes(), entry.as_slice());
                    kept = true;
                }
            }
            batch(one)?;
        }
        for (key, value) in &self.values {
            let mut one = store.db.batch();
            match value {
                Some(octets) => {
                    let value = Value::decode(octets)
                        .map_err(|broken| OpenErrorKind::damaged("a value", broken.0))?;
                    if let Some(due) = value.due() {
                        one.insert(&store.expiry, expiry_key(due, value.entry, key), Vec::new());
                    }
                    one.insert(&store.state, state_key(key), octets.as_slice());
                }
                None => one.remove(&store.state, state_key(key)),
            }
            batch(one)?;
        }
        let mut heads = store.db.batch();
        if kept {
            heads.insert(&store.records, RECORDS_HEAD, next_record.to_be_bytes());
        }
        heads.insert(&store.state, STATE_HEAD, next_version.to_be_bytes());
        heads.insert(&store.expiry, EXPIRY_HEAD, Vec::new());
        batch(heads)
    }
}

/// The generations that take records.
struct Homes {
    all: Vec<(GenerationEntry, Keyspace)>,
    /// What is not known of them. A record that is put beside its generation for it would come back once it is settled.
    missing: Vec<String>,
}

impl Homes {
    fn of(store: &Store) -> Result<Self, OpenErrorKind> {
        let mut keyspaces = generations::keyspaces(store)?;
        let mut homes = Self {
            all: Vec::new(),
            missing: Vec::new(),
        };
        let entries = generations::entries(store).unwrap_or_else(|why| {
            homes.missing.push(why.to_string());
            BTreeMap::new()
        });
        for (number, entry) in entries {
            match (entry, keyspaces.remove(&number)) {
                (Ok(entry), _) if entry.state == GenerationState::Dropped => {}
                (Ok(entry), Some(keyspace)) => homes.all.push((entry, keyspace)),
                (Ok(_) | Err(_), _) => homes.missing.push(generation_name(number)),
            }
        }
        Ok(homes)
    }

    fn home(&self, id: u64) -> Option<&Keyspace> {
        let home = self
            .all
            .iter()
            .find(|(entry, _)| (entry.first.max(entry.from)..entry.end).contains(&id));
        home.map(|(_, keyspace)| keyspace)
    }
}
