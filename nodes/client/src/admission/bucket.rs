//! A client's rate at admission: so many parts per second, and so many at once after a pause.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A): one time says it all. Not the limiter of the links, which
//! promises a carrier never more than the rate in any second; here a burst may be larger than that. Reads no clock.
//! Invariant: in any span `t` at most `b + t * rate` parts are admitted, where `b` is the burst, or the parts of the largest
//! message if it has more: such a message waits until nothing is owed, goes whole, and leaves its parts owed.

use std::time::{Duration, Instant};

/// The longest time between two parts that a rate can mean.
const SLOWEST: Duration = Duration::from_secs(24 * 3600);

/// What a client may still send.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    interval: Duration,
    burst: u32,
    /// When nothing is owed any more.
    turn: Option<Instant>,
}

impl Bucket {
    /// A full bucket; `None` when the rate is 0, which is no limit. Below one part a day counts as one a day.
    pub(crate) fn try_new(rate: f64, burst: u32) -> Option<Self> {
        if rate <= 0.0 {
            return None;
        }
        let interval = Duration::try_from_secs_f64(rate.recip())
            .unwrap_or(SLOWEST)
            .clamp(Duration::from_nanos(1), SLOWEST);
        Some(Self {
            interval,
            burst: burst.max(1),
            turn: None,
        })
    }

    /// Takes so many parts, or says how long to wait for them.
    pub(crate) fn take(&mut self, now: Instant, parts: u16) -> Result<(), Duration> {
        let parts = u32::from(parts);
        let turn = self.turn.map_or(now, |turn| turn.max(now));
        let owed = turn.saturating_duration_since(now);
        let ahead = self.interval.saturating_mul(self.burst.saturating_sub(parts));
        match owed.checked_sub(ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => {
                self.turn = turn.checked_add(self.interval.saturating_mul(parts));
                Ok(())
            }
        }
    }

    /// How many parts would go at once now.
    pub(crate) fn left(&self, now: Instant) -> u32 {
        let owed = self
            .turn
            .map_or(Duration::ZERO, |turn| turn.saturating_duration_since(now));
        let owed = owed.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        self.burst.saturating_sub(u32::try_from(owed).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn admitted(bucket: &mut Bucket, now: Instant) -> usize {
        (0..10_000).take_while(|_| bucket.take(now, 1).is_ok()).count()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rate_from_then_on() {
        let start = origin();
        let mut bucket = Bucket::try_new(2.0, 10).unwrap();
        assert_eq!(bucket.left(start), 10);
        assert_eq!(admitted(&mut bucket, start), 10);
        assert_eq!(bucket.left(start), 0);
        assert_eq!(bucket.take(start, 1), Err(Duration::from_millis(500)));
        assert_eq!(admitted(&mut bucket, start + Duration::from_secs(3)), 6);
        assert_eq!(
            admitted(&mut bucket, start + Duration::from_secs(3600)),
            10,
            "no more than a burst is saved up"
        );
    }

    #[test]
    fn a_message_costs_its_parts_and_one_above_the_burst_waits_for_all_of_it() {
        let start = origin();
        let mut bucket = Bucket::try_new(10.0, 5).unwrap();
        assert_eq!(bucket.take(start, 3), Ok(()));
        assert_eq!(bucket.left(start), 2);
        assert_eq!(bucket.take(start, 3), Err(Duration::from_millis(100)));
        // Eight parts do not fit in five, ever: they go when nothing is owed, and the next ones wait for them.
        assert_eq!(bucket.take(start, 8), Err(Duration::from_millis(300)));
        let later = start + Duration::from_millis(300);
        assert_eq!(bucket.take(later, 8), Ok(()));
        assert_eq!(bucket.take(later, 1), Err(Duration::from_millis(400)));
    }

    #[test]
    fn a_tiny_rate_is_a_limit_and_zero_is_none() {
        let start = origin();
        assert!(Bucket::try_new(0.0, 1).is_none());
        let mut bucket = Bucket::try_new(0.000_1, 1).unwrap();
        assert_eq!(admitted(&mut bucket, start), 1);
        assert_eq!(bucket.take(start, 1), Err(Duration::from_secs(10_000)));
    }

    proptest! {
        #[test]
        fn no_span_has_more_than_the_burst_and_the_rate(
            burst in 1..20_u32,
            asks in proptest::collection::vec((0..300_u64, 1..6_u16), 1..60),
        ) {
            let mut bucket = Bucket::try_new(10.0, burst).unwrap();
            let mut now = origin();
            let mut taken: Vec<(Instant, u32)> = Vec::new();
            for (pause, parts) in asks {
                now += Duration::from_millis(pause);
                match bucket.take(now, parts) {
                    Ok(()) => taken.push((now, u32::from(parts))),
                    // Who comes back then is not refused again.
                    Err(wait) => prop_assert!(bucket.clone().take(now + wait, parts).is_ok()),
                }
            }
            for (first, (from, _)) in taken.iter().enumerate() {
                let (mut sum, mut largest) = (0, burst);
                for (to, parts) in &taken[first..] {
                    sum += parts;
                    largest = largest.max(*parts);
                    let most = f64::from(largest) + 10.0 * (*to - *from).as_secs_f64();
                    prop_assert!(f64::from(sum) <= most + 1e-6, "{} in {:?}", sum, *to - *from);
                }
            }
        }
    }
}
