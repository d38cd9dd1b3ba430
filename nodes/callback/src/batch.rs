//! Requests that are being filled: events of one client for one URL, until there are enough, or the first has waited enough.
//!
//! Pure: time is an argument; an item is whatever the caller gives. Invariant: an item that was put in leaves in exactly one
//! unit, in the order in which it came; at most [`MOST`] units are open, with [`MOST_ITEMS`] items
//! and [`MOST_OCTETS`] octets in them.

use smsgw_queue::Flow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Most units that are open: a client may name any number of URLs.
const MOST: usize = 256;
/// Most items in open units together, and most octets.
const MOST_ITEMS: usize = 8_192;
const MOST_OCTETS: usize = 32 * 1024 * 1024;

/// How large a unit may be and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) events: usize,
    pub(crate) octets: usize,
    pub(crate) linger: Duration,
}

/// A unit that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit<T> {
    pub(crate) number: u64,
    pub(crate) items: Vec<T>,
}

#[derive(Debug)]
struct Open<T> {
    number: u64,
    items: Vec<T>,
    octets: usize,
    fill: Fill,
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Batches<T> {
    open: HashMap<(Flow, String), Open<T>>,
}

impl<T> Batches<T> {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new() }
    }

    /// The number of the unit that an item of so many octets would join, when one is open for it.
    pub(crate) fn number(&self, flow: &Flow, url: &str, octets: usize) -> Option<u64> {
        self.open
            .get(&(flow.clone(), url.to_owned()))
            .filter(|open| open.octets.saturating_add(octets) <= open.fill.octets)
            .map(|open| open.number)
    }

    /// Puts an item in, into a unit with number `fresh` when none is open that has room; gives the units that are complete by that.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        (flow, url): (&Flow, &str),
        fill: Fill,
        fresh: u64,
        (item, octets): (T, usize),
    ) -> Vec<Unit<T>> {
        let key = (flow.clone(), url.to_owned());
        let mut complete = Vec::new();
        let no_room = |open: &Open<T>| open.octets.saturating_add(octets) > open.fill.octets;
        if self.open.get(&key).is_some_and(no_room) {
            complete.extend(self.open.remove(&key).map(Open::close));
        } else if !self.open.contains_key(&key) && self.open.len() >= MOST {
            complete.extend(self.oldest());
        }
        let open = self.open.entry(key.clone()).or_insert_with(|| Open {
            number: fresh,
            items: Vec::new(),
            octets: 0,
            fill,
            until: now + fill.linger,
        });
        open.items.push(item);
        open.octets = open.octets.saturating_add(octets);
        if open.items.len() >= open.fill.events || open.octets >= open.fill.octets {
            complete.extend(self.open.remove(&key).map(Open::close));
        }
        while self.is_full() {
            complete.extend(self.oldest());
        }
        complete
    }

    fn is_full(&self) -> bool {
        let sum = |of: fn(&Open<T>) -> usize| self.open.values().map(of).fold(0, usize::saturating_add);
        sum(|open| open.items.len()) > MOST_ITEMS || sum(|open| open.octets) > MOST_OCTETS
    }

    fn oldest(&mut self) -> Option<Unit<T>> {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.until);
        let key = oldest.map(|(key, _)| key.clone())?;
        self.open.remove(&key).map(Open::close)
    }

    /// Units whose first item has waited enough.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Unit<T>> {
        let due: Vec<(Flow, String)> = self
            .open
            .iter()
            .filter(|(_, open)| open.until <= now)
            .map(|(key, _)| key.clone())
            .collect();
        due.iter()
            .filter_map(|key| self.open.remove(key))
            .map(Open::close)
            .collect()
    }

    /// When the next unit has waited enough.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.open.values().map(|open| open.until).min()
    }

    /// Takes out every item.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.open.drain().flat_map(|(_, open)| open.items).collect()
    }
}

impl<T> Open<T> {
    fn close(self) -> Unit<T> {
        Unit {
            number: self.number,
            items: self.items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILL: Fill = Fill {
        events: 3,
        octets: 100,
        linger: Duration::from_millis(50),
    };

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_unit_is_complete_by_count_by_octets_or_by_time() {
        let now = origin();
        let flow = Flow::from("a");
        let mut batches = Batches::new();
        let put = |batches: &mut Batches<u32>, item, octets, fresh| {
            batches.put(now, (&flow, "u"), FILL, fresh, (item, octets))
        };
        assert_eq!(put(&mut batches, 1, 10, 1), []);
        assert_eq!(put(&mut batches, 2, 10, 2), []);
        let by_count = Unit {
            number: 1,
            items: vec![1, 2, 3],
        };
        assert_eq!(put(&mut batches, 3, 10, 3), [by_count]);
        assert_eq!(put(&mut batches, 4, 60, 4), []);
        assert_eq!(batches.number(&flow, "u", 40), Some(4));
        assert_eq!(batches.number(&flow, "u", 41), None, "too large for what is open");
        let by_octets = Unit {
            number: 4,
            items: vec![4],
        };
        assert_eq!(put(&mut batches, 5, 41, 5), [by_octets]);
        let alone = Unit {
            number: 5,
            items: vec![5],
        };
        assert_eq!(
            put(&mut batches, 6, 1_000, 6),
            [
                alone,
                Unit {
                    number: 6,
                    items: vec![6]
                }
            ]
        );
        assert_eq!(put(&mut batches, 7, 1, 7), []);
        assert_eq!(batches.due(now), []);
        assert_eq!(batches.next(), Some(now + FILL.linger));
        let by_time = Unit {
            number: 7,
            items: vec![7],
        };
        assert_eq!(batches.due(now + FILL.linger), [by_time]);
        assert_eq!(batches.next(), None);
    }

    #[test]
    fn open_units_are_bounded_and_targets_apart() {
        let now = origin();
        let flow = Flow::from("a");
        let mut batches = Batches::new();
        let mut complete = 0;
        for n in 0..1_000 {
            let at = now + Duration::from_micros(n);
            complete += batches.put(at, (&flow, &format!("u{n}")), FILL, n, (n, 1)).len();
        }
        assert_eq!((complete, batches.open.len()), (1_000 - MOST, MOST));
        assert_eq!(batches.take_all().len(), MOST);
    }
}
