//! How a limiter slows down while the carrier throttles, and recovers: additive increase, multiplicative decrease.
//!
//! Reads no clock. A cut lasts a second, in which further throttling belongs to it:
//! - the first of a row takes an eighth of the rate: a lone throttle is one part that came a little late, or a neighbour of
//!   ours at the carrier, and costs about a sixth of a second's parts until the rate is back;
//! - the next second of throttling, begun within [`ROW`] of the cut before, takes a quarter, each later one half;
//! - where a share of a second's parts is throttled, the cut is twice that share, up to half, at once.
//!
//! Each second gives back a twentieth. Invariant SL-1: the rate never goes below one part a second, unless the limit is.

use super::{MILLI, SECOND};
use std::time::{Duration, Instant};

/// What throttling never goes below: one part in a second, guard included.
const SLOWEST: u64 = 1015;
/// Throttling within this time after a cut began goes on with its row.
const ROW: Duration = Duration::from_secs(2);

/// The slow-down as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slow {
    /// Present rate, thousandths per second.
    pub(super) milli: u64,
    /// Where the slow-down is over.
    target: u64,
    /// Given back per second.
    step: u64,
    /// When `milli` was computed.
    at: Instant,
}

impl Slow {
    /// As it stands at `now`, `None` when it is over.
    pub(super) fn recovered(mut self, now: Instant) -> Option<Self> {
        let passed = now.saturating_duration_since(self.at);
        let given = u128::from(self.step)
            .saturating_mul(passed.as_millis())
            .checked_div(1000)
            .unwrap_or(0);
        if given > 0 {
            self.milli = self
                .milli
                .saturating_add(u64::try_from(given).unwrap_or(u64::MAX));
            self.at = now;
        }
        (self.milli < self.target).then_some(self)
    }
}

/// The last cut. Outlives the slow-down: slow links recover before the next second is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// When it began.
    at: Instant,
    /// Rate before it.
    from: u64,
    target: u64,
    step: u64,
    /// Answers that throttled, in its second.
    throttled: u64,
    /// Cuts before it in the row.
    row: u32,
}

impl Cut {
    /// One more answer throttles; `before` is the last cut, `slow` the slow-down at `now`, `limit` the configured rate (0 for
    /// none), `seen` the parts of the busier of the last two seconds. Gives the cut, and the slow-down it makes.
    pub(super) fn after(
        before: Option<Self>,
        slow: Option<Slow>,
        limit: u64,
        seen: u64,
        now: Instant,
    ) -> (Self, Slow) {
        let age = |cut: &Self| now.saturating_duration_since(cut.at);
        let cut = match before {
            Some(cut) if age(&cut) < SECOND => Self {
                throttled: cut.throttled.saturating_add(1),
                ..cut
            },
            other => {
                let row = other
                    .filter(|cut| age(cut) < ROW)
                    .map_or(0, |cut| cut.row.saturating_add(1));
                let (from, target, step) = match slow {
                    Some(slow) => (slow.milli, slow.target, slow.step),
                    None if limit > 0 => (limit, limit, twentieth(limit)),
                    None => {
                        let seen = seen.saturating_mul(MILLI).max(MILLI);
                        (seen, seen.saturating_mul(4), twentieth(seen))
                    }
                };
                Self {
                    at: now,
                    from,
                    target,
                    step,
                    throttled: 1,
                    row,
                }
            }
        };
        // Never below one a second, so that no pause is longer than that, and never above the limit itself.
        let floor = SLOWEST.min(cut.target);
        let milli = cut
            .from
            .saturating_sub(cut.taken(seen))
            .min(slow.map_or(u64::MAX, |slow| slow.milli))
            .max(floor);
        let slow = Slow {
            milli,
            target: cut.target,
            step: cut.step,
            at: now,
        };
        (cut, slow)
    }

    /// What it takes off the rate, in thousandths per second.
    fn taken(&self, seen: u64) -> u64 {
        let of = |parts: u64, whole: u64| {
            let share = u128::from(self.from)
                .saturating_mul(u128::from(parts))
                .checked_div(u128::from(whole.max(1)));
            u64::try_from(share.unwrap_or(0)).unwrap_or(u64::MAX)
        };
        let by_row = match self.row {
            0 => of(1, 8),
            1 => of(1, 4),
            2.. => of(1, 2),
        };
        // One alone is no share of anything.
        let by_share = match self.throttled {
            0 | 1 => 0,
            throttled => of(throttled.saturating_mul(2), seen),
        };
        by_row.max(by_share).min(of(1, 2))
    }
}

fn twentieth(milli: u64) -> u64 {
    // At least one part per second each second, so that slow links recover too.
    milli.checked_div(20).unwrap_or(0).max(MILLI)
}
