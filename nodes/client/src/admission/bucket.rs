//! A client's rate at admission: so many messages per second, and so many at once after a pause.
//!
//! The generic cell rate algorithm (ITU-T I.371 annex A): one time says it all. Not the limiter of the links, which
//! promises a carrier never more than the rate in any second; here a burst may be larger than that. Reads no clock.
//! Invariant: in any span `t` at most `burst + t * rate` messages are admitted.

use std::time::{Duration, Instant};

/// The longest time between two messages that a rate can mean.
const SLOWEST: Duration = Duration::from_secs(24 * 3600);

/// What a client may still send.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    interval: Duration,
    /// How far ahead of its turn a message may be.
    ahead: Duration,
    turn: Option<Instant>,
}

impl Bucket {
    /// A full bucket; `None` when the rate is 0, which is no limit. Below one message a day counts as one a day.
    pub(crate) fn try_new(rate: f64, burst: u32) -> Option<Self> {
        if rate <= 0.0 {
            return None;
        }
        let interval = Duration::try_from_secs_f64(rate.recip())
            .unwrap_or(SLOWEST)
            .clamp(Duration::from_nanos(1), SLOWEST);
        Some(Self {
            interval,
            ahead: interval.saturating_mul(burst.saturating_sub(1)),
            turn: None,
        })
    }

    /// Takes one message, or says how long to wait for it.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let turn = self.turn.map_or(now, |turn| turn.max(now));
        let early = turn.saturating_duration_since(now);
        match early.checked_sub(self.ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => {
                self.turn = turn.checked_add(self.interval);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn admitted(bucket: &mut Bucket, now: Instant) -> usize {
        (0..10_000).take_while(|_| bucket.take(now).is_ok()).count()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rate_from_then_on() {
        let start = origin();
        let mut bucket = Bucket::try_new(2.0, 10).unwrap();
        assert_eq!(admitted(&mut bucket, start), 10);
        assert_eq!(bucket.take(start), Err(Duration::from_millis(500)));
        assert_eq!(admitted(&mut bucket, start + Duration::from_secs(3)), 6);
        assert_eq!(
            admitted(&mut bucket, start + Duration::from_secs(3600)),
            10,
            "no more than a burst is saved up"
        );
    }

    #[test]
    fn a_tiny_rate_is_a_limit_and_zero_is_none() {
        let start = origin();
        assert!(Bucket::try_new(0.0, 1).is_none());
        let mut bucket = Bucket::try_new(0.000_1, 1).unwrap();
        assert_eq!(admitted(&mut bucket, start), 1);
        assert_eq!(bucket.take(start), Err(Duration::from_secs(10_000)));
    }
}
