//! Requests that wait for their answer, and the tombstones of those that waited too long.
//!
//! Knows no protocol: the key is a sequence number, a transaction number or whatever matches answer and request.
//! Invariants: a [`Window`] never holds more than its capacity; a key is in it once; entries leave by [`Window::remove`]
//! or in deadline order. [`Tombstones`] are bounded in number and in time.

use crate::deadlines::Deadlines;
use std::{
    hash::Hash,
    time::{Duration, Instant},
};
use thiserror::Error;

/// Why a request did not get into the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WindowError {
    /// As many are unanswered as allowed.
    #[error("the window is full")]
    Full,
    /// The key is outstanding already.
    #[error("the key is outstanding already")]
    KeyTaken,
}

/// Unanswered requests by key, each with a deadline.
#[derive(Debug)]
pub struct Window<K, V> {
    entries: Deadlines<K, V>,
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V> Window<K, V> {
    /// A window for `capacity` requests.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Deadlines::new(),
            capacity,
        }
    }

    /// Changes the capacity. What is outstanding beyond a smaller one stays; nothing new gets in until it has shrunk.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// How many may be outstanding.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many are outstanding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more fit.
    #[must_use]
    pub fn free(&self) -> usize {
        self.capacity.saturating_sub(self.len())
    }

    /// Whether the key is outstanding.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains(key)
    }

    /// What waits under the key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Notes a request that is sent now and waits until `deadline`.
    ///
    /// # Errors
    /// When the window is full or the key is taken; nothing changes then.
    pub fn insert(&mut self, key: K, value: V, deadline: Instant) -> Result<(), WindowError> {
        if self.free() == 0 {
            return Err(WindowError::Full);
        }
        self.entries
            .insert(key, value, deadline)
            .map_err(|_| WindowError::KeyTaken)
    }

    /// The answer came: takes the request out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// Takes out the next request whose deadline has come, earliest first. Call until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<(K, V)> {
        if self.entries.earliest()? <= now {
            self.entries.pop_earliest()
        } else {
            None
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries.earliest()
    }

    /// Takes everything out, earliest deadline first: what is in doubt when the session ends.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        std::iter::from_fn(|| self.entries.pop_earliest())
    }
}

/// Keys of requests that timed out, remembered for a late answer, and reserved until it comes or the time is over.
#[derive(Debug)]
pub struct Tombstones<K, V> {
    entries: Deadlines<K, V>,
    capacity: usize,
    ttl: Duration,
}

impl<K: Copy + Eq + Hash, V> Tombstones<K, V> {
    /// At most `capacity` of them, each for `ttl`.
    #[must_use]
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        Self {
            entries: Deadlines::new(),
            capacity,
            ttl,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the key is reserved.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains(key)
    }

    /// What is remembered under the key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Remembers a key. What had to be forgotten for it is returned: the oldest when there was no room, the former value
    /// when the key had one, or the value itself when nothing may be remembered.
    pub fn insert(&mut self, now: Instant, key: K, value: V) -> Option<V> {
        if self.capacity == 0 {
            return Some(value);
        }
        let mut forgotten = self.entries.remove(&key);
        if self.entries.len() >= self.capacity {
            forgotten = self.entries.pop_earliest().map(|(_, oldest)| oldest);
        }
        match self
            .entries
            .insert(key, value, now.checked_add(self.ttl).unwrap_or(now))
        {
            Ok(()) => forgotten,
            Err(value) => Some(value),
        }
    }

    /// The late answer came: takes the tombstone out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    /// Takes out the next one whose time is over. Call until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<(K, V)> {
        if self.entries.earliest()? <= now {
            self.entries.pop_earliest()
        } else {
            None
        }
    }

    /// When the next one is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries.earliest()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_full_window_takes_nothing_and_an_answer_frees_a_slot() {
        let t0 = Instant::now();
        let mut window = Window::new(2);
        assert_eq!(window.insert(1, 'a', t0 + ms(10)), Ok(()));
        assert_eq!(window.insert(1, 'b', t0 + ms(10)), Err(WindowError::KeyTaken));
        assert_eq!(window.insert(2, 'b', t0 + ms(20)), Ok(()));
        assert_eq!(window.insert(3, 'c', t0 + ms(30)), Err(WindowError::Full));
        assert_eq!((window.remove(&1), window.free()), (Some('a'), 1));
        assert_eq!(window.remove(&1), None);
        assert_eq!(window.insert(3, 'c', t0 + ms(30)), Ok(()));
    }

    #[test]
    fn expiry_is_in_deadline_order_and_includes_the_deadline_itself() {
        let t0 = Instant::now();
        let mut window = Window::new(10);
        for (key, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            assert_eq!(window.insert(key, (), t0 + ms(at)), Ok(()));
        }
        assert_eq!(window.next_deadline(), Some(t0 + ms(10)));
        assert_eq!(window.expired(t0 + ms(9)), None);
        assert_eq!(window.expired(t0 + ms(10)), Some((2, ())));
        assert_eq!(window.expired(t0 + ms(10)), Some((4, ())));
        assert_eq!(window.expired(t0 + ms(10)), None);
        assert_eq!(window.drain().map(|(key, ())| key).collect::<Vec<_>>(), [3, 1]);
        assert_eq!((window.next_deadline(), window.is_empty()), (None, true));
    }

    #[test]
    fn a_smaller_capacity_keeps_what_is_outstanding() {
        let t0 = Instant::now();
        let mut window = Window::new(3);
        for key in 0..3 {
            assert_eq!(window.insert(key, (), t0), Ok(()));
        }
        window.set_capacity(1);
        assert_eq!((window.len(), window.free()), (3, 0));
        assert_eq!(
            (window.remove(&0), window.remove(&1), window.free()),
            (Some(()), Some(()), 0)
        );
        assert_eq!((window.remove(&2), window.free()), (Some(()), 1));
    }

    #[test]
    fn tombstones_are_bounded_in_number_and_time() {
        let t0 = Instant::now();
        let mut tombs = Tombstones::new(2, ms(100));
        assert_eq!(tombs.insert(t0, 1, 'a'), None);
        assert_eq!(tombs.insert(t0 + ms(1), 2, 'b'), None);
        assert_eq!(tombs.insert(t0 + ms(2), 3, 'c'), Some('a'));
        assert_eq!(
            (tombs.len(), tombs.contains(&1), tombs.contains(&2)),
            (2, false, true)
        );
        assert_eq!(tombs.remove(&2), Some('b'));
        assert_eq!(tombs.expired(t0 + ms(101)), None);
        assert_eq!(tombs.expired(t0 + ms(102)), Some((3, 'c')));
        assert_eq!(Tombstones::new(0, ms(1)).insert(t0, 1, 'x'), Some('x'));
    }

    proptest! {
        /// Against a plain ordered map: same contents, same order of expiry, whatever the order of deadlines.
        #[test]
        fn behaves_like_an_ordered_map(steps in prop::collection::vec((0u8..4, 0u16..40, 0u64..50), 0..300)) {
            let t0 = Instant::now();
            let mut window = Window::new(20);
            let mut model: BTreeMap<(u64, usize), u16> = BTreeMap::new();
            for (order, (what, key, at)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let known = model.values().any(|known| *known == key);
                        let expected = if model.len() == 20 { Err(WindowError::Full) }
                            else if known { Err(WindowError::KeyTaken) } else { Ok(()) };
                        prop_assert_eq!(window.insert(key, order, t0 + ms(at)), expected);
                        if expected.is_ok() {
                            model.insert((at, order), key);
                        }
                    }
                    2 => {
                        let place = model.iter().find(|(_, known)| **known == key).map(|(place, _)| *place);
                        prop_assert_eq!(window.remove(&key), place.map(|(_, order)| order));
                        if let Some(place) = place {
                            model.remove(&place);
                        }
                    }
                    _ => {
                        let due = model.first_key_value().filter(|((when, _), _)| *when <= at).map(|(place, key)| (*place, *key));
                        prop_assert_eq!(window.expired(t0 + ms(at)), due.map(|((_, order), key)| (key, order)));
                        if let Some((place, _)) = due {
                            model.remove(&place);
                        }
                    }
                }
                prop_assert_eq!(window.len(), model.len());
                prop_assert_eq!(window.next_deadline(), model.first_key_value().map(|((when, _), _)| t0 + ms(*when)));
            }
        }
    }
}
