//! Steps on their way to one sync: each is checked and applied against what the steps before it left, or refused
//! without a trace.
//!
//! Order of a step: space and names, then state (which may read the disk), then its queues under their locks, then all
//! that cannot fail. Invariants: after a refused step the group is as before it; what is staged here is visible to
//! nobody but later steps of the group until it was written, synced and published (commit.rs).

use crate::format::{MAX_TEXT, Move, Value, due_of};
use crate::group::{Group, LogChange, NewEntry, Write};
use crate::lock;
use crate::queues::QueueCell;
use crate::space::Space;
use crate::values::Cached;
use crate::work::Work;
use bytes::Bytes;
use smsgw_message::Timestamp;
use smsgw_queue::index::{At, Change, NewRecord, QueueIndex, Refused};
use smsgw_queue::{
    CommitErrorKind, Committed, EngineError, Expected, Expiry, Lane, LogName, Op, Place, QueueName, RecordId,
    StateKey, Step, StepId,
};
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

/// A refused step.
type Kind = CommitErrorKind;

impl Work {
    /// Applies a step to the group, or refuses it.
    pub(crate) fn apply(&mut self, step: &Step, space: Space, group: &mut Group) -> Result<Committed, Kind> {
        if !space.admits(step) {
            return Err(EngineError::NoSpace.into());
        }
        check_names(step)?;
        let version = self.next_version;
        let state = match self.evaluate(step, version, group) {
            Ok(state) => state,
            Err((at, kind)) => {
                // What is told is the first change that is refused: perhaps one of a queue, before this one.
                self.move_records(step.ops().get(..at).unwrap_or_default(), false, group)?;
                return Err(kind);
            }
        };
        self.move_records(step.ops(), true, group)?;
        // From here on nothing is refused.
        self.next_version = version.saturating_add(1);
        for op in step.ops() {
            match op {
                Op::Append(log, entry) => self.log_change(log, group).append(entry.clone()),
                Op::Advance(log, reader, to) => self.log_change(log, group).advance(reader, *to),
                Op::Settle(_)
                | Op::Release(..)
                | Op::Hold(..)
                | Op::DeadLetter(..)
                | Op::Publish(..)
                | Op::Bury(..)
                | Op::Requeue(..)
                | Op::Discard(..)
                | Op::Put(..)
                | Op::Delete(..)
                | Op::Add(..) => {}
            }
        }
        let wrote = !state.writes.is_empty();
        group.state.extend(state.writes);
        // A repeated step that had nothing left to write is answered as it was then.
        let version = state.done_before.filter(|_| !wrote).unwrap_or(version);
        Ok(Committed { version })
    }

    /// The value of a key as the steps of the group before this one left it. Expired ones are absent.
    fn current(&self, key: &StateKey, own: &Writes, group: &Group) -> Result<Option<Arc<Value>>, Kind> {
        let staged = own
            .writes
            .iter()
            .rev()
            .find(|(there, _)| there == key)
            .map(|(_, value)| value);
        let value = match staged.or_else(|| group.state.get(key)) {
            Some(value) => value.clone(),
            None => self.stored(key).map_err(EngineError::Read)?,
        };
        Ok(value.filter(|value| !value.expired(group.now)))
    }

    /// The durable value of a key, expired or not.
    pub(crate) fn stored(&self, key: &StateKey) -> Result<Option<Arc<Value>>, String> {
        match self.shared.values.peek(key) {
            Cached::Here(value) => {
                self.metrics.state_hits.inc();
                Ok(value)
            }
            Cached::Unknown => {
                self.metrics.state_misses.inc();
                let value = self.store.value(key)?;
                self.shared.values.found_now(key, value.clone());
                Ok(value)
            }
        }
    }

    /// What a step writes to state, or which of its changes is refused and why.
    fn evaluate(&self, step: &Step, version: u64, group: &Group) -> Result<Writes, (usize, Kind)> {
        let mut own = Writes {
            writes: Vec::new(),
            done_before: None,
        };
        for (at, op) in step.ops().iter().enumerate() {
            self.evaluate_change(op, step.id(), version, &mut own, group)
                .map_err(|kind| (at, kind))?;
        }
        Ok(own)
    }

    fn evaluate_change(
        &self,
        op: &Op,
        step: StepId,
        version: u64,
        own: &mut Writes,
        group: &Group,
    ) -> Result<(), Kind> {
        let value = |octets: Bytes, expiry: &Expiry, there: Option<&Value>| {
            let kept = there.filter(|there| there.due() == due_of(expiry));
            Some(Arc::new(Value {
                version,
                entry: kept.map_or(version, |there| there.entry),
                step,
                expiry: expiry.clone(),
                octets,
            }))
        };
        match op {
            Op::Put(key, octets, Expected::Any, expiry) => {
                own.writes
                    .push((key.clone(), value(octets.clone(), expiry, None)));
            }
            Op::Put(key, octets, expected, expiry) => {
                let there = self.current(key, own, group)?;
                if matches(there.as_deref(), *expected) {
                    own.writes
                        .push((key.clone(), value(octets.clone(), expiry, there.as_deref())));
                } else {
                    // This very step wrote it before: done.
                    own.done_before = Some(version_of(there.as_deref(), step, key)?);
                }
            }
            Op::Delete(key, expected) => {
                if *expected != Expected::Any
                    && !matches(self.current(key, own, group)?.as_deref(), *expected)
                {
                    return Err(Kind::Conflict { key: key.clone() });
                }
                own.writes.push((key.clone(), None));
            }
            Op::Add(key, delta, floor, expiry) => {
                let there = self.current(key, own, group)?;
                let count = match &there {
                    None => 0,
                    Some(there) => {
                        let count = there.versioned().as_counter();
                        count.ok_or_else(|| Kind::NotACounter { key: key.clone() })?
                    }
                };
                // A sum outside of 64 bits is refused like one below the floor.
                let sum = count
                    .checked_add(*delta)
                    .filter(|sum| floor.is_none_or(|floor| *sum >= floor));
                let sum = sum.ok_or_else(|| Kind::Floor { key: key.clone() })?;
                own.writes.push((
                    key.clone(),
                    value(
                        Bytes::copy_from_slice(&sum.to_be_bytes()),
                        expiry,
                        there.as_deref(),
                    ),
                ));
            }
            Op::Settle(_)
            | Op::Release(..)
            | Op::Hold(..)
            | Op::DeadLetter(..)
            | Op::Publish(..)
            | Op::Bury(..)
            | Op::Requeue(..)
            | Op::Discard(..)
            | Op::Append(..)
            | Op::Advance(..) => {}
        }
        Ok(())
    }

    /// Applies what a step does to queues, under the locks of all of them at once, so that nobody sees it half done
    /// or half undone. With `keep` false it is only a try.
    fn move_records(&mut self, ops: &[Op], keep: bool, group: &mut Group) -> Result<(), Kind> {
        let mut cells: Vec<Arc<QueueCell>> = Vec::with_capacity(3);
        for op in ops {
            if let Some((name, publishes)) = queue_of(op)
                && !cells.iter().any(|cell| cell.name == *name)
            {
                let cell = self.cell(name);
                if publishes && cell.number() == 0 {
                    cell.set_number(self.next_number);
                    self.next_number = self.next_number.saturating_add(1);
                    group.numbered.push(cell.clone());
                }
                cells.push(cell);
            }
        }
        if cells.is_empty() {
            return Ok(());
        }
        let mut writes = std::mem::take(&mut self.writes);
        let mut changes: Vec<(usize, Change, bool)> = Vec::with_capacity(ops.len());
        let mut indexes: Vec<MutexGuard<'_, QueueIndex>> =
            cells.iter().map(|cell| lock(&cell.index)).collect();
        let mut refused = None;
        for op in ops {
            let Some((name, _)) = queue_of(op) else { continue };
            let Some((at, cell)) = cells.iter().enumerate().find(|(_, cell)| cell.name == *name) else {
                continue;
            };
            let Some(index) = indexes.get_mut(at) else {
                continue;
            };
            match self.move_record(op, index, cell.number(), group.now, &mut writes) {
                Ok(Some(change)) => changes.push((at, change, wakes(op))),
                Ok(None) => {}
                Err(why) => {
                    refused = Some(why.into_kind(name));
                    break;
                }
            }
        }
        if refused.is_some() || !keep {
            for (at, change, _) in changes.into_iter().rev() {
                if let Some(index) = indexes.get_mut(at) {
                    index.undo(change);
                }
            }
            writes.clear();
            drop(indexes);
            self.writes = writes;
            return refused.map_or(Ok(()), Err);
        }
        drop(indexes);
        for (at, change, wakes) in changes {
            if let Some(cell) = cells.get(at) {
                group.changed(cell, change, wakes);
            }
        }
        for write in writes.drain(..) {
            group.stage(write);
        }
        self.writes = writes;
        Ok(())
    }

    fn move_record(
        &mut self,
        op: &Op,
        index: &mut QueueIndex,
        queue: u32,
        now: Timestamp,
        writes: &mut Vec<Write>,
    ) -> Result<Option<Change>, Refused> {
        let change = match op {
            Op::Publish(_, lane, octets, at) => {
                let record = self.new_record(lane, octets, now);
                let id = record.id.as_u64();
                let change = index.publish(record, *at, now);
                // Scheduled or ready: as the index sees it.
                let at = place(index, change.id());
                writes.push(Write::New(NewEntry {
                    id,
                    queue,
                    lane: lane.clone(),
                    at,
                    octets: octets.clone(),
                }));
                return Ok(Some(change));
            }
            Op::Bury(_, lane, octets, reason) => {
                let record = self.new_record(lane, octets, now);
                let id = record.id.as_u64();
                let change = index.bury(record, *reason, now);
                let at = place(index, change.id());
                writes.push(Write::New(NewEntry {
                    id,
                    queue,
                    lane: lane.clone(),
                    at,
                    octets: octets.clone(),
                }));
                return Ok(Some(change));
            }
            Op::Settle(lease) => {
                let change = index.settle(lease)?;
                writes.push(Write::GoneLeased(lease.record.as_u64()));
                return Ok(Some(change));
            }
            Op::Discard(_, id) => {
                let change = index.discard(*id)?;
                writes.push(Write::Gone(id.as_u64()));
                return Ok(Some(change));
            }
            Op::Release(lease, after, reason, cost) => index.release(lease, *after, *reason, *cost, now)?,
            Op::Hold(lease, reason) => index.hold(lease, *reason, now)?,
            Op::DeadLetter(lease, reason) => index.dead_letter(lease, *reason, now)?,
            Op::Requeue(_, id) => index.requeue(*id)?,
            Op::Append(..) | Op::Advance(..) | Op::Put(..) | Op::Delete(..) | Op::Add(..) => return Ok(None),
        };
        let id = change.id();
        let attempt = index.get(id).map_or(1, |view| view.attempt);
        let void = self.shared.leases.newest();
        writes.push(Write::Moved(
            id.as_u64(),
            Move {
                at: place(index, id),
                attempt,
                void,
            },
        ));
        Ok(Some(change))
    }

    fn new_record(&mut self, lane: &Lane, octets: &Bytes, now: Timestamp) -> NewRecord {
        let id = RecordId::from_u64(self.next_record);
        self.next_record = self.next_record.saturating_add(1);
        NewRecord {
            id,
            lane: lane.clone(),
            published_at: now,
            size: octets.len(),
        }
    }

    /// What the group changes in a log, beginning with how it is.
    fn log_change<'a>(&self, name: &LogName, group: &'a mut Group) -> &'a mut LogChange {
        group
            .logs
            .entry(name.clone())
            .or_insert_with(|| match self.shared.logs.find(name) {
                Some(cell) => {
                    let state = lock(&cell.state);
                    LogChange {
                        entries: Vec::new(),
                        readers: state.readers.clone(),
                        first: state.first,
                        next: state.next,
                    }
                }
                None => LogChange {
                    entries: Vec::new(),
                    readers: BTreeMap::new(),
                    first: 0,
                    next: 0,
                },
            })
    }

    /// The alarm of a key goes off: its text is published, the value stays without an alarm.
    pub(crate) fn alarm(&mut self, key: &StateKey, value: &Value, group: &mut Group) {
        let Expiry::Alarm(_, name, lane) = &value.expiry else {
            return;
        };
        let text = Bytes::copy_from_slice(key.as_str().as_bytes());
        // Not a write of anybody: version and writer stay.
        let quiet = Value {
            expiry: Expiry::Owner,
            ..value.clone()
        };
        let publish = Step::new(value.step).publish(name.clone(), lane.clone(), text);
        match self.move_records(publish.ops(), true, group) {
            Ok(()) => {
                group.state.insert(key.clone(), Some(Arc::new(quiet)));
                group.alarms.push(name.clone());
            }
            Err(error) => tracing::error!(%error, key = key.space(), "alarm not published"),
        }
    }

    /// Dead letters of a queue that nobody wanted in time.
    pub(crate) fn expire_dead_letters(
        &mut self,
        cell: &Arc<QueueCell>,
        before: Timestamp,
        group: &mut Group,
    ) {
        let mut index = lock(&cell.index);
        for id in index.expired(before, 256) {
            if let Ok(change) = index.discard(id) {
                group.changed(cell, change, false);
                group.stage(Write::Gone(id.as_u64()));
                group.expired.push(cell.name.clone());
            }
        }
    }
}

/// State that a step writes.
struct Writes {
    writes: Vec<(StateKey, Option<Arc<Value>>)>,
    /// A compare found what this step wrote before.
    done_before: Option<u64>,
}

fn matches(there: Option<&Value>, expected: Expected) -> bool {
    match (expected, there) {
        (Expected::Any, _) | (Expected::Absent, None) => true,
        (Expected::Version(version), Some(value)) => value.version == version,
        (Expected::WrittenBy(step), Some(value)) => value.step == step,
        (Expected::Absent, Some(_)) | (Expected::Version(_) | Expected::WrittenBy(_), None) => false,
    }
}

fn version_of(there: Option<&Value>, writer: StepId, key: &StateKey) -> Result<u64, Kind> {
    let own = there.filter(|value| value.step == writer);
    own.map(|value| value.version)
        .ok_or_else(|| Kind::Conflict { key: key.clone() })
}

/// Where the index has a record, as it is written.
fn place(index: &QueueIndex, id: RecordId) -> At {
    let Some(view) = index.get(id) else {
        return At::Ready;
    };
    match view.place {
        Place::Ready | Place::InFlight => At::Ready,
        Place::Deferred => At::Deferred {
            due: view.due.unwrap_or_default(),
            reason: view.reason,
        },
        Place::Held | Place::DeadLetter | Place::Corrupt => At::Aside {
            reason: view.reason,
            since: view.since.unwrap_or_default(),
        },
    }
}

/// Whether a change makes a record ready, now or later.
fn wakes(op: &Op) -> bool {
    match op {
        Op::Publish(..) | Op::Release(..) | Op::Requeue(..) => true,
        Op::Settle(_)
        | Op::Hold(..)
        | Op::DeadLetter(..)
        | Op::Bury(..)
        | Op::Discard(..)
        | Op::Append(..)
        | Op::Advance(..)
        | Op::Put(..)
        | Op::Delete(..)
        | Op::Add(..) => false,
    }
}

/// The queue that a change is about, and whether it puts a new record there.
fn queue_of(op: &Op) -> Option<(&QueueName, bool)> {
    match op {
        Op::Publish(queue, ..) | Op::Bury(queue, ..) => Some((queue, true)),
        Op::Settle(lease) | Op::Release(lease, ..) | Op::Hold(lease, _) | Op::DeadLetter(lease, _) => {
            Some((&lease.queue, false))
        }
        Op::Requeue(queue, _) | Op::Discard(queue, _) => Some((queue, false)),
        Op::Append(..) | Op::Advance(..) | Op::Put(..) | Op::Delete(..) | Op::Add(..) => None,
    }
}

/// Names that do not fit into an entry are refused here, so that writing cannot fail on them.
fn check_names(step: &Step) -> Result<(), Kind> {
    let fits = |text: &str| text.len() <= MAX_TEXT;
    let expiry_fits = |expiry: &Expiry| match expiry {
        Expiry::Alarm(_, queue, lane) => fits(queue.as_str()) && fits(lane.flow.as_str()),
        Expiry::At(_) | Expiry::Owner => true,
    };
    let all_fit = step.ops().iter().all(|op| match op {
        Op::Publish(queue, lane, ..) | Op::Bury(queue, lane, ..) => {
            fits(queue.as_str()) && fits(lane.flow.as_str())
        }
        Op::Append(log, _) => fits(log.as_str()),
        Op::Advance(log, reader, _) => fits(log.as_str()) && fits(reader),
        Op::Put(key, _, _, expiry) | Op::Add(key, _, _, expiry) => fits(key.as_str()) && expiry_fits(expiry),
        Op::Delete(key, _) => fits(key.as_str()),
        Op::Settle(_)
        | Op::Release(..)
        | Op::Hold(..)
        | Op::DeadLetter(..)
        | Op::Requeue(..)
        | Op::Discard(..) => true,
    });
    if all_fit {
        Ok(())
    } else {
        Err(EngineError::Read(format!("a name is longer than {MAX_TEXT} octets")).into())
    }
}
