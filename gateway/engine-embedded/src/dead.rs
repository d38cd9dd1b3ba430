//! Dead letters and corrupt records come to an end: by time, and when a queue has more of them than it may keep. So do
//! queues that nobody uses.
//!
//! Knows no disk. Invariant: what is deleted here is counted with its reason; a burst is told once in the log.

use crate::group::{Group, Write};
use crate::lock;
use crate::queues::QueueCell;
use crate::work::Work;
use smsgw_message::Timestamp;
use smsgw_queue::index::QueueIndex;
use smsgw_queue::{Place, RecordId};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// At most so many of one queue in one group.
const PORTION: usize = 2048;
/// A queue without records keeps its number for so long: one that is emptied now and then keeps it for ever.
const IDLE: Duration = Duration::from_secs(60);
/// A burst is over when nothing was deleted for so long.
const QUIET: Duration = Duration::from_secs(60);

impl Work {
    /// Deletes dead letters that nobody wanted in time, and the oldest of too many.
    pub(crate) fn trim_dead_letters(&mut self, cell: &Arc<QueueCell>, before: Timestamp, group: &mut Group) {
        let mut index = lock(&cell.index);
        if index.oldest_dead().is_some_and(|oldest| oldest <= before) {
            for id in index.expired(before, PORTION) {
                if discard(&mut index, cell, id, group) {
                    group.expired.push(cell.name.clone());
                }
            }
        }
        let excess = index.excess(self.bounds.dead_letters, PORTION);
        let now = self.shared.clock.instant();
        if excess.is_empty() {
            drop(index);
            if let Some(last) = self.bursts.get(&cell.name)
                && now.saturating_duration_since(*last) >= QUIET
            {
                self.bursts.remove(&cell.name);
                info!(queue = %cell.name, "dead letters stay within their bound again");
            }
            return;
        }
        let bound = self.bounds.dead_letters;
        for (id, reason) in excess {
            if discard(&mut index, cell, id, group) {
                group.dropped.push((cell.name.clone(), reason.as_str()));
            }
        }
        let depth = index.depth();
        drop(index);
        if self.bursts.insert(cell.name.clone(), now).is_none() {
            warn!(
                queue = %cell.name,
                dead_letters = depth.at(Place::DeadLetter),
                corrupt = depth.at(Place::Corrupt),
                bound_records = bound.records,
                bound_octets = bound.octets,
                "more dead letters than the queue may keep: the oldest are deleted from now on; look at them, requeue or \
                 discard them, or raise engine.max_dead_letters"
            );
        }
    }
}

impl Work {
    /// Gives the number of a queue back that had no records for a while, and forgets the queue when nobody waits for it.
    /// Whoever publishes to it later begins it anew, under another number.
    pub(crate) fn retire(&mut self, cell: &Arc<QueueCell>, now: Instant, group: &mut Group) {
        let number = cell.number();
        let empty = lock(&cell.index).is_empty();
        if !empty {
            self.idle.remove(&number);
            return;
        }
        if number > 0 {
            let since = *self.idle.entry(number).or_insert(now);
            if now.saturating_duration_since(since) < IDLE {
                return;
            }
            self.idle.remove(&number);
            cell.set_number(0);
            group.idle.push(number);
        }
        self.cells.remove(&cell.name);
        self.shared.queues.forget(cell);
    }
}

fn discard(
    index: &mut MutexGuard<'_, QueueIndex>,
    cell: &Arc<QueueCell>,
    id: RecordId,
    group: &mut Group,
) -> bool {
    let Ok(change) = index.discard(id) else {
        return false;
    };
    group.changed(cell, change, false);
    group.stage(Write::Gone(id.as_u64()));
    true
}
