//! Looking into a queue without changing it.

use super::types::{Aside, Deferred, Entry};
use super::{QueueIndex, Reason, View};
use crate::delivery::{Depth, Place, RecordId};
use crate::look::Look;
use crate::name::Lane;
use smsgw_message::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;

impl QueueIndex {
    /// One record, wherever it is.
    pub fn get(&self, id: RecordId) -> Option<View> {
        if let Some(entry) = self.ready.get(&id) {
            return Some(self.view(id, entry, Place::Ready));
        }
        if let Some(leased) = self.in_flight.get(&id) {
            return Some(self.view(id, &leased.entry, Place::InFlight));
        }
        if let Some(deferred) = self.deferred.get(&id) {
            return Some(self.view_deferred(id, deferred));
        }
        [&self.held, &self.dead, &self.corrupt]
            .into_iter()
            .find_map(|place| place.get(&id))
            .map(|aside| self.view_aside(id, aside))
    }

    /// Up to `max` records of one place behind `after`, oldest first.
    pub fn browse(&self, place: Place, after: Option<RecordId>, max: usize) -> Vec<View> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let aside = |records: &BTreeMap<RecordId, Aside>| {
            records
                .range(range)
                .take(max)
                .map(|(id, aside)| self.view_aside(*id, aside))
                .collect()
        };
        match place {
            Place::Ready => self
                .ready
                .range(range)
                .take(max)
                .map(|(id, entry)| self.view(*id, entry, place))
                .collect(),
            Place::InFlight => {
                let records = self.in_flight.range(range).take(max);
                records
                    .map(|(id, leased)| self.view(*id, &leased.entry, place))
                    .collect()
            }
            Place::Deferred => {
                let records = self.deferred.range(range).take(max);
                records
                    .map(|(id, deferred)| self.view_deferred(*id, deferred))
                    .collect()
            }
            Place::Held => aside(&self.held),
            Place::DeadLetter => aside(&self.dead),
            Place::Corrupt => aside(&self.corrupt),
        }
    }

    /// Up to `max` dead letters and corrupt records that were set aside at `before` or earlier, oldest first.
    pub fn expired(&self, before: Timestamp, max: usize) -> Vec<RecordId> {
        self.since
            .iter()
            .take_while(|(since, _)| *since <= before)
            .take(max)
            .map(|(_, id)| *id)
            .collect()
    }

    /// When the oldest dead letter or corrupt record was set aside.
    pub fn oldest_dead(&self) -> Option<Timestamp> {
        self.since.first().map(|(since, _)| *since)
    }

    /// How many records are where.
    pub fn depth(&self) -> Depth {
        Depth {
            ready: count(self.ready.len()),
            in_flight: count(self.in_flight.len()),
            deferred: count(self.deferred.len()),
            held: count(self.held.len()),
            dead_letter: count(self.dead.len()),
            corrupt: count(self.corrupt.len()),
            octets: self.octets,
            holds: count(self.holds.len()),
        }
    }

    /// A page of records, and where the next one begins when there may be more.
    pub fn look(&self, look: &Look) -> (Vec<View>, Option<RecordId>) {
        let Look {
            place,
            flow,
            after,
            max,
        } = look;
        let Some(flow) = flow else {
            // One more than asked for tells whether there is more.
            let mut page = self.browse(*place, *after, max.saturating_add(1));
            let more = page.len() > *max;
            page.truncate(*max);
            return (page.clone(), page.last().map(|last| last.id).filter(|_| more));
        };
        if *place == Place::Ready {
            let ids = self.lanes.of_flow(flow, *after, max.saturating_add(1));
            let more = ids.len() > *max;
            let view = |id: RecordId| Some(self.view(id, self.ready.get(&id)?, *place));
            let next = max
                .checked_sub(1)
                .and_then(|last| ids.get(last))
                .copied()
                .filter(|_| more);
            return (ids.into_iter().take(*max).filter_map(view).collect(), next);
        }
        let mut page = Vec::new();
        let mut seen = *after;
        let mut passes = Look::PASSES;
        while *max > 0 && passes > 0 {
            // In portions: a page is done long before the bound, most of the time.
            let portion = self.browse(*place, seen, passes.min(256));
            passes = passes.saturating_sub(256);
            let Some(last) = portion.last().map(|last| last.id) else {
                return (page, None);
            };
            for view in portion {
                if view.lane.flow == *flow {
                    if page.len() == *max {
                        return (page, seen);
                    }
                    page.push(view.clone());
                }
                seen = Some(view.id);
            }
            seen = Some(last);
        }
        (page, seen.filter(|_| *max > 0))
    }

    /// Octets of all records.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ready.len()
            + self.in_flight.len()
            + self.deferred.len()
            + self.held.len()
            + self.dead.len()
            + self.corrupt.len()
    }

    /// There is no record, no change that waits to be finished, and nothing is held: the index may be dropped.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.holds.is_empty()
    }

    pub(super) fn lane(&self, entry: &Entry) -> Lane {
        Lane {
            class: entry.class,
            flow: self.lanes.name(entry.flow),
        }
    }

    fn view(&self, id: RecordId, entry: &Entry, place: Place) -> View {
        View {
            id,
            lane: self.lane(entry),
            place,
            reason: Reason::None,
            attempt: entry.attempt,
            leased_before: entry.leased_before,
            published_at: entry.published_at,
            due: None,
            since: None,
            size: entry.size,
        }
    }

    fn view_deferred(&self, id: RecordId, deferred: &Deferred) -> View {
        let view = self.view(id, &deferred.entry, Place::Deferred);
        View {
            reason: deferred.reason,
            due: Some(deferred.due),
            ..view
        }
    }

    fn view_aside(&self, id: RecordId, aside: &Aside) -> View {
        let view = self.view(id, &aside.entry, aside.reason.place());
        View {
            reason: aside.reason,
            since: Some(aside.since),
            ..view
        }
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).expect("usize has at most 64 bits")
}
