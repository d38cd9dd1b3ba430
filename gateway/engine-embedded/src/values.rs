//! Values of state in memory: what was read or written lately, as of the last group that is durable.
//!
//! Invariants: a reader sees all of a step or nothing of it, because what is not here is read from the snapshot of the
//! same moment; a value that is here is the newest durable one (a reader's late find never replaces what was written
//! since); what is young (young.rs) is here; never more than the budget and what is young.

use crate::format::Value;
use crate::lock;
use fjall::Snapshot;
use rustc_hash::FxHashMap;
use smsgw_queue::StateKey;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

struct Slot {
    /// `None`: the key is known to be absent.
    value: Option<Arc<Value>>,
    /// Asked for since the hand of the clock was here.
    used: bool,
    /// The publication that wrote it; 0 for one that was read.
    published: u64,
    /// The young group that has it; 0 when it is at its place.
    young: u64,
    trace: Trace,
    /// Its key is in `order`. One that is young need not be.
    in_order: bool,
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
    slots: FxHashMap<StateKey, Slot>,
    /// Every key of `slots` that is not young, once: the clock's face.
    order: VecDeque<StateKey>,
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
            slots: FxHashMap::default(),
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
            if !inner.slots.contains_key(&key) {
                inner.set(key, value, 0);
            }
        }
        inner.shrink(self.budget);
    }

    /// What the committer found: no group is between its look and this.
    pub(crate) fn found_now(&self, key: &StateKey, value: Option<Arc<Value>>) {
        let mut inner = lock(&self.inner);
        inner.set(key.clone(), value, 0);
        inner.shrink(self.budget);
    }

    /// What is here of one key, and what is at its places.
    pub(crate) fn trace(&self, key: &StateKey) -> Option<(Option<Arc<Value>>, Trace)> {
        let inner = lock(&self.inner);
        inner.slots.get(key).map(|slot| (slot.value.clone(), slot.trace))
    }

    /// What of these keys a young group still has: nobody wrote them since.
    pub(crate) fn young_of(&self, group: u64, keys: &[StateKey]) -> Vec<Written> {
        let inner = lock(&self.inner);
        let still = keys.iter().filter_map(|key| {
            let slot = inner.slots.get(key).filter(|slot| slot.young == group)?;
            Some(Written {
                key: key.clone(),
                value: slot.value.clone(),
                trace: slot.trace,
            })
        });
        still.collect()
    }

    /// A young group is durable: these are the values now, and this is the store. What other young groups still had of `left`
    /// is at its place with it.
    pub(crate) fn publish<'a>(
        &self,
        group: u64,
        written: Vec<Written>,
        left: impl Iterator<Item = (u64, &'a [StateKey])>,
        snapshot: Snapshot,
    ) {
        let mut inner = lock(&self.inner);
        inner.publications = inner.publications.saturating_add(1);
        let publication = inner.publications;
        for Written { key, value, trace } in written {
            inner.put(key, value, publication, group, trace);
        }
        for (left, keys) in left {
            for key in keys {
                inner.grow_up(key, left);
            }
        }
        let old = std::mem::replace(&mut inner.snapshot, Arc::new(snapshot));
        inner.shrink(self.budget);
        drop(inner);
        drop(old);
    }
}

impl Inner {
    fn look(&mut self, key: &StateKey) -> Cached {
        match self.slots.get_mut(key) {
            Some(slot) => {
                slot.used = true;
                Cached::Here(slot.value.clone())
            }
            None => Cached::Unknown,
        }
    }

    /// What was read.
    fn set(&mut self, key: StateKey, value: Option<Arc<Value>>, published: u64) {
        let trace = Trace::settled(value.as_deref());
        self.put(key, value, published, 0, trace);
    }

    fn put(&mut self, key: StateKey, value: Option<Arc<Value>>, published: u64, young: u64, trace: Trace) {
        let new = cost(&key, value.as_ref());
        match self.slots.get_mut(&key) {
            Some(slot) => {
                let old = cost(&key, slot.value.as_ref());
                slot.published = slot.published.max(published);
                slot.value = value;
                slot.used = true;
                slot.young = young;
                slot.trace = trace;
                self.octets = self.octets.saturating_sub(old).saturating_add(new);
            }
            None => {
                self.octets = self.octets.saturating_add(new);
                let in_order = young == 0;
                if in_order {
                    self.order.push_back(key.clone());
                }
                self.slots.insert(
                    key,
                    Slot {
                        value,
                        used: false,
                        published,
                        young,
                        trace,
                        in_order,
                    },
                );
            }
        }
    }

    /// What the young group still has of a key is at its place.
    fn grow_up(&mut self, key: &StateKey, group: u64) {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.young == group) else {
            return;
        };
        slot.young = 0;
        slot.trace = Trace::settled(slot.value.as_deref());
        if !std::mem::replace(&mut slot.in_order, true) {
            self.order.push_back(key.clone());
        }
    }

    /// Second chance: who was asked for since the last round stays for another.
    fn shrink(&mut self, budget: usize) {
        while self.octets > budget
            && let Some(key) = self.order.pop_front()
        {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            if slot.young > 0 {
                slot.in_order = false;
                continue;
            }
            if std::mem::take(&mut slot.used) {
                self.order.push_back(key);
                continue;
            }
            self.dropped = self.dropped.max(slot.published);
            self.octets = self.octets.saturating_sub(cost(&key, slot.value.as_ref()));
            self.slots.remove(&key);
        }
    }
}
