//! What people do to a queue that is not a step of traffic: hold, release, move, bound what is dead.
//!
//! Invariant: a record that is taken away from where a change has put it before that change is finished leaves a note
//! (`overtaken`), so that the finish of that change does nothing.

use super::types::{Aside, Deferred, Entry, To, Was};
use super::{At, Change, NewRecord, QueueIndex, Reason, Refused, Stored};
use crate::bound::{Amount, Bound};
use crate::delivery::{Place, RecordId};
use crate::look::{DeadLetters, Held, HoldScope};
use crate::name::Lane;
use crate::step::HoldReason;
use smsgw_message::Timestamp;

impl QueueIndex {
    /// A ready or deferred record waits for a person. The mark of a lost lease stays: it may have been handled.
    pub fn hold_record(
        &mut self,
        id: RecordId,
        reason: HoldReason,
        now: Timestamp,
    ) -> Result<Change, Refused> {
        let was = self.take_waiting(id).ok_or_else(|| self.refusal(id))?;
        let entry = match &was {
            Was::Ready(entry, _) => *entry,
            Was::Deferred(deferred, _) => deferred.entry,
            // Only these two wait.
            Was::Nothing | Was::InFlight(_) | Was::Aside(_) => return Err(Refused::NoRecord(id)),
        };
        let aside = Aside {
            entry,
            reason: Reason::Held(reason),
            since: now,
        };
        self.held.insert(id, aside);
        Ok(Change {
            id,
            was,
            to: To::Aside,
        })
    }

    /// Takes a record out that nobody has under lease, with all that is to be said of it.
    pub fn take(&mut self, id: RecordId) -> Result<(Stored, Change), Refused> {
        let aside = |aside: Aside| Was::Aside(aside);
        let was = self
            .take_waiting(id)
            .or_else(|| self.held.remove(&id).map(aside))
            .or_else(|| self.take_dead_letter(id).map(aside))
            .or_else(|| self.take_corrupt(id).map(aside))
            .ok_or_else(|| self.refusal(id))?;
        let (entry, at) = match &was {
            Was::Ready(entry, _) => (*entry, At::Ready),
            Was::Deferred(deferred, _) => {
                let Deferred { entry, due, reason } = *deferred;
                (entry, At::Deferred { due, reason })
            }
            Was::Aside(Aside { entry, reason, since }) => (
                *entry,
                At::Aside {
                    reason: *reason,
                    since: *since,
                },
            ),
            Was::Nothing | Was::InFlight(_) => return Err(Refused::NoRecord(id)),
        };
        self.octets -= u64::from(entry.size);
        let stored = Stored {
            record: NewRecord {
                id,
                lane: self.lane(&entry),
                published_at: entry.published_at,
                size: usize::try_from(entry.size).expect("usize has at least 32 bits"),
            },
            at,
            attempt: entry.attempt,
            leased_before: entry.leased_before,
        };
        Ok((
            stored,
            Change {
                id,
                was,
                to: To::Gone,
            },
        ))
    }

    /// Puts a record in that was taken out of another queue, or of another lane of this one.
    pub fn put(&mut self, stored: Stored, lane: Lane) -> Change {
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
            ..self.enter(NewRecord { lane, ..record })
        };
        let to = match at {
            At::Ready => {
                self.ready.insert(id, entry);
                To::Ready
            }
            At::Deferred { due, reason } => {
                self.deferred.insert(id, Deferred { entry, due, reason });
                To::Deferred
            }
            At::Aside { reason, since } => {
                self.set_aside(id, Aside { entry, reason, since });
                To::Aside
            }
        };
        Change {
            id,
            was: Was::Nothing,
            to,
        }
    }

    /// Nothing of the scope is checked out from now on. One that is held stays as it is.
    pub fn hold_all(&mut self, scope: HoldScope, reason: HoldReason, since: Timestamp) {
        if let Some(flow) = scope.flow() {
            self.lanes.set_held(flow, true);
        }
        self.holds.entry(scope).or_insert((reason, since));
    }

    /// The scope is checked out again.
    pub fn release_all(&mut self, scope: &HoldScope) {
        if let Some(flow) = scope.flow() {
            self.lanes.set_held(flow, false);
        }
        self.holds.remove(scope);
    }

    /// What is held, the queue as a whole first.
    pub fn holds(&self) -> Vec<Held> {
        let held = |(scope, (reason, since)): (&HoldScope, &(HoldReason, Timestamp))| Held {
            scope: scope.clone(),
            reason: *reason,
            since: *since,
        };
        self.holds.iter().map(held).collect()
    }

    /// What waits: ready, in flight, deferred and held.
    pub fn waits(&self) -> Amount {
        let records = self.ready.len() + self.in_flight.len() + self.deferred.len() + self.held.len();
        let octets =
            self.octets - self.tally.at(Place::DeadLetter).octets - self.tally.at(Place::Corrupt).octets;
        Amount {
            records: u64::try_from(records).expect("usize has at most 64 bits"),
            octets,
        }
    }

    /// Dead letters and corrupt records by reason.
    pub fn dead_letters(&self) -> Vec<DeadLetters> {
        self.tally.each().collect()
    }

    /// The oldest dead letters and the oldest corrupt records, as many as have to go until both keep their bound; at most
    /// `max`. With the reason of each.
    pub fn excess(&self, bound: Bound, max: usize) -> Vec<(RecordId, Reason)> {
        let mut go = Vec::new();
        for (place, records) in [(Place::DeadLetter, &self.dead), (Place::Corrupt, &self.corrupt)] {
            let mut there = self.tally.at(place);
            if !bound.is_exceeded(there) {
                continue;
            }
            for (_, id) in &self.since {
                if go.len() >= max || !bound.is_exceeded(there) {
                    break;
                }
                let Some(aside) = records.get(id) else { continue };
                there = there.minus(Amount {
                    records: 1,
                    octets: u64::from(aside.entry.size),
                });
                go.push((*id, aside.reason));
            }
        }
        go
    }

    /// Takes out what waits, unless a lease of it was lost: it may have been handled.
    pub(super) fn take_unhandled(&mut self, id: RecordId) -> Result<(Was, Entry), Refused> {
        let waiting = self.ready.get(&id).copied();
        let waiting = waiting.or_else(|| Some(self.deferred.get(&id)?.entry));
        let entry = waiting
            .filter(|entry| !entry.leased_before)
            .ok_or_else(|| self.refusal(id))?;
        let was = self.take_waiting(id).ok_or(Refused::NoRecord(id))?;
        Ok((was, entry))
    }

    /// Takes out what waits to become ready or to be checked out.
    fn take_waiting(&mut self, id: RecordId) -> Option<Was> {
        if let Some(entry) = self.ready.remove(&id) {
            let in_line = self.lanes.remove(entry.class, entry.flow, id);
            if !in_line {
                self.overtake(id);
            }
            return Some(Was::Ready(entry, in_line));
        }
        let deferred = self.deferred.remove(&id)?;
        let by_itself = self.due.remove(&(deferred.due, id));
        if !by_itself {
            self.overtake(id);
        }
        Some(Was::Deferred(deferred, by_itself))
    }

    /// The change that has put the record there is not finished, and its finish means nothing any more.
    fn overtake(&mut self, id: RecordId) {
        *self.overtaken.entry(id).or_default() += 1;
    }

    /// Whether a change of this record was overtaken; takes the note away.
    pub(super) fn was_overtaken(&mut self, id: RecordId) -> bool {
        let Some(times) = self.overtaken.get_mut(&id) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            self.overtaken.remove(&id);
        }
        true
    }

    fn refusal(&self, id: RecordId) -> Refused {
        if self.in_flight.contains_key(&id) {
            Refused::Leased(id)
        } else {
            Refused::NoRecord(id)
        }
    }
}
