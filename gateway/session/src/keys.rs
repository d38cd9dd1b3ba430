//! Keys for requests where there are few: UCP's TRN 00 to 99, or the sequence numbers of a peer that counts small.
//!
//! Gives each key in turn, so that a key is used again as late as possible. Knows no protocol and holds no request: whether
//! a key is taken is asked of the [`Window`](crate::Window) and the [`Tombstones`](crate::Tombstones). Invariant: a key
//! that is taken is never given.
//!
//! A UCP session keeps its window at 100 at most and room for 100 tombstones, so that none is forgotten early:
//!
//! ```
//! # use smsgw_session::{Keys, Tombstones, Window};
//! # use std::time::Duration;
//! let mut keys = Keys::new(0, 99);
//! let window: Window<u32, u64> = Window::new(10);
//! let late: Tombstones<u32, u64> = Tombstones::new(100, Duration::from_secs(300));
//! let trn = keys.next(|key| window.contains(&key) || late.contains(&key));
//! assert_eq!(trn, Some(0));
//! ```

/// Keys from `first` to `last`, in turn.
#[derive(Debug, Clone)]
pub struct Keys {
    first: u32,
    last: u32,
    next: u32,
}

impl Keys {
    /// Keys from `first` to `last`, both among them; where they are the wrong way round, `first` alone.
    #[must_use]
    pub fn new(first: u32, last: u32) -> Self {
        Self {
            first,
            last: last.max(first),
            next: first,
        }
    }

    /// The next key that is not taken; `None` when all are. Looks at each key once at most.
    pub fn next(&mut self, mut taken: impl FnMut(u32) -> bool) -> Option<u32> {
        let start = self.next;
        loop {
            let key = self.next;
            self.next = if key >= self.last {
                self.first
            } else {
                key.saturating_add(1)
            };
            if !taken(key) {
                return Some(key);
            }
            if self.next == start {
                return None;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests {
    use super::*;
    use crate::{Tombstones, Window, WindowError};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A UCP session's share: a window, tombstones and TRNs.
    struct Trns {
        keys: Keys,
        window: Window<u32, u64>,
        late: Tombstones<u32, u64>,
    }

    impl Trns {
        fn new(window: usize) -> Self {
            Self {
                keys: Keys::new(0, 99),
                window: Window::new(window),
                late: Tombstones::new(100, secs(60)),
            }
        }

        fn submit(&mut self, now: Instant, tag: u64) -> Option<u32> {
            let (window, late) = (&self.window, &self.late);
            if window.free() == 0 {
                return None;
            }
            let trn = self
                .keys
                .next(|key| window.contains(&key) || late.contains(&key))?;
            self.window
                .insert(trn, tag, now + secs(10))
                .expect("free and new");
            Some(trn)
        }

        fn time_out(&mut self, now: Instant) {
            while let Some((trn, tag)) = self.window.expired(now) {
                assert_eq!(
                    self.late.insert(now, trn, tag),
                    None,
                    "no tombstone is forgotten early"
                );
            }
            while self.late.expired(now).is_some() {}
        }
    }

    #[test]
    fn a_trn_whose_answer_is_late_is_reserved_until_its_tombstone_is_over() {
        let t0 = Instant::now();
        let mut trns = Trns::new(100);
        for tag in 0..100 {
            assert_eq!(trns.submit(t0, tag), u32::try_from(tag).ok());
        }
        assert_eq!(trns.submit(t0, 100), None);
        assert_eq!(trns.window.insert(100, 0, t0), Err(WindowError::Full));
        // 97 answers; 5, 6 and 7 stay out.
        for trn in (0..100).filter(|trn| !(5..8).contains(trn)) {
            assert!(trns.window.remove(&trn).is_some());
        }
        trns.time_out(t0 + secs(10));
        let mut given = BTreeSet::new();
        for tag in 0..97 {
            let trn = trns.submit(t0 + secs(10), tag).expect("97 are free");
            assert!(!(5..8).contains(&trn) && given.insert(trn));
        }
        assert_eq!(trns.submit(t0 + secs(10), 0), None, "three are reserved");
        assert_eq!(trns.late.remove(&6), Some(6), "the late answer finds its request");
        assert_eq!(trns.submit(t0 + secs(11), 0), Some(6), "and frees the number");
        trns.late.expired(t0 + secs(70));
        assert!(trns.submit(t0 + secs(70), 0).is_some(), "or the time does");
    }

    #[test]
    fn a_key_comes_again_as_late_as_possible() {
        let mut keys = Keys::new(1, 3);
        let given: Vec<_> = (0..7).filter_map(|_| keys.next(|_| false)).collect();
        assert_eq!(given, [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(keys.next(|key| key != 1), Some(1));
        assert_eq!(keys.next(|_| true), None);
        assert_eq!(Keys::new(7, 2).next(|_| false), Some(7));
        let mut all = Keys::new(u32::MAX, u32::MAX);
        assert_eq!(
            (all.next(|_| false), all.next(|_| false)),
            (Some(u32::MAX), Some(u32::MAX))
        );
    }

    proptest! {
        /// No TRN is in use twice, whatever is answered, late or lost.
        #[test]
        fn a_trn_is_never_given_twice(steps in prop::collection::vec((0u8..4, 0u32..100, 0u64..8), 0..400), window in 1usize..=100) {
            let mut now = Instant::now();
            let mut trns = Trns::new(window);
            for (what, trn, wait) in steps {
                now += secs(wait);
                trns.time_out(now);
                match what {
                    0 | 1 => {
                        let busy = |trns: &Trns, trn| trns.window.contains(&trn) || trns.late.contains(&trn);
                        let before: BTreeSet<u32> = (0..100).filter(|trn| busy(&trns, *trn)).collect();
                        match trns.submit(now, 0) {
                            Some(trn) => prop_assert!(trn < 100 && !before.contains(&trn)),
                            None => prop_assert!(trns.window.free() == 0 || before.len() == 100),
                        }
                    }
                    2 => { trns.window.remove(&trn); }
                    _ => { trns.late.remove(&trn); }
                }
            }
        }
    }
}
