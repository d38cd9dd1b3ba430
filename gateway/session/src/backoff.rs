//! How long to wait before the next attempt: doubling, capped, with jitter.
//!
//! Reads no clock and makes no random numbers: the caller gives one. Invariant: a delay is never below the floor of its
//! cause and never above the larger of cap and floor plus the jitter.

use std::time::Duration;

/// Doubling delays from `first` to `cap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    jitter_percent: u32,
    attempts: u32,
}

impl Default for Backoff {
    /// 0.5 s doubling to 30 s, 20 % jitter.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30), 20)
    }
}

impl Backoff {
    /// Delays from `first` doubling to `cap`, each spread by up to `jitter_percent` (100 at most) in both directions.
    #[must_use]
    pub fn new(first: Duration, cap: Duration, jitter_percent: u32) -> Self {
        Self {
            first,
            cap,
            jitter_percent: jitter_percent.min(100),
            attempts: 0,
        }
    }

    /// The next delay. `random` is any number, evenly spread over its range. `floor` is the least delay for the cause of
    /// the failure (wrong credentials: 60 s); jitter only adds to it, so that peers that fail together come back apart.
    #[must_use]
    pub fn next(&mut self, random: u32, floor: Duration) -> Duration {
        let doubled = 1u32
            .checked_shl(self.attempts)
            .map_or(self.cap, |factor| self.first.saturating_mul(factor));
        let base = doubled.min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        if base > floor {
            // From (100 - jitter) to (100 + jitter) percent.
            self.spread(
                base,
                random,
                100_u32.saturating_sub(self.jitter_percent),
                self.jitter_percent.saturating_mul(2),
            )
            .max(floor)
        } else {
            self.spread(floor, random, 100, self.jitter_percent)
        }
    }

    fn spread(&self, base: Duration, random: u32, from_percent: u32, width_percent: u32) -> Duration {
        let width = base
            .saturating_mul(width_percent)
            .checked_div(100)
            .unwrap_or_default();
        let part = width
            .as_nanos()
            .saturating_mul(u128::from(random))
            .checked_div(u128::from(u32::MAX))
            .unwrap_or(0);
        let low = base
            .saturating_mul(from_percent)
            .checked_div(100)
            .unwrap_or_default();
        low.saturating_add(Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX)))
    }

    /// It worked: the next delay is the first again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many delays were given since the last success.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HALF: u32 = u32::MAX / 2;

    fn about(delay: Duration, millis: u128) -> bool {
        delay.as_millis().abs_diff(millis) <= 1
    }

    #[test]
    fn delays_double_up_to_the_cap_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        for expected in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000] {
            let delay = backoff.next(HALF, Duration::ZERO);
            assert!(about(delay, expected), "{delay:?} instead of {expected} ms");
        }
        assert_eq!(backoff.attempts(), 9);
        backoff.reset();
        assert!(about(backoff.next(HALF, Duration::ZERO), 500));
    }

    #[test]
    fn jitter_spreads_both_ways_and_a_floor_only_upwards() {
        let mut backoff = Backoff::default();
        assert!(about(backoff.next(0, Duration::ZERO), 400));
        assert!(about(backoff.next(u32::MAX, Duration::ZERO), 1200));
        assert!(about(backoff.next(0, Duration::from_secs(60)), 60_000));
        assert!(about(backoff.next(u32::MAX, Duration::from_secs(60)), 72_000));
    }

    #[test]
    fn thousands_of_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(3600), 500);
        for _ in 0..5000 {
            assert!(backoff.next(u32::MAX, Duration::ZERO) <= Duration::from_secs(7200));
        }
    }

    proptest! {
        #[test]
        fn a_delay_stays_between_floor_and_cap_plus_jitter(first in 1u64..10_000, cap in 1u64..100_000, jitter in 0u32..100, floor in 0u64..100_000, randoms in prop::collection::vec(any::<u32>(), 1..50)) {
            let (cap, floor) = (Duration::from_millis(cap), Duration::from_millis(floor));
            let mut backoff = Backoff::new(Duration::from_millis(first), cap, jitter);
            for random in randoms {
                let delay = backoff.next(random, floor);
                prop_assert!(delay >= floor);
                prop_assert!(delay <= cap.max(floor) * (100 + jitter) / 100 + Duration::from_nanos(1));
            }
        }
    }
}
