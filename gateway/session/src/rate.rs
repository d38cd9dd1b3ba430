//! At most N parts in any second, as the carrier counts them, spaced; slower while the carrier throttles.
//!
//! Reads no clock. Invariants:
//! - RA-1: at most ceil(rate) parts are granted in any `1 s + guard`, whatever the calls and whatever the burst. A part may
//!   therefore reach the carrier up to the guard later than it was granted, and the one after it at once: in no second does
//!   the carrier see more than ceil(rate).
//! - RA-2: throttling never stops a link for longer than a second (unless its rate is below one per second anyway).
//! - RA-3: who asks whenever [`RateLimiter::next`] says so, at most 4 ms late, gets 98 % of the rate.
//!
//! How: the grants of the last `1 s + guard` are remembered ([`grants`]), and the next one waits until the one ceil(rate)
//! before it is that old. Besides, there is one part per interval of `(1 s + guard) / rate`; a part may be `tolerance` (and
//! with a burst so many intervals) ahead of its turn, so that a timer that fires late costs no throughput.
//!
//! Throttling cuts the rate, a little at first and more when it goes on, and each second gives some back ([`slow`]).
//!
//! One limiter may serve several links and either direction: whoever shares it locks it around a call. Costs are parts;
//! [`RateLimiter::take`] gives what there is, [`RateLimiter::take_all`] all or nothing.
//!
//! # Limits
//! The guard costs 1.5 % of the rate. Where there is no rate, throttling starts from what was sent in the busier of the
//! last two seconds and is forgotten once four times that is reached again.

mod grants;
mod slow;
#[cfg(test)]
mod tests;

use self::{
    grants::Grants,
    slow::{Cut, Slow},
};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Added to the second, so that the carrier's clock, the network and a loaded machine may delay a part by that much. With
/// it the rate is used to 98.5 %; what is left to the 98 % that are promised is for late timers.
const GUARD: Duration = Duration::from_millis(15);
/// How far a part may be ahead of its turn: above the granularity of timers.
const TOLERANCE: Duration = Duration::from_millis(15);
/// Rates are kept in thousandths of a part per second.
const MILLI: u64 = 1000;

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

/// Grants parts at a rate.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    rate: Rate,
    burst: u32,
    /// When the next part's turn is; grants are allowed from `tolerance` before it.
    turn: Option<Instant>,
    /// The last grant.
    last: Option<Instant>,
    /// The grants that still count; empty without a rate.
    recent: Grants,
    slow: Option<Slow>,
    cut: Option<Cut>,
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
            recent: Grants::default(),
            slow: None,
            cut: None,
            second: None,
            before: 0,
        }
    }

    /// Changes rate and burst; what was granted under a rate counts on. A slow-down ends where the limit changes.
    pub fn set_rate(&mut self, rate: Rate, burst: u32) {
        if self.rate != rate {
            self.slow = None;
            self.cut = None;
            // Turns of another rate may be far off.
            self.turn = self
                .turn
                .min(self.last.and_then(|last| last.checked_add(interval(rate))));
        }
        self.rate = rate;
        self.burst = burst.max(1);
        if rate.is_unlimited() {
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
        spaced.min(self.room_in_second(now))
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
        if !self.rate.is_unlimited() {
            self.recent.add(now, granted);
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
        let full = self.room_at(cost).unwrap_or(now);
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
        let window = self.room_at(1).unwrap_or(now);
        turn.max(window).max(now)
    }

    /// The carrier says that we are too fast: slows down, a little for a lone throttle, more when it goes on.
    pub fn throttled(&mut self, now: Instant) {
        let before = self.slowed(now);
        let (cut, slow) = Cut::after(self.cut, before, self.rate.milli, self.seen(now), now);
        self.cut = Some(cut);
        self.slow = Some(slow);
        if before.is_some_and(|before| before.milli <= slow.milli) {
            return;
        }
        // The next part waits for its new interval, but not longer than a second after the last one.
        let resume = now
            .checked_add(interval(Rate { milli: slow.milli }))
            .min(self.last.and_then(|last| last.checked_add(SECOND)));
        self.turn = self.turn.max(resume);
    }

    /// Whether the carrier's throttling slows us down.
    #[must_use]
    pub fn is_slowed(&self, now: Instant) -> bool {
        self.slowed(now).is_some()
    }

    fn slowed(&self, now: Instant) -> Option<Slow> {
        self.slow?.recovered(now)
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
        self.per_second().saturating_sub(self.recent.within(now))
    }

    /// From when on so many parts fit into the second; `None` when they do, whatever the time.
    fn room_at(&self, cost: usize) -> Option<Instant> {
        if self.rate.is_unlimited() {
            return None;
        }
        self.recent.at_most(self.per_second().saturating_sub(cost))
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

/// Time from one part to the next, rounded up. Not to be asked for an unlimited rate.
fn interval(rate: Rate) -> Duration {
    let second = u64::try_from(SECOND.saturating_add(GUARD).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(second.saturating_mul(MILLI).div_ceil(rate.milli.max(1)))
}
