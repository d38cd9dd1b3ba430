//! Values of state in memory: what was read or written lately, as of the last group that is durable.
//!
//! Invariants: a reader sees all of a step or nothing of it, because what is not here is read from the snapshot of the
//! same moment; a value that is here is the newest durable one (a reader's late find never replaces what was written
//! since); what is young (young.rs) is here; never more than the budget and what is young. No call does work for more than it
//! brings, since the whole of the gateway waits for whoever has the lock.
//!
//! # Limits
//! Slab and index double when they are full, until the budget is reached: some milliseconds each time. An index from which much was
//! deleted is ordered anew, in less.

use crate::format::Value;
use crate::lock;
use fjall::Snapshot;
use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use smsgw_queue::StateKey;
use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

/// Where a value has its slot, for as long as it is young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// So many that were used are spared before one is dropped all the same.
const SPARED: usize = 8;

struct Slot {
    key: StateKey,
    /// `None`: the key is known to be absent.
    value: Option<Arc<Value>>,
    /// Asked for since it is at its place and the hand of the clock was here.
    used: bool,
    /// The publication that wrote it; 0 for one that was read.
    published: u64,
    /// The young group that has it; 0 when it is at its place.
    young: u64,
    trace: Trace,
    /// It is in `order`. One that is young need not be.
    in_order: bool,
}

/// An entry of the index. With the hash in it, the index grows without a look at the slots.
struct Named {
    hash: u64,
    place: usize,
}

/// What is at the places of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Something may be in `state` under its key.
    pub(crate) on_disk: bool,
    /// Its entry is in `expiry`.
    pub(crate) reminded: bool,
}

impl Trace {
    /// Of a value that is at its place.
    fn settled(value: Option<&Value>) -> Self {
        Self {
            on_disk: value.is_some(),
            reminded: value.is_some_and(|value| value.due().is_some()),
        }
    }
}

/// A value of a young group.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) key: StateKey,
    pub(crate) value: Option<Arc<Value>>,
    pub(crate) trace: Trace,
}

struct Inner {
    index: HashTable<Named>,
    /// Seeded: clients choose some of the keys, and who could choose their hashes could make each look a long one.
    hasher: DefaultHashBuilder,
    slots: Slab<Slot>,
    /// Every slot that is not young, once: the clock's face.
    order: VecDeque<usize>,
    octets: usize,
    publications: u64,
    /// The newest publication of which a slot was dropped.
    dropped: u64,
    snapshot: Arc<Snapshot>,
}

/// A value that was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Here(Option<Arc<Value>>),
    /// To be looked up in the snapshot.
    Unknown,
}

/// The moment of a look.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) snapshot: Arc<Snapshot>,
    publications: u64,
}

pub(crate) struct Values {
    inner: Mutex<Inner>,
    budget: usize,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

fn cost(key: &StateKey, value: Option<&Arc<Value>>) -> usize {
    // Key, value, and about what slots, clock and allocator need for them.
    let octets = value.map_or(0, |value| value.octets.len());
    key.as_str().len().saturating_add(octets).saturating_add(224)
}

impl Values {
    pub(crate) fn new(budget: u64, snapshot: Snapshot) -> Self {
        let inner = Inner {
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            slots: Slab::new(),
            order: VecDeque::new(),
            octets: 0,
            publications: 0,
            dropped: 0,
            snapshot: Arc::new(snapshot),
        };
        Self {
            inner: Mutex::new(inner),
            budget: usize::try_from(budget).unwrap_or(usize::MAX),
        }
    }

    /// What is here of these, and the moment that it and the snapshot are of.
    pub(crate) fn get(&self, keys: &[StateKey]) -> (Vec<Cached>, Seen) {
        let mut inner = lock(&self.inner);
        let found = keys.iter().map(|key| inner.look(key)).collect();
        (
            found,
            Seen {
                snapshot: inner.snapshot.clone(),
                publications: inner.publications,
            },
        )
    }

    /// What is here of one key, for the committer, whose view is always the newest.
    pub(crate) fn peek(&self, key: &StateKey) -> Cached {
        lock(&self.inner).look(key)
    }

    /// What a reader found in the snapshot it got.
    pub(crate) fn found(&self, found: impl Iterator<Item = (StateKey, Option<Arc<Value>>)>, seen: &Seen) {
        let mut inner = lock(&self.inner);
        // Something written after the look may have been here and gone again.
        if inner.dropped > seen.publications {
            return;
        }
        for (key, value) in found {
            if inner.find(&key).is_none() {
                inner.set(key, value);
            }
        }
        inner.shrink(self.budget);
    }

    /// What the committer found: no group is between its look and this.
    pub(crate) fn found_now(&self, key: &StateKey, value: Option<Arc<Value>>) {
        let mut inner = lock(&self.inner);
        inner.set(key.clone(), value);
        inner.shrink(self.budget);
    }

    /// What is here of one key, and what is at its places.
    pub(crate) fn trace(&self, key: &StateKey) -> Option<(Option<Arc<Value>>, Trace)> {
        let inner = lock(&self.inner);
        inner.find(key).map(|slot| (slot.value.clone(), slot.trace))
    }

    /// What of these a young group still has: nobody wrote them since.
    pub(crate) fn young_of(&self, group: u64, places: &[Place]) -> Vec<Written> {
        let inner = lock(&self.inner);
        let still = places.iter().filter_map(|place| {
            let slot = inner.slots.get(place.0).filter(|slot| slot.young == group)?;
            Some(Written {
                key: slot.key.clone(),
                value: slot.value.clone(),
                trace: slot.trace,
            })
        });
        still.collect()
    }

    /// A young group is durable: these are the values now, and this is the store. What other young groups still had of `left`
    /// is at its place with it. Tells where those that were written are.
    pub(crate) fn publish<'a>(
        &self,
        group: u64,
        written: Vec<Written>,
        left: impl Iterator<Item = (u64, &'a [Place])>,
        snapshot: Snapshot,
    ) -> Vec<Place> {
        let mut inner = lock(&self.inner);
        inner.publications = inner.publications.saturating_add(1);
        let publication = inner.publications;
        let places = written
            .into_iter()
            .map(|Written { key, value, trace }| inner.put(key, value, publication, group, trace))
            .collect();
        for (left, places) in left {
            for place in places {
                inner.grow_up(*place, left);
            }
        }
        let old = std::mem::replace(&mut inner.snapshot, Arc::new(snapshot));
        inner.shrink(self.budget);
        drop(inner);
        drop(old);
        places
    }
}

impl Inner {
    fn hash(&self, key: &StateKey) -> u64 {
        self.hasher.hash_one(key)
    }

    fn place(&self, hash: u64, key: &StateKey) -> Option<usize> {
        let is_it = |named: &Named| {
            named.hash == hash && self.slots.get(named.place).is_some_and(|slot| slot.key == *key)
        };
        self.index.find(hash, is_it).map(|named| named.place)
    }

    fn find(&self, key: &StateKey) -> Option<&Slot> {
        self.slots.get(self.place(self.hash(key), key)?)
    }

    fn look(&mut self, key: &StateKey) -> Cached {
        let place = self.place(self.hash(key), key);
        match place.and_then(|place| self.slots.get_mut(place)) {
            Some(slot) => {
                slot.used = true;
                Cached::Here(slot.value.clone())
            }
            None => Cached::Unknown,
        }
    }

    /// What was read.
    fn set(&mut self, key: StateKey, value: Option<Arc<Value>>) {
        let trace = Trace::settled(value.as_deref());
        self.put(key, value, 0, 0, trace);
    }

    fn put(
        &mut self,
        key: StateKey,
        value: Option<Arc<Value>>,
        published: u64,
        young: u64,
        trace: Trace,
    ) -> Place {
        let new = cost(&key, value.as_ref());
        self.octets = self.octets.saturating_add(new);
        let hash = self.hash(&key);
        let known = self.place(hash, &key);
        if let Some(place) = known
            && let Some(slot) = self.slots.get_mut(place)
        {
            self.octets = self.octets.saturating_sub(cost(&key, slot.value.as_ref()));
            slot.published = slot.published.max(published);
            slot.value = value;
            slot.young = young;
            slot.trace = trace;
            return Place(place);
        }
        let in_order = young == 0;
        let place = self.slots.insert(Slot {
            key,
            value,
            used: false,
            published,
            young,
            trace,
            in_order,
        });
        self.index
            .insert_unique(hash, Named { hash, place }, |named| named.hash);
        if in_order {
            self.order.push_back(place);
        }
        Place(place)
    }

    /// What the young group still has there is at its place. Most of it nobody asks for again, however often that was while it
    /// was young.
    fn grow_up(&mut self, place: Place, group: u64) {
        let Some(slot) = self.slots.get_mut(place.0).filter(|slot| slot.young == group) else {
            return;
        };
        slot.young = 0;
        slot.used = false;
        slot.trace = Trace::settled(slot.value.as_deref());
        if !std::mem::replace(&mut slot.in_order, true) {
            self.order.push_back(place.0);
        }
    }

    /// Second chance: who was asked for since the last round stays for another, unless too many before it were.
    fn shrink(&mut self, budget: usize) {
        let mut spared = 0;
        while self.octets > budget
            && let Some(place) = self.order.pop_front()
        {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            if slot.young > 0 {
                slot.in_order = false;
                continue;
            }
            if std::mem::take(&mut slot.used) && spared < SPARED {
                spared += 1;
                self.order.push_back(place);
                continue;
            }
            spared = 0;
            let Slot {
                key,
                value,
                published,
                ..
            } = self.slots.remove(place);
            self.dropped = self.dropped.max(published);
            self.octets = self.octets.saturating_sub(cost(&key, value.as_ref()));
            let hash = self.hash(&key);
            if let Ok(named) = self.index.find_entry(hash, |named| named.place == place) {
                named.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use smsgw_queue::{Expiry, StepId};
    use std::collections::HashMap;
    use tempfile::TempDir;

    /// With room for so many values of [`value`].
    fn values(room: usize) -> (Values, fjall::Database, TempDir) {
        let dir = TempDir::new().unwrap();
        let db = fjall::Database::builder(dir.path()).open().unwrap();
        let budget = room * cost(&key(10), Some(&value(0)));
        let values = Values::new(u64::try_from(budget).unwrap(), db.snapshot());
        (values, db, dir)
    }

    fn key(n: usize) -> StateKey {
        StateKey::from(format!("test/{n:06}"))
    }

    fn value(version: u64) -> Arc<Value> {
        Arc::new(Value {
            version,
            entry: 0,
            step: StepId::from_bytes([0; 16]),
            expiry: Expiry::Owner,
            octets: Bytes::from_static(&[7; 100]),
        })
    }

    fn written(n: usize, version: u64) -> Written {
        let trace = Trace {
            on_disk: false,
            reminded: false,
        };
        Written {
            key: key(n),
            value: Some(value(version)),
            trace,
        }
    }

    fn is_here(values: &Values, n: usize) -> bool {
        values.trace(&key(n)).is_some()
    }

    #[test]
    fn what_is_young_stays_and_what_grew_up_goes_in_turn() {
        let (values, db, _dir) = values(3);
        let first = values.publish(
            1,
            (0..5).map(|n| written(n, 1)).collect(),
            std::iter::empty(),
            db.snapshot(),
        );
        assert!((0..5).all(|n| is_here(&values, n)), "above the budget, but young");
        // Asked for in its youth: no reason to stay.
        assert!(matches!(values.peek(&key(0)), Cached::Here(Some(_))));
        // One of them is written once more meanwhile.
        let second = values.publish(2, vec![written(1, 2)], std::iter::empty(), db.snapshot());
        assert_eq!(second, first[1..2], "a key has one slot");
        let left = [(1, first.as_slice())].into_iter();
        assert_eq!(values.young_of(1, &first).len(), 4);
        values.publish(3, Vec::new(), left, db.snapshot());
        let here: Vec<usize> = (0..5).filter(|n| is_here(&values, *n)).collect();
        assert_eq!(here, [1, 3, 4]);
        assert_eq!(values.young_of(2, &second).len(), 1, "it is young anew");
    }

    #[test]
    fn what_was_asked_for_is_spared_but_not_by_who_would_pass_over_all_of_it() {
        let room = 1000;
        let (values, db, _dir) = values(room);
        let all = (0..room).map(|n| written(n, 1)).collect();
        let places = values.publish(1, all, std::iter::empty(), db.snapshot());
        values.publish(2, Vec::new(), [(1, places.as_slice())].into_iter(), db.snapshot());
        let used = |values: &Values| {
            let inner = lock(&values.inner);
            inner.slots.iter().filter(|(_, slot)| slot.used).count()
        };
        values.peek(&key(0));
        values.found_now(&key(room), Some(value(1)));
        assert!(is_here(&values, 0) && !is_here(&values, 1), "a second chance");
        for n in 2..room {
            values.peek(&key(n));
        }
        let before = used(&values);
        values.found_now(&key(room + 1), Some(value(1)));
        assert_eq!(before - used(&values), SPARED + 1);
        assert_eq!((0..room).filter(|n| is_here(&values, *n)).count(), room - 2);
    }

    #[test]
    fn who_knows_a_key_does_not_know_its_hash() {
        let hashes = [(); 2].map(|()| {
            let (values, _db, _dir) = values(1);
            lock(&values.inner).hash(&key(1))
        });
        assert_ne!(hashes[0], hashes[1], "of two tables");
    }

    #[derive(Debug, Clone)]
    enum Act {
        Write(Vec<usize>),
        Leave,
        Read(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            vec(0..40_usize, 0..8).prop_map(Act::Write),
            Just(Act::Leave),
            (0..40_usize).prop_map(Act::Read),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever happens: who is here is the newest, the young are here, and the rest is within the budget.
        #[test]
        fn the_newest_or_nothing(acts in vec(act(), 1..120)) {
            let (values, db, _dir) = values(12);
            let mut newest: HashMap<usize, (u64, u64)> = HashMap::new();
            let mut groups: VecDeque<(u64, Vec<Place>)> = VecDeque::new();
            for (number, act) in (1..).zip(acts) {
                match act {
                    Act::Write(mut keys) => {
                        keys.sort_unstable();
                        keys.dedup();
                        newest.extend(keys.iter().map(|n| (*n, (number, number))));
                        let new = keys.iter().map(|n| written(*n, number)).collect();
                        let places = values.publish(number, new, std::iter::empty(), db.snapshot());
                        groups.push_back((number, places));
                    }
                    Act::Leave => if let Some((group, places)) = groups.pop_front() {
                        for Written { key, value, .. } in values.young_of(group, &places) {
                            let n: usize = key.as_str()[5..].parse().unwrap();
                            let (version, young) = newest[&n];
                            prop_assert_eq!((value.unwrap().version, young), (version, group));
                        }
                        newest.values_mut().filter(|(_, young)| *young == group).for_each(|(_, young)| *young = 0);
                        values.publish(number, Vec::new(), [(group, places.as_slice())].into_iter(), db.snapshot());
                    },
                    Act::Read(n) => match values.peek(&key(n)) {
                        Cached::Here(found) => {
                            let version = found.map(|value| value.version);
                            prop_assert_eq!(version, newest.get(&n).map(|(version, _)| *version));
                        }
                        // What a committer would find at its place.
                        Cached::Unknown => {
                            let there = newest.get(&n);
                            prop_assert!(there.is_none_or(|(_, young)| *young == 0));
                            values.found_now(&key(n), there.map(|(version, _)| value(*version)));
                        }
                    },
                }
                let inner = lock(&values.inner);
                let cost_of = |slot: &Slot| cost(&slot.key, slot.value.as_ref());
                let young: usize = inner.slots.iter().filter(|(_, slot)| slot.young > 0).map(|(_, slot)| cost_of(slot)).sum();
                let all: usize = inner.slots.iter().map(|(_, slot)| cost_of(slot)).sum();
                prop_assert_eq!(all, inner.octets);
                prop_assert!(all <= values.budget + young);
                prop_assert_eq!(inner.index.len(), inner.slots.len());
                let in_order = inner.slots.iter().filter(|(_, slot)| slot.in_order).count();
                prop_assert_eq!(inner.order.len(), in_order);
                prop_assert!(inner.slots.iter().all(|(_, slot)| slot.in_order || slot.young > 0));
            }
        }
    }
}
