//! Which request goes when: a total, a duration, a rate.
//!
//! Reads no clock. Invariant: numbers are given out once, in order, never more than the total and none after the end.

use crate::progress::Progress;
use crate::span;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much and how fast.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct Plan {
    /// Stop after that many; 0: no limit.
    #[arg(long, default_value_t = 0)]
    pub total: u64,
    /// Stop after that time; 0: no limit. Without either, 10 s.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    pub duration: Duration,
    /// That many a second over all connections; 0: as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
}

impl Plan {
    /// So many, as fast as it goes.
    #[must_use]
    pub const fn total(total: u64) -> Self {
        Self {
            total,
            duration: Duration::ZERO,
            rate: 0.0,
        }
    }

    /// The total, and the time: 10 s where neither is given.
    pub(super) fn ends(&self) -> (Option<u64>, Option<Duration>) {
        let total = (self.total > 0).then_some(self.total);
        let duration = (!self.duration.is_zero()).then_some(self.duration);
        match (total, duration) {
            (None, None) => (None, Some(Duration::from_secs(10))),
            ends => ends,
        }
    }

    /// For so long, as fast as it goes.
    #[must_use]
    pub const fn duration(duration: Duration) -> Self {
        Self {
            total: 0,
            duration,
            rate: 0.0,
        }
    }
}

/// The plan being carried out, shared by all connections.
#[derive(Debug)]
pub(super) struct Pace {
    next: AtomicU64,
    total: u64,
    start: Instant,
    end: Option<Instant>,
    rate: f64,
    progress: Arc<Progress>,
}

impl Pace {
    pub(super) fn new(plan: Plan, start: Instant, progress: &Arc<Progress>) -> Self {
        let (total, duration) = plan.ends();
        Self {
            next: AtomicU64::new(0),
            total: total.unwrap_or(u64::MAX),
            start,
            end: duration.and_then(|duration| start.checked_add(duration)),
            rate: plan.rate,
            progress: Arc::clone(progress),
        }
    }

    /// Whether the time of the plan is over, or somebody wants no more of it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.progress.is_stopped() || self.end.is_some_and(|end| now >= end)
    }

    /// The next number and when it is due (`None`: at once); nothing when the plan is done.
    pub(super) fn take(&self, now: Instant) -> Option<(u64, Option<Instant>)> {
        if self.is_over(now) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.total {
            return None;
        }
        if self.rate <= 0.0 {
            return Some((number, None));
        }
        let after = f64::from(u32::try_from(number).unwrap_or(u32::MAX)) / self.rate;
        let due = self
            .start
            .checked_add(Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX))?;
        if self.end.is_some_and(|end| due >= end) {
            None
        } else {
            Some((number, Some(due)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Clock;
    use smsgw_runtime::SystemClock;

    #[test]
    fn a_plan_ends_by_its_total_or_its_time() {
        let start = SystemClock.instant();
        let progress = Arc::new(Progress::default());
        let pace = Pace::new(Plan::total(2), start, &progress);
        assert_eq!(
            [pace.take(start), pace.take(start), pace.take(start)],
            [Some((0, None)), Some((1, None)), None]
        );
        let second = Duration::from_secs(1);
        let pace = Pace::new(
            Plan {
                total: 0,
                duration: second,
                rate: 2.0,
            },
            start,
            &progress,
        );
        assert_eq!(pace.take(start), Some((0, Some(start))));
        assert_eq!(pace.take(start), Some((1, Some(start + second / 2))));
        assert_eq!(pace.take(start), None);
        let unsaid = Pace::new(Plan::total(0), start, &progress);
        assert_eq!(unsaid.take(start + 10 * second), None);
        assert!(unsaid.take(start).is_some());
        progress.stop();
        assert_eq!(unsaid.take(start), None);
    }
}
