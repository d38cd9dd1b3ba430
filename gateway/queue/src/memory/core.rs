//! What the memory engine holds and how a step changes it. Pure: the time is an argument, the lock is the engine's.
//!
//! Invariant: a step that is refused leaves everything as it was; every change has its `Undo`.

use super::log::Log;
use super::queue::Queue;
use super::state::{Compared, Fired, State, Value};
use crate::bound::{self, Amount, Bounds};
use crate::delivery::{Entry, Lease, Place, Position, RecordId, Versioned};
use crate::engine::{Committed, Want};
use crate::error::{CommitError, CommitErrorKind};
use crate::index::{At, Change, Leased, NewRecord, QueueIndex, Stored};
use crate::look::{Browsed, Look, Page};
use crate::metric;
use crate::name::{Lane, LogName, QueueName, StateKey};
use crate::step::{Expected, Expiry, Op, Step, StepId};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use std::time::Duration;

/// How one change of a step is taken back.
#[derive(Debug)]
enum Undo {
    Moved(QueueName, Change),
    Appended(LogName),
    Advanced(LogName, &'static str, Option<Position>),
    Wrote(StateKey, Option<Value>),
    /// Out of one queue, into another.
    MovedTo {
        from: (QueueName, Change),
        to: (QueueName, Change),
        octets: Bytes,
    },
}

/// What a step knows of itself while it is applied.
struct Applying {
    id: StepId,
    version: u64,
    now: Timestamp,
    undo: Vec<Undo>,
    /// A compare found what this step wrote before: the version of that.
    done_before: Option<u64>,
    wrote: bool,
    sums: Vec<i64>,
}

/// Everything the memory engine holds.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) queues: FxHashMap<QueueName, Queue>,
    pub(super) logs: FxHashMap<LogName, Log>,
    state: State,
    next_record: u64,
    /// Above the token of every lease of a queue that is gone: its leases are not taken for those of the next one.
    tokens: u64,
    next_version: u64,
    retention: Duration,
    pub(super) bounds: Bounds,
    pub(super) closed: bool,
}

impl Core {
    pub(super) fn new(retention: Duration) -> Self {
        Self {
            queues: FxHashMap::default(),
            logs: FxHashMap::default(),
            state: State::default(),
            next_record: 1,
            tokens: 1,
            next_version: 1,
            retention,
            bounds: Bounds::NONE,
            closed: false,
        }
    }

    /// What a new process finds: leases are lost and leave their mark, everything else is as committed.
    pub(super) fn recover(&mut self, now: Timestamp) -> Self {
        let mut found = std::mem::replace(self, Self::new(self.retention));
        self.closed = true;
        found.closed = false;
        for queue in found.queues.values_mut() {
            let mut index = QueueIndex::after(&queue.index);
            for view in Place::ALL
                .into_iter()
                .flat_map(|place| queue.index.browse(place, None, usize::MAX))
            {
                let at = match (view.place, view.due, view.since) {
                    (Place::Deferred, Some(due), _) => At::Deferred {
                        due,
                        reason: view.reason,
                    },
                    (Place::Held | Place::DeadLetter | Place::Corrupt, _, Some(since)) => At::Aside {
                        reason: view.reason,
                        since,
                    },
                    (Place::Ready | Place::InFlight, ..) => At::Ready,
                    (Place::Deferred | Place::Held | Place::DeadLetter | Place::Corrupt, ..) => {
                        unreachable!("these places have a time")
                    }
                };
                let size = usize::try_from(view.size).expect("usize has at least 32 bits");
                let record = NewRecord {
                    id: view.id,
                    lane: view.lane,
                    published_at: view.published_at,
                    size,
                };
                let leased_before = view.leased_before || view.place == Place::InFlight;
                index.restore(
                    Stored {
                        record,
                        at,
                        attempt: view.attempt,
                        leased_before,
                    },
                    now,
                );
            }
            queue.index = index;
        }
        found
    }

    /// Does what has become due: expiry, alarms, deferred records, the retention of dead letters. True when something
    /// may be ready now that was not before.
    pub(super) fn advance(&mut self, now: Timestamp) -> bool {
        let mut woke = false;
        while let Some(fired) = self.state.fire(now) {
            match fired {
                Fired::Expired => {}
                Fired::Alarm(key, queue, lane) => {
                    let record = Bytes::copy_from_slice(key.as_str().as_bytes());
                    metric::published(&queue);
                    let change = self.publish(&queue, lane, record, None, now);
                    self.queue_mut(&queue).index.finish(change);
                    woke = true;
                }
            }
        }
        let retention_ends = now.before(self.retention);
        for (name, queue) in &mut self.queues {
            woke |= queue.index.due(now) > 0;
            for id in queue.index.expired(retention_ends, usize::MAX) {
                queue.discard(id);
                metric::expired(name);
            }
            for (id, reason) in queue.index.excess(self.bounds.dead_letters, usize::MAX) {
                queue.discard(id);
                metric::dropped(name, reason.as_str());
            }
        }
        self.queues.retain(|_, queue| !queue.index.is_empty());
        woke
    }

    /// When something becomes due that a waiting checkout may be waiting for.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        let due = self
            .queues
            .values()
            .filter_map(|queue| queue.index.next_due())
            .min();
        due.into_iter().chain(self.state.next_time()).min()
    }

    /// All of a step or nothing.
    pub(super) fn commit(&mut self, step: Step, now: Timestamp) -> Result<Committed, CommitError> {
        let id = step.id();
        let version = self.next_version;
        self.next_version += 1;
        let mut applying = Applying {
            id,
            version,
            now,
            undo: Vec::new(),
            done_before: None,
            wrote: false,
            sums: Vec::new(),
        };
        let admitted = bound::check(&step)
            .map_err(CommitErrorKind::from)
            .and_then(|()| self.admit(&step));
        if let Err(kind) = admitted {
            return Err(CommitError { step: id, kind });
        }
        for op in step.ops() {
            if let Err(kind) = self.apply(op, &mut applying) {
                for undo in applying.undo.into_iter().rev() {
                    self.undo(undo);
                }
                return Err(CommitError { step: id, kind });
            }
        }
        for done in applying.undo {
            self.finish(done);
        }
        // A hold is true when everything else of the step is.
        for op in step.ops() {
            match op {
                Op::HoldAll(name, scope, reason) => {
                    self.queue_mut(name).index.hold_all(scope.clone(), *reason, now);
                }
                Op::ReleaseAll(name, scope) => {
                    self.queue_mut(name).index.release_all(scope);
                    self.drop_when_empty(name);
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
                | Op::Append(..)
                | Op::Advance(..)
                | Op::Put(..)
                | Op::Delete(..)
                | Op::Add(..) => {}
            }
        }
        step.ops().iter().for_each(metric::count);
        let version = match applying.done_before {
            Some(before) if !applying.wrote => before,
            Some(_) | None => version,
        };
        Ok(Committed {
            version,
            sums: applying.sums,
        })
    }

    /// A step that lets something in is refused where a bound is reached.
    fn admit(&self, step: &Step) -> Result<(), CommitErrorKind> {
        let waits = |name: &QueueName| {
            let queue = self.queues.get(name);
            queue.map_or_else(Amount::default, |queue| queue.index.waits())
        };
        let all = self
            .queues
            .values()
            .fold(Amount::default(), |sum, queue| sum.plus(queue.index.waits()));
        self.bounds.admit(step, all, waits).map_err(CommitErrorKind::Full)
    }

    fn apply(&mut self, op: &Op, step: &mut Applying) -> Result<(), CommitErrorKind> {
        let now = step.now;
        match op {
            Op::Settle(lease) => {
                let change = self.leased(lease)?.settle(lease);
                step.moved(&lease.queue, change)?;
            }
            Op::Release(lease, after, reason, cost) => {
                let change = self.leased(lease)?.release(lease, *after, *reason, *cost, now);
                step.moved(&lease.queue, change)?;
            }
            Op::Hold(lease, reason) => {
                let change = self.leased(lease)?.hold(lease, *reason, now);
                step.moved(&lease.queue, change)?;
            }
            Op::DeadLetter(lease, reason) => {
                let change = self.leased(lease)?.dead_letter(lease, *reason, now);
                step.moved(&lease.queue, change)?;
            }
            Op::Publish(name, lane, record, at) => {
                let change = self.publish(name, lane.clone(), record.clone(), *at, now);
                step.undo.push(Undo::Moved(name.clone(), change));
            }
            Op::Bury(name, lane, record, reason) => {
                let new = self.new_record(lane.clone(), record, now);
                let queue = self.queue_mut(name);
                queue.bodies.insert(new.id, record.clone());
                step.undo
                    .push(Undo::Moved(name.clone(), queue.index.bury(new, *reason, now)));
            }
            Op::Requeue(name, id) => {
                let change = self.existing(name, *id)?.requeue(*id);
                step.moved(name, change)?;
            }
            Op::Discard(name, id) => {
                let change = self.existing(name, *id)?.discard(*id);
                step.moved(name, change)?;
            }
            Op::HoldRecord(name, id, reason) => {
                let change = self.existing(name, *id)?.hold_record(*id, *reason, now);
                step.moved(name, change)?;
            }
            Op::Move(name, id, to, lane) => self.move_record(name, *id, to, lane, step)?,
            // When the step goes through.
            Op::HoldAll(..) | Op::ReleaseAll(..) => {}
            Op::Append(name, record) => {
                self.logs.entry(name.clone()).or_default().append(record.clone());
                step.undo.push(Undo::Appended(name.clone()));
            }
            Op::Advance(name, reader, to) => {
                let before = self.logs.entry(name.clone()).or_default().advance(reader, *to);
                step.undo.push(Undo::Advanced(name.clone(), reader, before));
            }
            Op::Put(key, value, expected, expiry) => self.put(key, value, *expected, expiry, step)?,
            Op::Delete(key, expected) => match self.state.compare(key, *expected, now) {
                Compared::Matches => step
                    .undo
                    .push(Undo::Wrote(key.clone(), self.state.replace(key, None))),
                Compared::Differs => return Err(CommitErrorKind::Conflict { key: key.clone() }),
            },
            // Done before, with what was compared.
            Op::Add(key, ..) if step.done_before.is_some() => {
                step.sums.push(self.sum(key, 0, None, now)?);
            }
            Op::Add(key, delta, floor, expiry) => {
                let sum = self.sum(key, *delta, *floor, now)?;
                step.sums.push(sum);
                self.write(key, Bytes::copy_from_slice(&sum.to_be_bytes()), expiry, step);
            }
        }
        Ok(())
    }

    fn move_record(
        &mut self,
        name: &QueueName,
        id: RecordId,
        to: &QueueName,
        lane: &Lane,
        step: &mut Applying,
    ) -> Result<(), CommitErrorKind> {
        let (stored, out) = self
            .existing(name, id)?
            .take(id)
            .map_err(|refused| refused.into_kind(name))?;
        let octets = self
            .queue_mut(name)
            .bodies
            .remove(&id)
            .expect("a record in the index has octets");
        let target = self.queue_mut(to);
        target.bodies.insert(id, octets.clone());
        let into = target.index.put(stored, lane.clone());
        step.undo.push(Undo::MovedTo {
            from: (name.clone(), out),
            to: (to.clone(), into),
            octets,
        });
        Ok(())
    }

    fn put(
        &mut self,
        key: &StateKey,
        value: &Bytes,
        expected: Expected,
        expiry: &Expiry,
        step: &mut Applying,
    ) -> Result<(), CommitErrorKind> {
        match self.state.compare(key, expected, step.now) {
            Compared::Matches => self.write(key, value.clone(), expiry, step),
            Compared::Differs => match self.state.get(key, step.now) {
                Some(there) if there.written_by == step.id => step.done_before = Some(there.version),
                Some(_) | None => return Err(CommitErrorKind::Conflict { key: key.clone() }),
            },
        }
        Ok(())
    }

    fn write(&mut self, key: &StateKey, value: Bytes, expiry: &Expiry, step: &mut Applying) {
        let value = Value {
            value,
            version: step.version,
            written_by: step.id,
            expiry: expiry.clone(),
        };
        step.undo
            .push(Undo::Wrote(key.clone(), self.state.replace(key, Some(value))));
        step.wrote = true;
    }

    /// What a counter would be. A sum outside of 64 bits is refused like one below the floor.
    fn sum(
        &self,
        key: &StateKey,
        delta: i64,
        floor: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, CommitErrorKind> {
        let count = match self.state.get(key, now) {
            None => 0,
            Some(value) => value
                .to_versioned()
                .as_counter()
                .ok_or_else(|| CommitErrorKind::NotACounter { key: key.clone() })?,
        };
        count
            .checked_add(delta)
            .filter(|sum| floor.is_none_or(|floor| *sum >= floor))
            .ok_or_else(|| CommitErrorKind::Floor { key: key.clone() })
    }

    fn publish(
        &mut self,
        name: &QueueName,
        lane: Lane,
        record: Bytes,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Change {
        let new = self.new_record(lane, &record, now);
        let queue = self.queue_mut(name);
        queue.bodies.insert(new.id, record);
        queue.index.publish(new, at, now)
    }

    fn new_record(&mut self, lane: Lane, record: &Bytes, now: Timestamp) -> NewRecord {
        let id = RecordId::from_u64(self.next_record);
        self.next_record += 1;
        NewRecord {
            id,
            lane,
            published_at: now,
            size: record.len(),
        }
    }

    fn queue_mut(&mut self, name: &QueueName) -> &mut Queue {
        let tokens = self.tokens;
        self.queues.entry(name.clone()).or_insert_with(|| Queue {
            index: QueueIndex::with_token(tokens),
            bodies: FxHashMap::default(),
        })
    }

    fn drop_when_empty(&mut self, name: &QueueName) {
        if self.queues.get(name).is_some_and(|queue| queue.index.is_empty())
            && let Some(queue) = self.queues.remove(name)
        {
            self.tokens = self.tokens.max(queue.index.next_token());
        }
    }

    fn leased(&mut self, lease: &Lease) -> Result<&mut QueueIndex, CommitErrorKind> {
        match self.queues.get_mut(&lease.queue) {
            Some(queue) => Ok(&mut queue.index),
            None => Err(CommitErrorKind::Stale {
                queue: lease.queue.clone(),
                record: lease.record.as_u64(),
            }),
        }
    }

    fn existing(&mut self, name: &QueueName, id: RecordId) -> Result<&mut QueueIndex, CommitErrorKind> {
        match self.queues.get_mut(name) {
            Some(queue) => Ok(&mut queue.index),
            None => Err(CommitErrorKind::NoRecord {
                queue: name.clone(),
                record: id.as_u64(),
            }),
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Moved(name, change) => {
                let queue = self.queue_mut(&name);
                let id = change.id();
                queue.index.undo(change);
                if queue.index.get(id).is_none() {
                    queue.bodies.remove(&id);
                }
                self.drop_when_empty(&name);
            }
            Undo::MovedTo { from, to, octets } => {
                let target = self.queue_mut(&to.0);
                let id = to.1.id();
                target.index.undo(to.1);
                target.bodies.remove(&id);
                self.drop_when_empty(&to.0);
                let source = self.queue_mut(&from.0);
                source.index.undo(from.1);
                source.bodies.insert(id, octets);
            }
            Undo::Appended(name) => {
                if let Some(log) = self.logs.get_mut(&name) {
                    log.undo_append();
                }
            }
            Undo::Advanced(name, reader, before) => {
                if let Some(log) = self.logs.get_mut(&name) {
                    log.undo_advance(reader, before);
                }
            }
            Undo::Wrote(key, before) => {
                self.state.replace(&key, before);
            }
        }
    }

    fn finish(&mut self, done: Undo) {
        match done {
            Undo::Moved(name, change) => {
                let queue = self.queue_mut(&name);
                let id = change.id();
                queue.index.finish(change);
                if queue.index.get(id).is_none() {
                    queue.bodies.remove(&id);
                }
                self.drop_when_empty(&name);
            }
            Undo::MovedTo { from, to, octets: _ } => {
                self.queue_mut(&from.0).index.finish(from.1);
                self.drop_when_empty(&from.0);
                self.queue_mut(&to.0).index.finish(to.1);
            }
            Undo::Advanced(name, ..) => {
                if let Some(log) = self.logs.get_mut(&name) {
                    log.trim();
                }
            }
            Undo::Appended(_) | Undo::Wrote(..) => {}
        }
    }

    /// Leases records, with their octets.
    pub(super) fn checkout(&mut self, name: &QueueName, want: &Want) -> Vec<(Leased, Bytes)> {
        let Some(queue) = self.queues.get_mut(name) else {
            return Vec::new();
        };
        let leased = queue
            .index
            .checkout_within(want.max, want.max_octets, &want.flows);
        leased
            .into_iter()
            .map(|leased| {
                let record = queue
                    .bodies
                    .get(&leased.id)
                    .cloned()
                    .expect("a record in the index has octets");
                (leased, record)
            })
            .collect()
    }

    pub(super) fn look(&self, name: &QueueName, look: &Look) -> Page {
        let Some(queue) = self.queues.get(name) else {
            return Page {
                records: Vec::new(),
                next: None,
            };
        };
        let (views, next) = queue.index.look(look);
        let seen = views.into_iter().map(|view| {
            let record = queue.bodies.get(&view.id).cloned();
            Browsed::new(view, record)
        });
        Page {
            records: seen.collect(),
            next,
        }
    }

    pub(super) fn read(&self, name: &LogName, from: Position, max: usize) -> Vec<Entry> {
        self.logs
            .get(name)
            .map(|log| log.read(from, max))
            .unwrap_or_default()
    }

    pub(super) fn get(&self, key: &StateKey, now: Timestamp) -> Option<Versioned> {
        self.state.get(key, now).map(Value::to_versioned)
    }
}

impl Applying {
    fn moved(
        &mut self,
        queue: &QueueName,
        change: Result<Change, crate::index::Refused>,
    ) -> Result<(), CommitErrorKind> {
        let change = change.map_err(|refused| refused.into_kind(queue))?;
        self.undo.push(Undo::Moved(queue.clone(), change));
        Ok(())
    }
}
