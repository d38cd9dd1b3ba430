//! The queues in memory: one index and one way to wake waiters for each, and the records that were published lately.
//!
//! Knows no disk. Invariants: only the committer holds two queue locks at once, so they cannot deadlock; the records
//! kept here never take more than their budget and what is young (young.rs); a record that is not here is at its place on the
//! disk, or gone.
//!
//! # Limits
//! The oldest kept record goes first when the budget is used up, wherever it waits: a backlog larger than the budget
//! is read from the disk, in batches.

use crate::group::NewEntry;
use crate::lock;
use crate::metric;
use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use smsgw_queue::index::{At, QueueIndex};
use smsgw_queue::{DeadReason, Lease, LeaseHome, QueueName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// One queue.
pub(crate) struct QueueCell {
    pub(crate) name: QueueName,
    /// Its number on the disk; 0 until something is published to it.
    number: AtomicU32,
    pub(crate) index: Mutex<QueueIndex>,
    /// Something became ready, or will be at a time nobody knew of.
    pub(crate) changed: Notify,
}

impl QueueCell {
    fn new(name: QueueName, token: u64) -> Self {
        let index = Mutex::new(QueueIndex::with_token(token));
        Self {
            name,
            number: AtomicU32::new(0),
            index,
            changed: Notify::new(),
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number.load(Ordering::Acquire)
    }

    pub(crate) fn set_number(&self, number: u32) {
        self.number.store(number, Ordering::Release);
    }
}

impl LeaseHome for QueueCell {
    fn abandoned(&self, lease: Lease) {
        // The lock ends with the statement: waiters take it at once.
        let was_good = lock(&self.index).abandon(&lease);
        if was_good {
            smsgw_queue::metric::abandoned(&self.name);
            self.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for QueueCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueCell")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// All queues by name.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    cells: RwLock<FxHashMap<QueueName, Arc<QueueCell>>>,
    /// Above the token of every lease of a queue that was forgotten: leases of it are not taken for leases of the next one
    /// of its name.
    tokens: AtomicU64,
}

impl Queues {
    /// The queue, if anybody ever asked for it.
    pub(crate) fn find(&self, name: &QueueName) -> Option<Arc<QueueCell>> {
        self.cells
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The queue; it exists from now on.
    pub(crate) fn cell(&self, name: &QueueName) -> Arc<QueueCell> {
        if let Some(cell) = self.find(name) {
            return cell;
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        cells
            .entry(name.clone())
            .or_insert_with(|| {
                let token = self.tokens.load(Ordering::Relaxed).max(1);
                Arc::new(QueueCell::new(name.clone(), token))
            })
            .clone()
    }

    /// Sets the gauges of every queue.
    pub(crate) fn refresh_metrics(&self) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for cell in self.all() {
            let (depth, dead) = {
                let index = lock(&cell.index);
                (index.depth(), index.dead_letters())
            };
            let queue = cell.name.as_str();
            metric::OCTETS.with(&[queue]).set(gauge(depth.octets));
            metric::HOLDS.with(&[queue]).set(gauge(depth.holds));
            for reason in DeadReason::ALL {
                let there = dead.iter().find(|dead| dead.reason == reason);
                // A reason that no record has, or lost, has no gauge.
                match there {
                    Some(dead) => {
                        let gauge = gauge(dead.amount.records);
                        metric::DEAD_LETTERS.with(&[queue, reason.as_str()]).set(gauge);
                    }
                    None => metric::DEAD_LETTERS.remove(&[queue, reason.as_str()]),
                }
            }
        }
    }

    /// The gauges of a queue that is forgotten.
    fn drop_metrics(queue: &QueueName) {
        metric::OCTETS.remove(&[queue.as_str()]);
        metric::HOLDS.remove(&[queue.as_str()]);
        for reason in DeadReason::ALL {
            metric::DEAD_LETTERS.remove(&[queue.as_str(), reason.as_str()]);
        }
    }

    /// Forgets a queue that is empty, when nobody else has it: no call that waits, no delivery.
    pub(crate) fn forget(&self, cell: &Arc<QueueCell>) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        // The map's and the caller's; everybody else gets theirs through the map, which is locked.
        if Arc::strong_count(cell) > 2 {
            return;
        }
        let index = lock(&cell.index);
        if index.is_empty() {
            self.tokens.fetch_max(index.next_token(), Ordering::Relaxed);
            cells.remove(&cell.name);
            Self::drop_metrics(&cell.name);
        }
    }

    /// Every queue, by name.
    pub(crate) fn all(&self) -> Vec<Arc<QueueCell>> {
        let mut cells: Vec<_> = self
            .cells
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        cells.sort_by(|a, b| a.name.cmp(&b.name));
        cells
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// Nowhere else but in `young` on the disk.
    young: FxHashMap<u64, NewEntry>,
    records: BTreeMap<u64, Bytes>,
    octets: u64,
}

impl Kept {
    fn remove(&mut self, id: u64) {
        if let Some(record) = self.records.remove(&id) {
            self.octets = self.octets.saturating_sub(cost(&record));
        }
    }
}

fn cost(record: &Bytes) -> u64 {
    // The record, and about what the map and the allocator need for it.
    u64::try_from(record.len()).unwrap_or(u64::MAX).saturating_add(96)
}

/// Octets of records that were published lately, by id and so by age: of all that are young, and of older ones as many as
/// the budget allows.
#[derive(Debug)]
pub(crate) struct RecordCache {
    kept: Mutex<Kept>,
    budget: u64,
}

impl RecordCache {
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            kept: Mutex::default(),
            budget,
        }
    }

    /// Which of these are young.
    pub(crate) fn young_among(&self, ids: &[u64]) -> FxHashSet<u64> {
        let kept = lock(&self.kept);
        let young = ids.iter().copied();
        young.filter(|id| kept.young.contains_key(id)).collect()
    }

    /// These are about to leave their youth: `take` gets those that are still there.
    pub(crate) fn leaving(&self, ids: impl Iterator<Item = u64>, mut take: impl FnMut(&NewEntry)) {
        let kept = lock(&self.kept);
        ids.filter_map(|id| kept.young.get(&id)).for_each(&mut take);
    }

    /// Drops what is gone, takes in what is new. What leaves its youth stays when it is wanted before `soon`: one that waits
    /// long, or for a person, does not.
    pub(crate) fn update(
        &self,
        gone: &[u64],
        new: Vec<NewEntry>,
        left: impl Iterator<Item = u64>,
        soon: Timestamp,
    ) {
        let mut kept = lock(&self.kept);
        let kept = &mut *kept;
        for id in gone {
            if kept.young.remove(id).is_none() {
                kept.remove(*id);
            }
        }
        for id in left {
            let Some(old) = kept.young.remove(&id) else {
                continue;
            };
            let wanted = match old.at {
                At::Ready => true,
                At::Deferred { due, .. } => due <= soon,
                At::Aside { .. } => false,
            };
            if wanted {
                kept.octets = kept.octets.saturating_add(cost(&old.octets));
                kept.records.insert(id, old.octets);
            }
        }
        kept.young.extend(new.into_iter().map(|new| (new.id, new)));
        while kept.octets > self.budget
            && let Some((_, record)) = kept.records.pop_first()
        {
            kept.octets = kept.octets.saturating_sub(cost(&record));
        }
    }

    /// What is here of these. What is not is at its place on the disk, or gone.
    pub(crate) fn get(&self, ids: impl Iterator<Item = u64>) -> Vec<Option<Bytes>> {
        let kept = lock(&self.kept);
        let find = |id| match kept.young.get(&id) {
            Some(young) => Some(young.octets.clone()),
            None => kept.records.get(&id).cloned(),
        };
        ids.map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(id: u64, at: At) -> NewEntry {
        NewEntry {
            id,
            queue: 1,
            lane: smsgw_queue::Lane::new(smsgw_message::Class::Bulk, "flow"),
            at,
            published_at: Timestamp::default(),
            octets: Bytes::from(vec![0; 100]),
        }
    }

    #[test]
    fn records_are_all_here_while_they_are_young_and_then_within_a_budget_the_newest() {
        let cache = RecordCache::new(10 * (96 + 100));
        let soon = Timestamp::from_millis(60_000);
        let all: Vec<u64> = (0..25).collect();
        cache.update(
            &[],
            all.iter().map(|id| new(*id, At::Ready)).collect(),
            [].into_iter(),
            soon,
        );
        let here = |cache: &RecordCache| {
            let here = cache.get(0..25).into_iter().enumerate();
            here.filter_map(|(id, octets)| octets.map(|_| id))
                .collect::<Vec<_>>()
        };
        assert_eq!(here(&cache).len(), 25);
        assert_eq!(cache.young_among(&[3, 30]), FxHashSet::from_iter([3]));
        let mut seen = Vec::new();
        cache.leaving([24, 30, 2].into_iter(), |young| seen.push(young.id));
        assert_eq!(seen, [24, 2]);
        cache.update(&[24], Vec::new(), 0..24, soon);
        assert_eq!(here(&cache), (14..24).collect::<Vec<_>>());
        cache.update(&all, Vec::new(), [].into_iter(), soon);
        assert_eq!(here(&cache), Vec::<usize>::new());
        assert_eq!(lock(&cache.kept).octets, 0);
    }

    #[test]
    fn what_nobody_wants_soon_does_not_stay() {
        let cache = RecordCache::new(1 << 20);
        let soon = Timestamp::from_millis(60_000);
        let reason = smsgw_queue::index::Reason::None;
        let due = |millis| At::Deferred {
            due: Timestamp::from_millis(millis),
            reason,
        };
        let aside = At::Aside {
            reason,
            since: Timestamp::default(),
        };
        let all = vec![new(0, due(60_000)), new(1, due(60_001)), new(2, aside)];
        cache.update(&[], all, [].into_iter(), soon);
        assert!(cache.get(0..3).iter().all(Option::is_some));
        cache.update(&[], Vec::new(), 0..3, soon);
        let here: Vec<bool> = cache.get(0..3).iter().map(Option::is_some).collect();
        assert_eq!(here, [true, false, false]);
    }
}
