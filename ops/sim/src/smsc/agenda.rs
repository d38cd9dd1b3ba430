//! Things to do later, in the order of their times, then of their entry.
//!
//! Reads no clock. Invariant: what is put in comes out once, never before its time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    order: u64,
    job: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest: that is what the heap gives first.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    entries: BinaryHeap<Entry<T>>,
    order: u64,
}

impl<T> Agenda<T> {
    pub(super) const fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            order: 0,
        }
    }

    pub(super) fn insert(&mut self, at: Instant, job: T) {
        self.order = self.order.saturating_add(1);
        self.entries.push(Entry {
            at,
            order: self.order,
            job,
        });
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.entries.peek().map(|entry| entry.at)
    }

    /// The next job that is due. Call until `None`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<T> {
        if self.next_at()? > now {
            return None;
        }
        self.entries.pop().map(|entry| entry.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Clock;
    use smsgw_runtime::SystemClock;
    use std::time::Duration;

    #[test]
    fn jobs_come_in_the_order_of_time_then_of_entry() {
        let start = SystemClock.instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut agenda = Agenda::new();
        for (seconds, job) in [(2, 'c'), (1, 'a'), (1, 'b'), (3, 'd')] {
            agenda.insert(at(seconds), job);
        }
        assert_eq!(agenda.take_due(start), None);
        let due: Vec<char> = std::iter::from_fn(|| agenda.take_due(at(2))).collect();
        assert_eq!(due, ['a', 'b', 'c']);
        assert_eq!(agenda.next_at(), Some(at(3)));
    }
}
