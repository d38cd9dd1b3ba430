//! At most N parts in any second, as the carrier counts them, spaced; slower while the carrier throttles.
//!
//! Reads no clock. Invariants:
//! - RA-1: at most ceil(rate) parts are granted in any second, whatever the calls and whatever the burst.
//! - RA-2: throttling never stops a link for longer than a second (unless its rate is below one per second anyway).
//!
//! How: one part per interval of `(1 s + guard) / rate`, and a part may be `tolerance` ahead of its turn, so that a timer
//! that fires late costs no throughput. N + 1 parts then span at least `1 s + guard - tolerance`; as the guard is the
//! larger one, that is more than a second, and the rest absorbs the jitter of the network. With a burst the last N grants
//! are remembered and the next one waits until the oldest is `1 s + guard` ago.
//!
//! Throttling halves the rate, at most once a second; each second without throttling gives back a twentieth.
//!
//! One limiter may serve several links and either direction: whoever shares it locks it around a call. Costs are parts;
//! [`RateLimiter::take`] gives what there is, [`RateLimiter::take_all`] all or nothing.
//!
//! # Limits
//! The guard costs 1 % of the rate. Where there is no rate, throttling starts from what was sent in the busier of the
//! last two seconds and is forgotten once four times that is reached again.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);
/// Added to the second, so that the carrier's clock and the network may differ a little.
const GUARD: Duration = Duration::from_millis(10);
/// How far a part may be ahead of its turn; below the guard, above the granularity of timers.
const TOLERANCE: Duration = Duration::from_millis(5);
/// Rates are kept in thousandths of a part per second.
const MILLI: u64 = 1000;
/// What throttling never goes below: one part in a second, guard included.
const SLOWEST: u64 = 1010;

/// Parts per second, to three decimals; zero means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rate {
    milli: u64,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { milli: 0 };

    /// So many parts per second; 0 is unlimited.
    #[must_use]
    pub const fn per_second(parts: u32) -> Self {
        Self {
            milli: (parts as u64).saturating_mul(MILLI),
        }
    }

    /// A fractional rate; 0 is unlimited. `None` for what is no rate: negative, not finite, above 4 billion or so small
    /// that it rounds to unlimited.
    #[must_use]
    pub fn try_per_second(parts: f64) -> Option<Self> {
        // A duration of `parts` seconds has `parts * 1000` milliseconds: the conversion checks sign and range.
        let milli = u64::try_from(Duration::try_from_secs_f64(parts).ok()?.as_millis()).ok()?;
        let known = milli <= Self::per_second(u32::MAX).milli && (milli > 0 || parts == 0.0);
        known.then_some(Self { milli })
    }

    /// Whether there is no limit.
    #[must_use]
    pub const fn is_unlimited(self) -> bool {
        self.milli == 0
    }

    /// Thousandths of a part per second.
    #[must_use]
    pub const fn as_milli(self) -> u64 {
        self.milli
    }
}

/// The slow-down while the carrier throttles.
#[derive(Debug, Clone, Copy)]
struct Slow {
    /// Present rate, thousandths per second.
    milli: u64,
    /// Where the slow-down is over.
    target: u64,
    /// Given back per second.
    step: u64,
    /// When `milli` was computed.
    at: Instant,
    /// When it was cut last.
    cut: Instant,
}

/// Grants parts at a rate.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    rate: Rate,
    burst: u32,
    /// When the next part's turn is; grants are allowed from `tolerance` before it.
    turn: Option<Instant>,
    /// The last grant.
    last: Option<Instant>,
    /// The last grants within `1 s + guard`; only kept with a burst.
    recent: VecDeque<Instant>,
    slow: Option<Slow>,
    /// Grants in the second that began there, and in the one before; tells how fast an unlimited link is.
    second: Option<(Instant, u64)>,
    before: u64,
}

impl RateLimiter {
    /// At most `rate` in any second; up to `burst` (at least 1) at once after a pause.
    #[must_use]
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self {
            rate,
            burst: burst.max(1),
            turn: None,
            last: None,
            recent: VecDeque::new(),
            slow: None,
            second: None,
            before: 0,
        }
    }

    /// Changes rate and burst; what was granted already counts on. A slow-down ends where the limit changes.
    pub fn set_rate(&mut self, rate: Rate, burst: u32) {
        if self.rate != rate {
            self.slow = None;
        }
        // Grants made without a burst were not remembered; the turn of the next one keeps them apart.
        if let (Some(turn), true) = (self.turn, burst.max(1) > self.burst) {
            self.turn = turn.checked_add(SECOND).or(self.turn);
        }
        self.rate = rate;
        self.burst = burst.max(1);
        if self.burst == 1 {
            self.turn = self
                .recent
                .back()
                .copied()
                .and_then(|last| last.checked_add(SECOND))
                .max(self.turn);
            self.recent.clear();
        }
    }

    /// The configured rate.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The rate now, with the slow-down.
    #[must_use]
    pub fn effective(&self, now: Instant) -> Rate {
        match self.slowed(now) {
            Some(slow) => Rate { milli: slow.milli },
            None => self.rate,
        }
    }

    /// How many parts may go now.
    #[must_use]
    pub fn available(&self, now: Instant) -> usize {
        let rate = self.effective(now);
        if rate.is_unlimited() {
            return usize::MAX;
        }
        let interval = interval(rate);
        let ahead = self
            .turn
            .map_or(Duration::ZERO, |turn| turn.saturating_duration_since(now));
        let Some(room) = self.tolerance().checked_sub(ahead) else {
            return 0;
        };
        let more = room.as_nanos().checked_div(interval.as_nanos()).unwrap_or(0);
        let spaced = usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1);
        if self.burst == 1 {
            spaced
        } else {
            spaced.min(self.room_in_second(now))
        }
    }

    /// Takes up to `wanted` parts; returns how many may go.
    pub fn take(&mut self, now: Instant, wanted: usize) -> usize {
        self.slow = self.slowed(now);
        let granted = self.available(now).min(wanted);
        if granted == 0 {
            return 0;
        }
        self.count(now, granted);
        self.last = Some(now);
        let rate = self.effective(now);
        if rate.is_unlimited() {
            return granted;
        }
        let span = interval(rate).saturating_mul(u32::try_from(granted).unwrap_or(u32::MAX));
        let from = self.turn.map_or(now, |turn| turn.max(now));
        self.turn = from.checked_add(span);
        if self.burst > 1 {
            while self
                .recent
                .front()
                .is_some_and(|first| !within_second(*first, now))
            {
                self.recent.pop_front();
            }
            self.recent.extend(std::iter::repeat_n(now, granted));
        }
        granted
    }

    /// Takes `cost` parts at once or none: what admission asks for a message of several parts. 0 is always granted.
    ///
    /// # Errors
    /// When they may go at the earliest, if nothing else is granted before; `None` when so many never go at once: more than
    /// the burst, or more than fit into a second.
    pub fn take_all(&mut self, now: Instant, cost: usize) -> Result<(), Option<Instant>> {
        match self.next_for(now, cost) {
            Some(at) if at <= now => {
                self.take(now, cost);
                Ok(())
            }
            later => Err(later),
        }
    }

    /// When `cost` parts may go at once, if nothing else is granted before: `now` if they may go now, `None` if never. While
    /// the carrier throttles, the answer holds for the present rate; it may be earlier once the rate has recovered.
    #[must_use]
    pub fn next_for(&self, now: Instant, cost: usize) -> Option<Instant> {
        let rate = self.effective(now);
        let Some(more) = cost.checked_sub(1) else {
            return Some(now);
        };
        if rate.is_unlimited() || self.available(now) >= cost {
            return Some(now);
        }
        let lead = interval(rate).saturating_mul(u32::try_from(more).ok()?);
        let early = self.tolerance().checked_sub(lead)?;
        // A limit that came with throttling has no burst to remember and no second to fill.
        if !self.rate.is_unlimited() && cost > self.per_second() {
            return None;
        }
        let turn = self.turn.and_then(|turn| turn.checked_sub(early)).unwrap_or(now);
        let full = self
            .recent
            .len()
            .checked_add(more)
            .and_then(|wanted| wanted.checked_sub(self.per_second()))
            .filter(|_| self.burst > 1 && !self.rate.is_unlimited())
            .and_then(|at| self.recent.get(at))
            .and_then(|at| at.checked_add(SECOND.saturating_add(GUARD)))
            .unwrap_or(now);
        Some(turn.max(full).max(now))
    }

    /// When at least one part may go: `now` if one may go now.
    #[must_use]
    pub fn next(&self, now: Instant) -> Instant {
        if self.available(now) > 0 {
            return now;
        }
        let turn = self
            .turn
            .and_then(|turn| turn.checked_sub(self.tolerance()))
            .unwrap_or(now);
        let window = if self.burst > 1 && self.room_in_second(now) == 0 {
            let oldest = self
                .recent
                .len()
                .checked_sub(self.per_second())
                .and_then(|at| self.recent.get(at));
            oldest
                .and_then(|at| at.checked_add(SECOND.saturating_add(GUARD)))
                .unwrap_or(now)
        } else {
            now
        };
        turn.max(window).max(now)
    }

    /// The carrier says that we are too fast: halves the rate, at most once a second.
    pub fn throttled(&mut self, now: Instant) {
        self.slow = self.slowed(now);
        let (milli, target, step) = match (self.slow, self.rate.is_unlimited()) {
            (Some(slow), _) if now.saturating_duration_since(slow.cut) < SECOND => return,
            (Some(slow), _) => (slow.milli, slow.target, slow.step),
            (None, false) => (self.rate.milli, self.rate.milli, twentieth(self.rate.milli)),
            (None, true) => {
                let seen = self.seen(now).saturating_mul(MILLI).max(MILLI);
                (seen, seen.saturating_mul(4), twentieth(seen))
            }
        };
        // Never below one a second, so that no pause is longer than that, and never above the limit itself.
        let floor = SLOWEST.min(target);
        let half = milli.checked_div(2).unwrap_or(0).max(floor);
        self.slow = Some(Slow {
            milli: half,
            target,
            step,
            at: now,
            cut: now,
        });
        // The next part waits for its new interval, but not longer than a second after the last one.
        let resume = now
            .checked_add(interval(Rate { milli: half }))
            .min(self.last.and_then(|last| last.checked_add(SECOND)));
        self.turn = self.turn.max(resume);
    }

    /// Whether the carrier's throttling slows us down.
    #[must_use]
    pub fn is_slowed(&self, now: Instant) -> bool {
        self.slowed(now).is_some()
    }

    /// The slow-down as it stands at `now`, `None` when it is over.
    fn slowed(&self, now: Instant) -> Option<Slow> {
        let mut slow = self.slow?;
        let passed = now.saturating_duration_since(slow.at);
        let given = u128::from(slow.step)
            .saturating_mul(passed.as_millis())
            .checked_div(1000)
            .unwrap_or(0);
        if given > 0 {
            slow.milli = slow
                .milli
                .saturating_add(u64::try_from(given).unwrap_or(u64::MAX));
            slow.at = now;
        }
        (slow.milli < slow.target).then_some(slow)
    }

    /// How much ahead of its turn a part may be; the same while slowed down.
    fn tolerance(&self) -> Duration {
        if self.rate.is_unlimited() {
            return TOLERANCE;
        }
        interval(self.rate)
            .saturating_mul(self.burst.saturating_sub(1))
            .saturating_add(TOLERANCE)
    }

    /// The rate, rounded up: what fits into one second.
    fn per_second(&self) -> usize {
        usize::try_from(self.rate.milli.div_ceil(MILLI)).unwrap_or(usize::MAX)
    }

    fn room_in_second(&self, now: Instant) -> usize {
        if self.rate.is_unlimited() {
            return usize::MAX;
        }
        let used = self
            .recent
            .iter()
            .rev()
            .take_while(|at| within_second(**at, now))
            .count();
        self.per_second().saturating_sub(used)
    }

    fn count(&mut self, now: Instant, granted: usize) {
        let granted = u64::try_from(granted).unwrap_or(u64::MAX);
        match &mut self.second {
            Some((start, count)) if now.saturating_duration_since(*start) < SECOND => {
                *count = count.saturating_add(granted);
            }
            Some((start, count)) => {
                let recent = now.saturating_duration_since(*start) < SECOND.saturating_mul(2);
                self.before = if recent { *count } else { 0 };
                self.second = Some((now, granted));
            }
            None => self.second = Some((now, granted)),
        }
    }

    fn seen(&self, now: Instant) -> u64 {
        match self.second {
            Some((start, count)) if now.saturating_duration_since(start) < SECOND.saturating_mul(2) => {
                count.max(self.before)
            }
            Some(_) | None => 0,
        }
    }
}

fn within_second(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SECOND.saturating_add(GUARD)
}

fn twentieth(milli: u64) -> u64 {
    // At least one part per second each second, so that slow links recover too.
    milli.checked_div(20).unwrap_or(0).max(MILLI)
}

/// Time from one part to the next, rounded up. Not to be asked for an unlimited rate.
fn interval(rate: Rate) -> Duration {
    let second = u64::try_from(SECOND.saturating_add(GUARD).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(second.saturating_mul(MILLI).div_ceil(rate.milli.max(1)))
}
