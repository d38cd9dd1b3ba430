//! Steps on their way to one sync: each is checked and applied against what the steps before it left, or refused
//! without a trace.
//!
//! Order of a step: space, names and bounds, then state (which may read the disk), then its queues under their locks, then all
//! that cannot fail. Invariants: after a refused step the group is as before it; what is staged here is visible to
//! nobody but later steps of the group until it was written, synced and published (commit.rs).

use crate::format::{Home, Move, Value, block, due_of};
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
    Amount, CommitErrorKind, Committed, EngineError, Expected, Expiry, Lane, LogName, Op, Place, QueueName,
    RecordId, StateKey, Step, StepId, check,
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
        check(step)?;
        self.admit(step)?;
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
                Op::Append(log, entry) => self.log_change(log, group).append(entry),
                Op::Advance(log, reader, to) => self.log_change(log, group).advance(reader, *to),
                Op::Settle(_)
                | Op::Release(..)
                | Op::Hold(..)
                | Op::DeadLetter(..)
                | Op::Publish(..)
                | Op::Bury(..)
                | Op::Requeue(..)
                | Op::Discard(..)
                | Op::HoldRecord(..)
                | Op::Move(..)
                | Op::Put(..)
                | Op::Delete(..)
                | Op::Add(..) => {}
                Op::HoldAll(queue, scope, reason) => group.hold(&self.cell(queue), scope, Some(*reason)),
                Op::ReleaseAll(queue, scope) => group.hold(&self.cell(queue), scope, None),
            }
        }
        for op in step.ops() {
            if let Op::Advance(log, ..) = op {
                self.log_change(log, group).trim();
            }
        }
        let wrote = !state.writes.is_empty();
        group.state.extend(state.writes);
        // A repeated step that had nothing left to write is answered as it was then.
        let version = state.done_before.filter(|_| !wrote).unwrap_or(version);
        Ok(Committed {
            version,
            sums: state.sums,
        })
    }

    /// A step that lets something in is refused where a bound is reached.
    fn admit(&self, step: &Step) -> Result<(), Kind> {
        let waits = |name: &QueueName| {
            let cell = self.shared.queues.find(name);
            cell.map_or_else(Amount::default, |cell| lock(&cell.index).waits())
        };
        self.bounds.admit(step, self.waiting, waits).map_err(Kind::Full)
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
            Cached::Unknown if !self.families.may_have(key.as_str()) => {
                self.metrics.state_hits.inc();
                Ok(None)
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
            sums: Vec::new(),
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
                if own.done_before.is_some() {
                    // Done then, with what was compared.
                    own.sums.push(count);
                    return Ok(());
                }
                // A sum outside of 64 bits is refused like one below the floor.
                let sum = count
                    .checked_add(*delta)
                    .filter(|sum| floor.is_none_or(|floor| *sum >= floor));
                let sum = sum.ok_or_else(|| Kind::Floor { key: key.clone() })?;
                own.sums.push(sum);
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
            | Op::HoldRecord(..)
            | Op::Move(..)
            | Op::HoldAll(..)
            | Op::ReleaseAll(..)
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
            for (name, publishes) in queues_of(op).into_iter().flatten() {
                let cell = match cells.iter().find(|cell| cell.name == *name) {
                    Some(cell) => cell.clone(),
                    None => {
                        let cell = self.cell(name);
                        cells.push(cell.clone());
                        cell
                    }
                };
                if publishes && cell.number() == 0 {
                    cell.set_number(self.next_number);
                    self.next_number = self.next_number.saturating_add(1);
                    group.numbered.push(cell);
                }
            }
        }
        if cells.is_empty() {
            return Ok(());
        }
        let mut writes = std::mem::take(&mut self.writes);
        let mut changes: Vec<(usize, Change, bool)> = Vec::with_capacity(ops.len());
        let mut indexes: Vec<MutexGuard<'_, QueueIndex>> =
            cells.iter().map(|cell| lock(&cell.index)).collect();
        let waits = |indexes: &[MutexGuard<'_, QueueIndex>]| {
            let waits = indexes.iter().map(|index| index.waits());
            waits.fold(Amount::default(), Amount::plus)
        };
        let before = waits(&indexes);
        let mut refused = None;
        for op in ops {
            let [Some((name, _)), other] = queues_of(op) else {
                continue;
            };
            let find = |name: &QueueName| cells.iter().enumerate().find(|(_, cell)| cell.name == *name);
            let Some((at, cell)) = find(name) else { continue };
            if let (Op::Move(_, id, _, lane), Some((other, _))) = (op, other) {
                let Some((to, target)) = find(other) else { continue };
                match self.move_away(*id, lane, (at, to, target.number()), &mut indexes, &mut writes) {
                    Ok([out, into]) => changes.extend([(at, out, false), (to, into, true)]),
                    Err(why) => {
                        refused = Some(why.into_kind(name));
                        break;
                    }
                }
                continue;
            }
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
        self.waiting = self.waiting.minus(before).plus(waits(&indexes));
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
                    published_at: now,
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
                    published_at: now,
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
            Op::HoldRecord(_, id, reason) => index.hold_record(*id, *reason, now)?,
            Op::Move(..)
            | Op::HoldAll(..)
            | Op::ReleaseAll(..)
            | Op::Append(..)
            | Op::Advance(..)
            | Op::Put(..)
            | Op::Delete(..)
            | Op::Add(..) => return Ok(None),
        };
        writes.push(self.moved(index, queue, change.id()));
        Ok(Some(change))
    }

    /// Takes a record out of one queue and puts it into a lane of another one, or of the same.
    fn move_away(
        &mut self,
        id: RecordId,
        lane: &Lane,
        (from, to, queue): (usize, usize, u32),
        indexes: &mut [MutexGuard<'_, QueueIndex>],
        writes: &mut Vec<Write>,
    ) -> Result<[Change; 2], Refused> {
        let source = indexes.get_mut(from).ok_or(Refused::NoRecord(id))?;
        let (stored, out) = source.take(id)?;
        // Once moved, every later entry of it says where it is, even when this step is refused.
        self.elsewhere.insert(id.as_u64());
        let target = indexes.get_mut(to).expect("both queues of the step are locked");
        let into = target.put(stored, lane.clone());
        writes.push(self.moved(target, queue, id));
        Ok([out, into])
    }

    /// The entry that says where a record is now.
    fn moved(&self, index: &QueueIndex, queue: u32, id: RecordId) -> Write {
        let view = index.get(id);
        let leased_before = view.as_ref().is_some_and(|view| view.leased_before);
        let home = view
            .as_ref()
            .filter(|_| self.elsewhere.contains(&id.as_u64()))
            .map(|view| Home {
                queue,
                lane: view.lane.clone(),
            });
        Write::Moved(
            id.as_u64(),
            Move {
                at: place(index, id),
                attempt: view.map_or(1, |view| view.attempt),
                // Where the mark of a lost lease still counts, it does so after a restart, too.
                void: if leased_before {
                    0
                } else {
                    self.shared.leases.newest()
                },
                home,
            },
        )
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
                        block: block::Encoder::default(),
                        readers: state.readers.clone(),
                        first: state.first,
                        next: state.next,
                    }
                }
                None => LogChange {
                    block: block::Encoder::default(),
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
}

/// State that a step writes.
struct Writes {
    writes: Vec<(StateKey, Option<Arc<Value>>)>,
    /// A compare found what this step wrote before.
    done_before: Option<u64>,
    /// What counters were after each add.
    sums: Vec<i64>,
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
        Op::Publish(..) | Op::Release(..) | Op::Requeue(..) | Op::Move(..) => true,
        Op::Settle(_)
        | Op::Hold(..)
        | Op::HoldRecord(..)
        | Op::HoldAll(..)
        | Op::ReleaseAll(..)
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

/// The queues that a change is about, and whether it puts a record there that was not there before.
fn queues_of(op: &Op) -> [Option<(&QueueName, bool)>; 2] {
    match op {
        Op::Publish(queue, ..) | Op::Bury(queue, ..) => [Some((queue, true)), None],
        Op::Settle(lease) | Op::Release(lease, ..) | Op::Hold(lease, _) | Op::DeadLetter(lease, _) => {
            [Some((&lease.queue, false)), None]
        }
        Op::Requeue(queue, _) | Op::Discard(queue, _) | Op::HoldRecord(queue, ..) => {
            [Some((queue, false)), None]
        }
        Op::Move(queue, _, to, _) => [Some((queue, false)), Some((to, true))],
        Op::HoldAll(..)
        | Op::ReleaseAll(..)
        | Op::Append(..)
        | Op::Advance(..)
        | Op::Put(..)
        | Op::Delete(..)
        | Op::Add(..) => [None, None],
    }
}
