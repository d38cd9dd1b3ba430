//! What one group of steps changes: staged here while its steps are applied (apply.rs), then written, synced and
//! published (commit.rs).
//!
//! Knows no disk. Invariant: what is staged stands for steps that went through, wholly.

use crate::format::{Move, Value, block};
use crate::lock;
use crate::queues::QueueCell;
use crate::turnover::Turn;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use smsgw_queue::index::{At, Change};
use smsgw_queue::{HoldReason, HoldScope, Lane, LogName, Position, QueueName, StateKey, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a group changes in one log.
#[derive(Debug)]
pub(crate) struct LogChange {
    pub(crate) block: block::Encoder,
    pub(crate) readers: BTreeMap<String, u64>,
    pub(crate) first: u64,
    pub(crate) next: u64,
}

/// A record that a group publishes.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) id: u64,
    pub(crate) queue: u32,
    pub(crate) lane: Lane,
    pub(crate) at: At,
    pub(crate) published_at: Timestamp,
    pub(crate) octets: Bytes,
}

/// What a group changes in one queue.
#[derive(Debug)]
pub(crate) struct QueueChanges {
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) changes: Vec<Change>,
    /// Something becomes ready, now or later: who waits must look.
    pub(crate) wakes: bool,
}

/// Everything between two syncs.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) now: Timestamp,
    pub(crate) state: FxHashMap<StateKey, Option<Arc<Value>>>,
    pub(crate) published: Vec<NewEntry>,
    pub(crate) gone: Vec<u64>,
    /// Records whose lease ended: their marks matter no more.
    pub(crate) unleased: Vec<u64>,
    pub(crate) moves: FxHashMap<u64, Move>,
    pub(crate) logs: FxHashMap<LogName, LogChange>,
    /// Changes to finish, by queue.
    pub(crate) changes: Vec<QueueChanges>,
    /// Queues that got a number.
    pub(crate) numbered: Vec<Arc<QueueCell>>,
    /// Steps that go through, to be counted.
    pub(crate) done: Vec<Step>,
    /// Entries of `expiry` that are done with.
    pub(crate) swept: Vec<fjall::UserKey>,
    /// Queues to which alarms were published.
    pub(crate) alarms: Vec<QueueName>,
    /// Dead letters whose time was over.
    pub(crate) expired: Vec<QueueName>,
    /// Dead letters above the bound of their queue, with their reason.
    pub(crate) dropped: Vec<(QueueName, &'static str)>,
    /// What is held from now on, or no more.
    pub(crate) holds: Vec<HoldChange>,
    /// Queues whose numbers are given back.
    pub(crate) idle: Vec<u32>,
    /// First positions of log blocks that nobody needs any more: log, block.
    pub(crate) trimmed: Vec<(u32, u64)>,
    pub(crate) turn: Turn,
    /// All that is young goes to its place with this group, however young it is.
    pub(crate) all_leave: bool,
}

impl Group {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            state: FxHashMap::default(),
            published: Vec::new(),
            gone: Vec::new(),
            unleased: Vec::new(),
            moves: FxHashMap::default(),
            logs: FxHashMap::default(),
            changes: Vec::new(),
            numbered: Vec::new(),
            done: Vec::new(),
            swept: Vec::new(),
            alarms: Vec::new(),
            expired: Vec::new(),
            dropped: Vec::new(),
            holds: Vec::new(),
            idle: Vec::new(),
            trimmed: Vec::new(),
            turn: Turn::default(),
            all_leave: false,
        }
    }

    pub(crate) fn changed(&mut self, cell: &Arc<QueueCell>, change: Change, wakes: bool) {
        match self
            .changes
            .iter_mut()
            .find(|there| Arc::ptr_eq(&there.cell, cell))
        {
            Some(there) => {
                there.changes.push(change);
                there.wakes |= wakes;
            }
            None => {
                self.changes.push(QueueChanges {
                    cell: cell.clone(),
                    changes: vec![change],
                    wakes,
                });
            }
        }
    }
}

/// A hold that begins, or ends.
#[derive(Debug)]
pub(crate) struct HoldChange {
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) scope: HoldScope,
    /// `None`: it ends.
    pub(crate) hold: Option<(HoldReason, Timestamp)>,
}

impl Group {
    /// Stages a hold. One that is there, durably or in this group, stays as it is.
    pub(crate) fn hold(&mut self, cell: &Arc<QueueCell>, scope: &HoldScope, hold: Option<HoldReason>) {
        let staged = self
            .holds
            .iter()
            .position(|there| Arc::ptr_eq(&there.cell, cell) && there.scope == *scope);
        let held = match staged.and_then(|at| self.holds.get(at)) {
            Some(there) => there.hold.is_some(),
            None => lock(&cell.index).holds().iter().any(|held| held.scope == *scope),
        };
        if held == hold.is_some() {
            return;
        }
        let change = HoldChange {
            cell: cell.clone(),
            scope: scope.clone(),
            hold: hold.map(|reason| (reason, self.now)),
        };
        // Each key of a batch at most once: the last word counts.
        if let Some(at) = staged {
            self.holds.remove(at);
        }
        self.holds.push(change);
    }
}

/// What a step writes to queues, until it is sure that it goes through.
#[derive(Debug)]
pub(crate) enum Write {
    New(NewEntry),
    Gone(u64),
    /// The lease of the record ended with it.
    GoneLeased(u64),
    Moved(u64, Move),
}

impl Group {
    pub(crate) fn stage(&mut self, write: Write) {
        match write {
            Write::New(entry) => self.published.push(entry),
            Write::Gone(id) => {
                self.moves.remove(&id);
                self.gone.push(id);
            }
            Write::GoneLeased(id) => {
                self.unleased.push(id);
                self.gone.push(id);
            }
            Write::Moved(id, moved) => {
                // With 0 its marks still count.
                if moved.void > 0 {
                    self.unleased.push(id);
                }
                self.moves.insert(id, moved);
            }
        }
    }
}

impl LogChange {
    pub(crate) fn append(&mut self, entry: &[u8]) {
        self.block.push(entry);
        self.next = self.next.saturating_add(1);
    }

    pub(crate) fn advance(&mut self, reader: &str, to: Position) {
        let to = to.0.clamp(self.first, self.next);
        match self.readers.get_mut(reader) {
            Some(at) => *at = to.max(*at),
            None => {
                self.readers.insert(reader.to_owned(), to);
            }
        }
    }

    /// What every reader has passed is no longer kept: once all of a step is done, which may bring several readers.
    pub(crate) fn trim(&mut self) {
        if let Some(slowest) = self.readers.values().min() {
            self.first = self.first.max(*slowest);
        }
    }
}
