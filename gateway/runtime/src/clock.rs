//! The system's clock: the one place, beside the session driver, that reads time.
//!
//! Invariant: [`Clock::instant`] is tokio's clock, so paused time in a test stops and moves every deadline with it.
//!
//! # Limits
//! Wall time ([`Clock::now`]) is not paused by tokio; a test that checks wall time brings its own [`Clock`].

use smsgw_message::{Clock, Timestamp};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time of the machine, monotonic time of tokio.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock everybody else is given"
        )]
        let now = SystemTime::now();
        let millis = match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            // The machine's clock stands before 1970: say so truthfully.
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }

    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn monotonic_time_follows_paused_time() {
        let clock = SystemClock;
        let before = clock.instant();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.instant() - before, Duration::from_secs(3600));
    }

    #[test]
    fn wall_time_is_this_century() {
        // 2020-01-01 and 2100-01-01.
        let now = SystemClock.now().as_millis();
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&now), "{now}");
    }
}
