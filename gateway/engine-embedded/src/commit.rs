//! A group becomes durable, and then true: one batch, one fdatasync, then memory.
//!
//! Order after the sync: values, records, logs, queues. So whoever gets a record finds the state that was written with
//! it. Invariant: nothing of a group is visible before its sync, and everything of it before its answers.

use crate::format::{
    LOGS_HEAD, LogMeta, META_NUMBERS, RECORDS_HEAD, block_key, encode_hold, encode_move, hold_key,
    numbered_key,
};
use crate::group::{Group, HoldChange, LogChange, QueueChanges};
use crate::lock;
use crate::logs::LogCell;
use crate::work::Work;
use crate::young::Entered;
use fjall::{OwnedWriteBatch, PersistMode};
use std::sync::Arc;

impl Work {
    /// Writes, syncs and publishes a group. An error poisons the engine.
    pub(crate) fn commit(&mut self, mut group: Group) -> Result<(), String> {
        let logs = self.logs_of(&group);
        let (batch, entered) = self.batch(&mut group, &logs);
        if batch.is_empty() {
            return self.publish(group, logs, entered);
        }
        let start = self.shared.clock.instant();
        let steps = u32::try_from(group.done.len()).unwrap_or(u32::MAX);
        batch.commit().map_err(|error| crate::store::in_words(&error))?;
        let took = self.shared.clock.instant().saturating_duration_since(start);
        self.group_size.committed(steps, took);
        self.metrics.sync_seconds.observe(took.as_secs_f64());
        self.metrics.syncs.inc();
        if steps > 0 {
            self.metrics.group_steps.observe(f64::from(steps));
        }
        self.publish(group, logs, entered)
    }

    fn logs_of(&mut self, group: &Group) -> Vec<Arc<LogCell>> {
        group.logs.keys().map(|name| self.begin_log(name)).collect()
    }

    /// All that a group writes. Each key at most once: entries of one batch have one sequence number.
    fn batch(&mut self, group: &mut Group, logs: &[Arc<LogCell>]) -> (OwnedWriteBatch, Entered) {
        let store = self.store.clone();
        let mut batch = store.db.batch().durability(Some(PersistMode::SyncData));

        for cell in &group.numbered {
            batch.insert(&store.meta, numbered_key(b'q', cell.number()), cell.name.as_str());
        }
        for number in &group.idle {
            batch.remove(&store.meta, numbered_key(b'q', *number));
        }
        for HoldChange { cell, scope, hold } in &group.holds {
            let key = hold_key(&cell.name, scope);
            match hold {
                Some((reason, since)) => batch.insert(&store.meta, key, encode_hold(*reason, *since)),
                None => batch.remove(&store.meta, key),
            }
        }
        let mut leaving = self.leaving(group);
        self.batch_records(group, &mut leaving, &mut batch);
        let mut moves = false;
        for id in &group.gone {
            if self.moved.contains(id) {
                batch.remove(&store.moves, id.to_be_bytes());
                moves = true;
            }
        }
        for (id, moved) in &group.moves {
            batch.insert(&store.moves, id.to_be_bytes(), encode_move(moved));
        }
        if moves || !group.moves.is_empty() {
            batch.insert(&store.moves, RECORDS_HEAD, Vec::new());
        }
        let entered = self.batch_young(group, leaving, &mut batch);
        self.batch_logs(group, logs, &mut batch);
        // A reader can begin a log before its first entry.
        let began = !group.logs.is_empty();
        if !group.numbered.is_empty() || began {
            batch.insert(&store.meta, META_NUMBERS, self.next_number.to_be_bytes());
        }
        (batch, entered)
    }

    fn batch_logs(&self, group: &Group, logs: &[Arc<LogCell>], batch: &mut OwnedWriteBatch) {
        let store = &self.store;
        let mut touched = !group.trimmed.is_empty();
        for (log, block) in &group.trimmed {
            batch.remove_weak(&store.logs, block_key(*log, *block));
        }
        for ((name, change), cell) in group.logs.iter().zip(logs) {
            if !change.block.is_empty() {
                let first = lock(&cell.state).next;
                batch.insert(&store.logs, block_key(cell.number, first), change.block.octets());
                touched = true;
            }
            let readers = change
                .readers
                .iter()
                .map(|(reader, at)| (reader.clone(), *at))
                .collect();
            let LogChange { next, first, .. } = change;
            let meta = LogMeta {
                next: *next,
                first: *first,
                name: name.as_str().to_owned(),
                readers,
            };
            batch.insert(&store.meta, numbered_key(b'l', cell.number), meta.encode());
        }
        if touched {
            batch.insert(&store.logs, LOGS_HEAD, Vec::new());
        }
    }

    /// The group is durable: now it is true.
    fn publish(&mut self, mut group: Group, logs: Vec<Arc<LogCell>>, entered: Entered) -> Result<(), String> {
        for id in &group.gone {
            self.moved.remove(id);
            self.elsewhere.remove(id);
        }
        self.moved.extend(group.moves.keys());
        self.publish_young(&mut group, entered);
        self.publish_turn(&group.gone, std::mem::take(&mut group.turn));
        if !group.unleased.is_empty() {
            // Before these can be leased again.
            self.shared.leases.forget(&group.unleased);
        }
        let began = !logs.is_empty();
        for ((_, change), cell) in group.logs.into_iter().zip(logs) {
            self.recent
                .publish(&cell, change.block.end(), change.readers, change.first);
        }
        if began {
            self.shared.logs.begun.notify_waiters();
        }
        for QueueChanges { cell, changes, wakes } in group.changes {
            let mut index = lock(&cell.index);
            for change in changes {
                index.finish(change);
            }
            drop(index);
            if wakes {
                cell.changed.notify_waiters();
            }
        }
        for HoldChange { cell, scope, hold } in group.holds {
            // The lock ends with the statement: waiters take it at once.
            match hold {
                Some((reason, since)) => lock(&cell.index).hold_all(scope, reason, since),
                None => {
                    lock(&cell.index).release_all(&scope);
                    cell.changed.notify_waiters();
                }
            }
        }
        group
            .done
            .iter()
            .flat_map(smsgw_queue::Step::ops)
            .for_each(smsgw_queue::metric::count);
        group.alarms.iter().for_each(smsgw_queue::metric::published);
        group.expired.iter().for_each(smsgw_queue::metric::expired);
        for (queue, reason) in &group.dropped {
            smsgw_queue::metric::dropped(queue, reason);
        }
        self.shared
            .leases
            .rotate_when_full()
            .map_err(|error| format!("lease marks: {error}"))
    }
}
