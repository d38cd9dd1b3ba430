//! The queues in memory: one index and one way to wake waiters for each, and the records that were published lately.
//!
//! Knows no disk. Invariants: only the committer holds two queue locks at once, so they cannot deadlock; the records
//! kept here never take more than their budget.
//!
//! # Limits
//! The oldest kept record goes first when the budget is used up, wherever it waits: a backlog larger than the budget
//! is read from the disk, in batches.

use crate::lock;
use crate::metric;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_queue::index::QueueIndex;
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

    /// The gauges of a queue that is gone.
    pub(crate) fn drop_metrics(queue: &QueueName) {
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

/// Octets of records that were published lately, by id and so by age.
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

    /// Drops what is gone, keeps what is new.
    pub(crate) fn update(&self, gone: &[u64], new: impl Iterator<Item = (u64, Bytes)>) {
        let mut kept = lock(&self.kept);
        for id in gone {
            kept.remove(*id);
        }
        for (id, record) in new {
            kept.octets = kept.octets.saturating_add(cost(&record));
            kept.records.insert(id, record);
        }
        while kept.octets > self.budget
            && let Some((_, record)) = kept.records.pop_first()
        {
            kept.octets = kept.octets.saturating_sub(cost(&record));
        }
    }

    /// What is here of these.
    pub(crate) fn get(&self, ids: impl Iterator<Item = u64>) -> Vec<Option<Bytes>> {
        let kept = lock(&self.kept);
        ids.map(|id| kept.records.get(&id).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_records_stay_within_their_budget_and_the_oldest_go_first() {
        let cache = RecordCache::new(10 * (96 + 100));
        for id in 0..25 {
            cache.update(&[], std::iter::once((id, Bytes::from(vec![0; 100]))));
        }
        let here: Vec<_> = cache.get(0..25).iter().map(Option::is_some).collect();
        assert_eq!(here.iter().filter(|here| **here).count(), 10);
        assert!(here[15..].iter().all(|here| *here));
        cache.update(&(0..25).collect::<Vec<_>>(), std::iter::empty());
        assert_eq!(lock(&cache.kept).octets, 0);
    }
}
