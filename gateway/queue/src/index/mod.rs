//! The state of one queue in memory, without the octets of its records: what is where, and who is next.
//!
//! Pure: no clock (time is an argument), no input or output, no locks. Engines keep one [`QueueIndex`] for each queue
//! behind a lock of theirs.
//!
//! ```text
//!   lock    each op:  publish, settle, release, …  → Change   (checked and applied; a refused step is undone)
//!   write, sync
//!   lock    finish(change): what became ready may be checked out now
//! ```
//! Invariants: a record is at exactly one place; what is not finished is never handed out; what a step did is undone
//! completely; a record that comes back keeps its age and so its place at the front of its flow.
//!
//! # Limits
//! A ready record takes about 80 octets, whatever its flow is called (measured with a million records of a hundred
//! flows); the octets of the record are not among them.

mod lanes;
mod people;
mod tally;
mod types;
mod view;

pub use types::{At, Change, Leased, NewRecord, Reason, Refused, Stored, View};

use crate::delivery::{Lease, Place, RecordId};
use crate::engine::Flows;
use crate::look::HoldScope;
use crate::step::{Cost, DeadReason, HoldReason, ReleaseReason};
use lanes::Lanes;
use smsgw_message::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tally::Tally;
use types::{Aside, Deferred, Entry, InFlight, To, Was};

/// The records of one queue: where they are and in which order they go.
#[derive(Debug)]
pub struct QueueIndex {
    lanes: Lanes,
    ready: BTreeMap<RecordId, Entry>,
    in_flight: BTreeMap<RecordId, InFlight>,
    deferred: BTreeMap<RecordId, Deferred>,
    held: BTreeMap<RecordId, Aside>,
    dead: BTreeMap<RecordId, Aside>,
    corrupt: BTreeMap<RecordId, Aside>,
    /// Deferred records by when they are due.
    due: BTreeSet<(Timestamp, RecordId)>,
    /// Dead letters and corrupt records by when they were set aside.
    since: BTreeSet<(Timestamp, RecordId)>,
    next_token: u64,
    octets: u64,
    /// Dead letters and corrupt records by reason.
    tally: Tally,
    /// What is held until a person releases it.
    holds: BTreeMap<HoldScope, (HoldReason, Timestamp)>,
    /// Changes that are not finished and whose record has been taken away again: how many finishes of it mean nothing.
    overtaken: BTreeMap<RecordId, u32>,
}

impl Default for QueueIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl QueueIndex {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            lanes: Lanes::new(),
            ready: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            deferred: BTreeMap::new(),
            held: BTreeMap::new(),
            dead: BTreeMap::new(),
            corrupt: BTreeMap::new(),
            due: BTreeSet::new(),
            since: BTreeSet::new(),
            next_token: 1,
            octets: 0,
            tally: Tally::default(),
            holds: BTreeMap::new(),
            overtaken: BTreeMap::new(),
        }
    }

    /// An empty queue after `earlier`, whose leases must not be taken for leases of this one. Holds stay.
    pub fn after(earlier: &Self) -> Self {
        let mut index = Self::with_token(earlier.next_token);
        for (scope, (reason, since)) in &earlier.holds {
            index.hold_all(scope.clone(), *reason, *since);
        }
        index
    }

    /// An empty queue whose leases begin with this token: it must be larger than that of every lease ever given of it.
    pub fn with_token(token: u64) -> Self {
        Self {
            next_token: token,
            ..Self::new()
        }
    }

    /// The token of the next lease.
    pub fn next_token(&self) -> u64 {
        self.next_token
    }

    /// A record found at recovery. It may be checked out at once; a deferred one that is due is ready.
    pub fn restore(&mut self, stored: Stored, now: Timestamp) {
        let Stored {
            record,
            at,
            attempt,
            leased_before,
        } = stored;
        let id = record.id;
        let entry = Entry {
            attempt,
            leased_before,
            ..self.enter(record)
        };
        match at {
            At::Ready => self.insert_ready(id, entry),
            At::Deferred { due, .. } if due <= now => self.insert_ready(id, entry),
            At::Deferred { due, reason } => {
                self.deferred.insert(id, Deferred { entry, due, reason });
                self.due.insert((due, id));
            }
            At::Aside { reason, since } => self.set_aside(id, Aside { entry, reason, since }),
        }
    }

    /// A new record, ready now or deferred.
    pub fn publish(&mut self, record: NewRecord, at: Option<Timestamp>, now: Timestamp) -> Change {
        let id = record.id;
        let entry = self.enter(record);
        let to = match at.filter(|due| *due > now) {
            Some(due) => {
                self.deferred.insert(
                    id,
                    Deferred {
                        entry,
                        due,
                        reason: Reason::Scheduled,
                    },
                );
                To::Deferred
            }
            None => {
                self.ready.insert(id, entry);
                To::Ready
            }
        };
        Change {
            id,
            was: Was::Nothing,
            to,
        }
    }

    /// A new record that is a dead letter, or corrupt, from the start.
    pub fn bury(&mut self, record: NewRecord, reason: DeadReason, now: Timestamp) -> Change {
        let id = record.id;
        let entry = self.enter(record);
        self.set_aside(
            id,
            Aside {
                entry,
                reason: Reason::Dead(reason),
                since: now,
            },
        );
        Change {
            id,
            was: Was::Nothing,
            to: To::Aside,
        }
    }

    /// The record is done with.
    pub fn settle(&mut self, lease: &Lease) -> Result<Change, Refused> {
        let leased = self.end_lease(lease)?;
        self.octets -= u64::from(leased.entry.size);
        Ok(Change {
            id: lease.record,
            was: Was::InFlight(leased),
            to: To::Gone,
        })
    }

    /// The record is ready again after a time. A step said what became of it: the mark of a lost lease goes.
    pub fn release(
        &mut self,
        lease: &Lease,
        after: Duration,
        reason: ReleaseReason,
        cost: Cost,
        now: Timestamp,
    ) -> Result<Change, Refused> {
        let leased = self.end_lease(lease)?;
        let id = lease.record;
        let attempt = match cost {
            Cost::Free => leased.entry.attempt,
            Cost::Counted => leased.entry.attempt.saturating_add(1),
        };
        let entry = Entry {
            attempt,
            leased_before: false,
            ..leased.entry
        };
        let due = now.after(after);
        let to = if due > now {
            self.deferred.insert(
                id,
                Deferred {
                    entry,
                    due,
                    reason: Reason::Released(reason),
                },
            );
            To::Deferred
        } else {
            self.ready.insert(id, entry);
            To::Ready
        };
        Ok(Change {
            id,
            was: Was::InFlight(leased),
            to,
        })
    }

    /// The record waits for a person.
    pub fn hold(&mut self, lease: &Lease, reason: HoldReason, now: Timestamp) -> Result<Change, Refused> {
        self.end_lease_aside(lease, Reason::Held(reason), now)
    }

    /// The record becomes a dead letter, or corrupt when that is the reason.
    pub fn dead_letter(
        &mut self,
        lease: &Lease,
        reason: DeadReason,
        now: Timestamp,
    ) -> Result<Change, Refused> {
        self.end_lease_aside(lease, Reason::Dead(reason), now)
    }

    /// A held record or dead letter becomes ready again.
    pub fn requeue(&mut self, id: RecordId) -> Result<Change, Refused> {
        let aside = self
            .held
            .remove(&id)
            .or_else(|| self.take_dead_letter(id))
            .ok_or(Refused::NoRecord(id))?;
        self.ready.insert(id, aside.entry);
        Ok(Change {
            id,
            was: Was::Aside(aside),
            to: To::Ready,
        })
    }

    /// A held record, dead letter or corrupt record is deleted; so is one that waits and that nobody ever lost under lease.
    pub fn discard(&mut self, id: RecordId) -> Result<Change, Refused> {
        let aside = self
            .held
            .remove(&id)
            .or_else(|| self.take_dead_letter(id))
            .or_else(|| self.take_corrupt(id));
        let (was, entry) = match aside {
            Some(aside) => (Was::Aside(aside), aside.entry),
            None => self.take_unhandled(id)?,
        };
        self.octets -= u64::from(entry.size);
        Ok(Change {
            id,
            was,
            to: To::Gone,
        })
    }

    /// The step of this change is refused: everything is as it was before. Changes are undone last first, before the
    /// queue is touched in any other way.
    pub fn undo(&mut self, change: Change) {
        let Change { id, was, to: _ } = change;
        let now = self.remove_unfinished(id);
        match was {
            Was::Nothing => {
                if let Some(entry) = now {
                    self.octets -= u64::from(entry.size);
                    self.lanes.leave(entry.flow);
                }
            }
            Was::InFlight(leased) => {
                if now.is_none() {
                    self.octets += u64::from(leased.entry.size);
                }
                self.in_flight.insert(id, leased);
            }
            Was::Aside(aside) => {
                if now.is_none() {
                    self.octets += u64::from(aside.entry.size);
                }
                self.set_aside(id, aside);
            }
            Was::Ready(entry, in_line) => {
                if now.is_none() {
                    self.octets += u64::from(entry.size);
                }
                self.ready.insert(id, entry);
                if in_line {
                    self.lanes.push(entry.class, entry.flow, id);
                } else {
                    self.was_overtaken(id);
                }
            }
            Was::Deferred(deferred, by_itself) => {
                if now.is_none() {
                    self.octets += u64::from(deferred.entry.size);
                }
                self.deferred.insert(id, deferred);
                if by_itself {
                    self.due.insert((deferred.due, id));
                } else {
                    self.was_overtaken(id);
                }
            }
        }
    }

    /// The step of this change is durable: what it made ready may be checked out, what it deferred becomes due.
    pub fn finish(&mut self, change: Change) {
        let Change { id, was, to } = change;
        match to {
            To::Ready | To::Deferred if self.was_overtaken(id) => {}
            To::Ready => {
                let entry = self
                    .ready
                    .get(&id)
                    .expect("what takes a ready record away says that it overtook a change");
                self.lanes.push(entry.class, entry.flow, id);
            }
            To::Deferred => {
                let deferred = self
                    .deferred
                    .get(&id)
                    .expect("what takes a deferred record away says that it overtook a change");
                self.due.insert((deferred.due, id));
            }
            // A later change of the same call may have moved it on already.
            To::Aside => {}
            To::Gone => match was {
                Was::Nothing => {}
                Was::InFlight(InFlight { entry, .. })
                | Was::Aside(Aside { entry, .. })
                | Was::Ready(entry, _)
                | Was::Deferred(Deferred { entry, .. }, _) => self.lanes.leave(entry.flow),
            },
        }
    }

    /// Leases up to `max` records: classes by weight, flows of a class in turn, records of a flow by age.
    pub fn checkout(&mut self, max: usize, flows: &Flows) -> Vec<Leased> {
        self.checkout_within(max, u64::MAX, flows)
    }

    /// Leases up to `max` records of at most `max_octets` together, or one record that is larger. Nothing of what is held.
    pub fn checkout_within(&mut self, max: usize, max_octets: u64, flows: &Flows) -> Vec<Leased> {
        if self.holds.contains_key(&HoldScope::Queue) {
            return Vec::new();
        }
        let Some(mut walk) = self.lanes.walk(flows) else {
            return Vec::new();
        };
        let mut leased: Vec<Leased> = Vec::with_capacity(max.min(self.ready.len()));
        let mut room = max_octets;
        while leased.len() < max {
            let (ready, first) = (&self.ready, leased.is_empty());
            let fits = |id: RecordId| {
                max_octets == u64::MAX
                    || first
                    || ready.get(&id).is_some_and(|entry| u64::from(entry.size) <= room)
            };
            let Some(id) = self.lanes.pop_if(&mut walk, fits) else {
                break;
            };
            let entry = self.ready.remove(&id).expect("what stands in a line is ready");
            let token = self.next_token;
            self.next_token += 1;
            room = room.saturating_sub(u64::from(entry.size));
            leased.push(Leased {
                id,
                token,
                lane: self.lane(&entry),
                attempt: entry.attempt,
                leased_before: entry.leased_before,
                published_at: entry.published_at,
                size: entry.size,
            });
            self.in_flight.insert(id, InFlight { entry, token });
        }
        leased
    }

    /// The checkout did not happen (its lease mark could not be written): the record is ready as it was. Nothing
    /// happens when the lease is stale.
    pub fn put_back(&mut self, id: RecordId, token: u64) {
        if let Some(leased) = self.take_lease(id, token) {
            self.insert_ready(id, leased.entry);
        }
    }

    /// The delivery was dropped. When its lease was good, the record is ready again, marked as possibly handled.
    pub fn abandon(&mut self, lease: &Lease) -> bool {
        match self.take_lease(lease.record, lease.token) {
            Some(leased) => {
                self.insert_ready(
                    lease.record,
                    Entry {
                        leased_before: true,
                        ..leased.entry
                    },
                );
                true
            }
            None => false,
        }
    }

    /// Deferred records whose time has come are ready. How many.
    pub fn due(&mut self, now: Timestamp) -> usize {
        let mut moved = 0;
        while let Some((due, id)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            let deferred = self.deferred.remove(&id).expect("what is due is deferred");
            self.insert_ready(id, deferred.entry);
            moved += 1;
        }
        moved
    }

    /// When the next deferred record is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A record enters the queue.
    fn enter(&mut self, record: NewRecord) -> Entry {
        let NewRecord {
            id: _,
            lane,
            published_at,
            size,
        } = record;
        // Octets are for gauges; a record of 4 GiB and more does not pass the engines' limits anyway.
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.octets += u64::from(size);
        Entry {
            published_at,
            attempt: 1,
            size,
            flow: self.lanes.join(&lane.flow),
            class: lane.class,
            leased_before: false,
        }
    }

    /// Ready, and to be checked out.
    fn insert_ready(&mut self, id: RecordId, entry: Entry) {
        self.lanes.push(entry.class, entry.flow, id);
        self.ready.insert(id, entry);
    }

    fn set_aside(&mut self, id: RecordId, aside: Aside) {
        let records = match aside.reason.place() {
            Place::DeadLetter => {
                self.since.insert((aside.since, id));
                self.tally.add(aside.reason, aside.entry.size);
                &mut self.dead
            }
            Place::Corrupt => {
                self.since.insert((aside.since, id));
                self.tally.add(aside.reason, aside.entry.size);
                &mut self.corrupt
            }
            // Nobody is set aside with a reason of the other places.
            Place::Held | Place::Ready | Place::InFlight | Place::Deferred => &mut self.held,
        };
        records.insert(id, aside);
    }

    fn take_dead_letter(&mut self, id: RecordId) -> Option<Aside> {
        let aside = self.dead.remove(&id)?;
        self.since.remove(&(aside.since, id));
        self.tally.remove(aside.reason, aside.entry.size);
        Some(aside)
    }

    fn take_corrupt(&mut self, id: RecordId) -> Option<Aside> {
        let aside = self.corrupt.remove(&id)?;
        self.since.remove(&(aside.since, id));
        self.tally.remove(aside.reason, aside.entry.size);
        Some(aside)
    }

    fn take_lease(&mut self, id: RecordId, token: u64) -> Option<InFlight> {
        self.in_flight.get(&id).filter(|leased| leased.token == token)?;
        self.in_flight.remove(&id)
    }

    fn end_lease(&mut self, lease: &Lease) -> Result<InFlight, Refused> {
        self.take_lease(lease.record, lease.token)
            .ok_or(Refused::Stale(lease.record))
    }

    fn end_lease_aside(&mut self, lease: &Lease, reason: Reason, now: Timestamp) -> Result<Change, Refused> {
        let leased = self.end_lease(lease)?;
        let id = lease.record;
        let entry = Entry {
            leased_before: false,
            ..leased.entry
        };
        self.set_aside(
            id,
            Aside {
                entry,
                reason,
                since: now,
            },
        );
        Ok(Change {
            id,
            was: Was::InFlight(leased),
            to: To::Aside,
        })
    }

    /// Takes a record out of where a change that is not finished has put it: it stands in no line and is not due.
    fn remove_unfinished(&mut self, id: RecordId) -> Option<Entry> {
        self.ready
            .remove(&id)
            .or_else(|| self.deferred.remove(&id).map(|deferred| deferred.entry))
            .or_else(|| self.held.remove(&id).map(|aside| aside.entry))
            .or_else(|| self.take_dead_letter(id).map(|aside| aside.entry))
            .or_else(|| self.take_corrupt(id).map(|aside| aside.entry))
    }
}

#[cfg(test)]
mod tests;
