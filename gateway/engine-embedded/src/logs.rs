//! The logs in memory: where each ends and begins, its readers, and its newest blocks.
//!
//! Knows no disk. Invariants: a reader stands neither before the oldest entry nor behind the end, and never goes back;
//! what is kept here never takes more than the budget of all logs together.

use crate::format::block::Block;
use crate::lock;
use rustc_hash::FxHashMap;
use smsgw_queue::{Entry, LogName, Position};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// A block that is kept.
#[derive(Debug)]
struct Kept {
    first: u64,
    block: Block,
}

impl Kept {
    fn end(&self) -> u64 {
        self.first.saturating_add(self.block.count())
    }
}

#[derive(Debug, Default)]
pub(crate) struct LogState {
    /// Oldest entry that is not trimmed.
    pub(crate) first: u64,
    /// Where the next durable entry goes.
    pub(crate) next: u64,
    pub(crate) readers: BTreeMap<String, u64>,
    recent: VecDeque<Kept>,
}

/// What a read found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing there yet.
    Nothing,
    Entries(Vec<Entry>),
    /// On the disk, from this position on, before `end`.
    OnDisk {
        from: u64,
        end: u64,
    },
}

impl LogState {
    /// As it was left; all blocks are on the disk.
    pub(crate) fn restored(first: u64, next: u64, readers: BTreeMap<String, u64>) -> Self {
        Self {
            first,
            next,
            readers,
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn read(&self, from: u64, max: usize) -> Found {
        let from = from.max(self.first);
        if from >= self.next || max == 0 {
            return Found::Nothing;
        }
        if self.recent.front().is_none_or(|block| block.first > from) {
            return Found::OnDisk { from, end: self.next };
        }
        let at = self.recent.partition_point(|block| block.end() <= from);
        let entries = self.recent.iter().skip(at).flat_map(|kept| {
            let first = kept.first.max(from);
            (first..).zip(kept.block.from(first.saturating_sub(kept.first)))
        });
        let entry = |(at, record)| Entry {
            position: Position(at),
            record,
        };
        Found::Entries(entries.take(max).map(entry).collect())
    }
}

/// One log.
#[derive(Debug)]
pub(crate) struct LogCell {
    pub(crate) number: u32,
    pub(crate) state: Mutex<LogState>,
    /// Something was appended.
    pub(crate) grown: Notify,
}

/// All logs by name. Only the committer changes them.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    cells: RwLock<FxHashMap<LogName, Arc<LogCell>>>,
    /// A log that nobody appended to yet: who waits for it wakes when any log begins.
    pub(crate) begun: Notify,
}

impl Logs {
    pub(crate) fn find(&self, name: &LogName) -> Option<Arc<LogCell>> {
        self.cells
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(crate) fn begin(&self, name: LogName, number: u32, state: LogState) -> Arc<LogCell> {
        let cell = Arc::new(LogCell {
            number,
            state: Mutex::new(state),
            grown: Notify::new(),
        });
        self.cells
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, cell.clone());
        cell
    }

    pub(crate) fn all(&self) -> Vec<Arc<LogCell>> {
        self.cells
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

/// Which blocks of all logs are kept, oldest first. The committer's.
#[derive(Debug)]
pub(crate) struct RecentBlocks {
    order: VecDeque<(Arc<LogCell>, u64)>,
    octets: u64,
    budget: u64,
}

impl RecentBlocks {
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            order: VecDeque::new(),
            octets: 0,
            budget,
        }
    }

    /// A group is durable: its entries can be read, its readers have moved.
    pub(crate) fn publish(
        &mut self,
        cell: &Arc<LogCell>,
        block: Block,
        readers: BTreeMap<String, u64>,
        first: u64,
    ) {
        let grown = block.count() > 0;
        let mut state = lock(&cell.state);
        state.readers = readers;
        state.first = first;
        if grown {
            let at = state.next;
            self.octets = self.octets.saturating_add(block.cost());
            self.order.push_back((cell.clone(), at));
            let kept = Kept { first: at, block };
            state.next = kept.end();
            state.recent.push_back(kept);
        }
        while state.recent.front().is_some_and(|kept| kept.end() <= first) {
            self.drop_front(&mut state);
        }
        drop(state);
        if grown {
            cell.grown.notify_waiters();
        }
        // What trimming dropped is still in the order: it is passed over here, so the order stays as short as the
        // blocks that are kept, plus those trimmed behind the oldest kept one.
        while self.octets > self.budget || self.stale_front() {
            let Some((cell, first)) = self.order.pop_front() else {
                break;
            };
            let mut state = lock(&cell.state);
            if state.recent.front().is_some_and(|block| block.first == first) {
                self.drop_front(&mut state);
            }
        }
    }

    fn drop_front(&mut self, state: &mut LogState) {
        if let Some(kept) = state.recent.pop_front() {
            self.octets = self.octets.saturating_sub(kept.block.cost());
        }
    }

    fn stale_front(&self) -> bool {
        self.order.front().is_some_and(|(cell, first)| {
            lock(&cell.state)
                .recent
                .front()
                .is_none_or(|block| block.first > *first)
        })
    }
}
