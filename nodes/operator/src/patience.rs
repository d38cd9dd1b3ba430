//! How often each part has met a full queue at the carrier, so that its waits grow.
//!
//! Such a retry is free, so the engine's attempt count does not tell. Bounded: at most `capacity` parts, each for at most
//! `TTL` after its last meeting. Invariant PA-1: forgetting only makes a wait shorter.

use smsgw_queue::RecordId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Longer than any pause between two meetings at the default ladder.
const TTL: Duration = Duration::from_secs(600);

/// Meetings with full queues, by record.
#[derive(Debug)]
pub(crate) struct Patience {
    capacity: usize,
    met: HashMap<RecordId, (u32, Instant)>,
    /// In the order of the meetings; an entry whose time is not that of `met` is outdated.
    order: VecDeque<(Instant, RecordId)>,
}

impl Patience {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            met: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// How often before; 0 when it never did.
    pub(crate) fn meetings(&self, record: RecordId) -> u32 {
        self.met.get(&record).map_or(0, |(times, _)| *times)
    }

    /// Once more.
    pub(crate) fn meet(&mut self, record: RecordId, now: Instant) {
        self.forget_old(now);
        let times = self.meetings(record).saturating_add(1);
        self.met.insert(record, (times, now));
        self.order.push_back((now, record));
        while self.met.len() > self.capacity || self.order.len() > self.capacity.saturating_mul(4) {
            if !self.forget_first() {
                break;
            }
        }
    }

    /// The part has ended.
    pub(crate) fn forget(&mut self, record: RecordId) {
        if !self.met.is_empty() {
            self.met.remove(&record);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > TTL)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) -> bool {
        let Some((at, record)) = self.order.pop_front() else {
            return false;
        };
        if self.met.get(&record).is_some_and(|(_, last)| *last == at) {
            self.met.remove(&record);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> RecordId {
        RecordId::from_u64(n)
    }

    #[test]
    fn meetings_are_counted_until_the_part_ends_or_time_passes() {
        let t0 = tokio::time::Instant::now().into_std();
        let mut patience = Patience::new(10);
        assert_eq!(patience.meetings(record(1)), 0);
        patience.meet(record(1), t0);
        patience.meet(record(1), t0 + Duration::from_secs(2));
        patience.meet(record(2), t0 + Duration::from_secs(2));
        assert_eq!(
            (patience.meetings(record(1)), patience.meetings(record(2))),
            (2, 1)
        );
        patience.forget(record(1));
        assert_eq!(patience.meetings(record(1)), 0);
        patience.meet(record(3), t0 + Duration::from_secs(700));
        assert_eq!(patience.meetings(record(2)), 0, "its time is over");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let t0 = tokio::time::Instant::now().into_std();
        let mut patience = Patience::new(3);
        for n in 0..1000 {
            patience.meet(record(n), t0 + Duration::from_millis(n));
        }
        assert_eq!(patience.met.len(), 3);
        assert!(patience.order.len() <= 12);
        assert_eq!(
            (patience.meetings(record(996)), patience.meetings(record(997))),
            (0, 1)
        );
        for n in 0..1000 {
            patience.meet(record(999), t0 + Duration::from_millis(2000 + n));
        }
        assert!(
            patience.order.len() <= 12,
            "one part that meets a full queue for ever stays one part"
        );
        assert!(patience.meetings(record(999)) > 1);
    }
}
