//! How many requests may be unanswered: fewer while the carrier is slow or says so, more again when it is not.
//!
//! Carriers throttle by errors, by congestion_state, or only by answering late (carrier quirks, item 30). The controller
//! watches the median answer time. While it is near the best there was, the window grows: twice as wide each round at first,
//! and by a step a round once it was too wide; once it is a multiple of the best, requests queue at the carrier and the window shrinks by a
//! share. A *round* is as many answers as the window is wide (5 to 64), to requests that were sent since the last change, so that
//! the effect of a change is seen before the next.
//!
//! Knows no protocol and no clock. Invariants:
//! - CG-1: the limit is never below the floor and never above the ceiling: never a full stop.
//! - CG-2: one round shrinks the window once at most; errors and congestion_state once a second at most.
//!
//! With defaults a carrier that takes C a second and answers after L when idle sees a window between 1.5 and 2 times C * L:
//! it never waits for us, and answers come within about twice L (or L and 50 ms, where that is more).
//!
//! The best answer time ages: a route may have become longer. When it was not seen again for `best_ttl`, the window is
//! narrowed for one short round, so that the carrier's queue drains and the answer time shows without it.
//!
//! # Limits
//! Give only answer times of accepted requests: a refusal comes back faster than any acceptance and would count as best.
//! Under a rate limit far below the carrier's capacity the window stays at the ceiling and does nothing, as it should.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// Errors and congestion_state shrink the window at most once in this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Throttling within this time after the one before is not alone.
const ROW: Duration = Duration::from_secs(2);
/// Answers that make a round, whatever the window.
const ROUND_LEAST: usize = 5;
/// Answers of a round that are kept for the median.
const ROUND_MOST: usize = 64;
/// A median this close to the best (percent) is the best seen again.
const SAME_PERCENT: u32 = 110;

/// How the controller judges and reacts. Every number has a range, see [`CongestionSettings::sanitised`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CongestionSettings {
    /// The window never gets narrower. 1 to 10,000; default 1.
    pub floor: usize,
    /// The window at first, where the ceiling is not below it: it doubles each round until the carrier is slow for the first
    /// time, so that a wide ceiling does not begin with a flood. 1 to 10,000; default 10.
    pub start: usize,
    /// Percent of the best answer time from which the carrier counts as slow. 120 to 1000; default 200.
    pub slow_percent: u32,
    /// And at least that much more than the best, so that the jitter of a fast network is no congestion. 0 to 10 s; default
    /// 50 ms.
    pub slack: Duration,
    /// Percent of the window that is left after a slow round. 10 to 95; default 75. Below 100 * 100 / `slow_percent` the
    /// carrier runs dry after each. After a round that is slower than twice what counts as slow, `throttled_keep_percent`.
    pub keep_percent: u32,
    /// Percent that is left when the carrier goes on refusing by throttling (a lone refusal leaves `keep_percent`), leaves requests
    /// unanswered or says that it is congested. 10 to 95; default 50.
    pub throttled_keep_percent: u32,
    /// Slots given back after a good round. 1 to 1000; default 1.
    pub step: usize,
    /// How long the best answer time counts without being seen again. 5 s to 1 day; default 60 s.
    pub best_ttl: Duration,
    /// How long a congestion_state counts without being said again: peers that have calmed down may just leave it out. 1 s to
    /// 1 day; default 60 s, two intervals of enquire_link.
    pub state_ttl: Duration,
}

impl Default for CongestionSettings {
    fn default() -> Self {
        Self {
            floor: 1,
            start: 10,
            slow_percent: 200,
            slack: Duration::from_millis(50),
            keep_percent: 75,
            throttled_keep_percent: 50,
            step: 1,
            best_ttl: Duration::from_secs(60),
            state_ttl: Duration::from_secs(60),
        }
    }
}

impl CongestionSettings {
    /// The same with every number brought into its range.
    #[must_use]
    pub fn sanitised(self) -> Self {
        Self {
            floor: self.floor.clamp(1, 10_000),
            start: self.start.clamp(1, 10_000),
            slow_percent: self.slow_percent.clamp(120, 1000),
            slack: self.slack.min(Duration::from_secs(10)),
            keep_percent: self.keep_percent.clamp(10, 95),
            throttled_keep_percent: self.throttled_keep_percent.clamp(10, 95),
            step: self.step.clamp(1, 1000),
            best_ttl: self
                .best_ttl
                .clamp(Duration::from_secs(5), Duration::from_secs(86_400)),
            state_ttl: self
                .state_ttl
                .clamp(Duration::from_secs(1), Duration::from_secs(86_400)),
        }
    }
}

/// congestion_state of SMPP 5.0 (§4.8.4.18) by its bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CongestionBand {
    /// 0.
    Idle,
    /// 1 to 29.
    Low,
    /// 30 to 49.
    Medium,
    /// 50 to 79.
    High,
    /// 80 to 89: as much as the peer wants.
    Optimum,
    /// 90 to 99.
    Nearing,
    /// 100, and what is beyond it.
    Congested,
}

impl CongestionBand {
    /// The band of a value.
    #[must_use]
    pub const fn of(state: u8) -> Self {
        match state {
            0 => Self::Idle,
            1..=29 => Self::Low,
            30..=49 => Self::Medium,
            50..=79 => Self::High,
            80..=89 => Self::Optimum,
            90..=99 => Self::Nearing,
            100..=u8::MAX => Self::Congested,
        }
    }
}

/// Why the window is narrower than its ceiling: the last thing that shrank it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Narrowed {
    /// Answers took too long.
    Slow,
    /// The carrier refused by throttling.
    Throttled,
    /// The carrier's congestion_state.
    CongestionState,
    /// Requests were not answered at all.
    TimedOut,
}

impl Narrowed {
    /// The word for logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Throttled => "throttled",
            Self::CongestionState => "congestion_state",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The best answer time and since when it was not seen again.
#[derive(Debug, Clone, Copy)]
struct Best {
    time: Duration,
    seen: Instant,
}

/// A short narrow round that shows the answer time without a queue.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// The window to go back to.
    after: usize,
}

/// The width of a window. Call `answered`, `throttled`, `congestion_state` and `timed_out` as things happen, and send only
/// while fewer than `limit` are unanswered.
#[derive(Debug, Clone)]
pub struct CongestionWindow {
    settings: CongestionSettings,
    ceiling: usize,
    limit: usize,
    /// Nothing has narrowed the window yet: it doubles.
    starting: bool,
    /// Only answers to requests sent from here on are judged.
    since: Option<Instant>,
    /// Answer times of this round.
    round: Vec<Duration>,
    /// Answers of this round, and whether the window was in use when one came.
    answers: usize,
    used: bool,
    best: Option<Best>,
    probe: Option<Probe>,
    cut: Option<Instant>,
    narrowed: Option<Narrowed>,
    /// The last throttling, alone or not.
    throttled: Option<Instant>,
    /// The peer's last word and when it was said; counts for `state_ttl`.
    band: Option<(CongestionBand, Instant)>,
}

impl CongestionWindow {
    /// A window that may get as wide as `ceiling`: the configured window.
    #[must_use]
    pub fn new(settings: CongestionSettings, ceiling: usize) -> Self {
        let settings = settings.sanitised();
        let ceiling = ceiling.max(1);
        Self {
            settings,
            ceiling,
            limit: settings.start.max(settings.floor).min(ceiling),
            starting: true,
            since: None,
            round: Vec::new(),
            answers: 0,
            used: false,
            best: None,
            probe: None,
            cut: None,
            narrowed: None,
            throttled: None,
            band: None,
        }
    }

    /// How many requests may be unanswered now. What is unanswered beyond it stays; nothing new is sent until it has shrunk.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What narrowed the window, `None` when nothing has since it was as wide as configured, or since the start.
    #[must_use]
    pub const fn narrowed(&self) -> Option<Narrowed> {
        self.narrowed
    }

    /// The best median answer time seen lately.
    #[must_use]
    pub fn best(&self) -> Option<Duration> {
        self.best.map(|best| best.time)
    }

    /// The configured window has changed. A wider one is grown into.
    pub fn set_ceiling(&mut self, ceiling: usize) {
        self.ceiling = ceiling.max(1);
        let floor = self.floor();
        self.limit = self.limit.clamp(floor, self.ceiling);
        if let Some(probe) = &mut self.probe {
            probe.after = probe.after.clamp(floor, self.ceiling);
        }
        if self.limit == self.ceiling {
            self.narrowed = None;
        }
    }

    /// An accepted request was answered after `took`; `outstanding` were unanswered just before.
    pub fn answered(&mut self, now: Instant, took: Duration, outstanding: usize) {
        let sent_before_change = self
            .since
            .is_some_and(|since| now.checked_sub(took).is_some_and(|sent| sent < since));
        if sent_before_change {
            return;
        }
        if self.round.len() < ROUND_MOST {
            self.round.push(took);
        }
        self.answers = self.answers.saturating_add(1);
        self.used |= outstanding.saturating_mul(2) >= self.limit;
        // The very first answers come before a queue has built up: they tell the best time.
        let complete = match self.best {
            Some(_) => self.limit.clamp(ROUND_LEAST, ROUND_MOST),
            None => ROUND_LEAST,
        };
        if self.answers >= complete {
            self.judge(now);
        }
    }

    /// A request was refused by throttling: takes as much as a slow round; what goes on within [`ROW`] takes more.
    pub fn throttled(&mut self, now: Instant) {
        let alone = self
            .throttled
            .is_none_or(|last| now.saturating_duration_since(last) >= ROW);
        let recent = self
            .cut
            .is_some_and(|cut| now.saturating_duration_since(cut) < PATIENCE);
        let keep = if alone {
            self.settings.keep_percent
        } else {
            self.settings.throttled_keep_percent
        };
        if !recent {
            self.throttled = Some(now);
        }
        self.shrink_patiently(now, keep, Narrowed::Throttled);
    }

    /// A request was not answered in time.
    pub fn timed_out(&mut self, now: Instant) {
        let keep = self.settings.throttled_keep_percent;
        self.shrink_patiently(now, keep, Narrowed::TimedOut);
    }

    /// The peer's congestion_state: from 80 the window does not grow, from 90 it shrinks by a share, at 100 as by throttling.
    pub fn congestion_state(&mut self, now: Instant, state: u8) {
        let band = CongestionBand::of(state);
        self.band = Some((band, now));
        let keep = match band {
            CongestionBand::Idle
            | CongestionBand::Low
            | CongestionBand::Medium
            | CongestionBand::High
            | CongestionBand::Optimum => return,
            CongestionBand::Nearing => self.settings.keep_percent,
            CongestionBand::Congested => self.settings.throttled_keep_percent,
        };
        self.shrink_patiently(now, keep, Narrowed::CongestionState);
    }

    /// A round is complete.
    fn judge(&mut self, now: Instant) {
        let median = median(&mut self.round);
        let used = self.used;
        self.new_round();
        if let Some(probe) = self.probe.take() {
            // What was best may be no more: this is the answer time without a queue of ours.
            self.best = Some(Best {
                time: median,
                seen: now,
            });
            self.limit = probe.after;
            self.since = Some(now);
            return;
        }
        let best = match self.best {
            Some(best) if median > percent(best.time, SAME_PERCENT) => best,
            Some(best) => Best {
                time: best.time.min(median),
                seen: now,
            },
            None => Best {
                time: median,
                seen: now,
            },
        };
        self.best = Some(best);
        let slow =
            percent(best.time, self.settings.slow_percent).max(best.time.saturating_add(self.settings.slack));
        if now.saturating_duration_since(best.seen) >= self.settings.best_ttl {
            self.start_probe(now, best.time, median);
        } else if median > slow {
            let keep = if median > slow.saturating_mul(2) {
                self.settings.throttled_keep_percent
            } else {
                self.settings.keep_percent
            };
            self.shrink(now, keep, Narrowed::Slow);
        } else if used && self.band(now).is_none_or(|band| band < CongestionBand::Optimum) {
            self.grow(now);
        }
    }

    /// What the peer says of itself, as far as it was said lately.
    fn band(&self, now: Instant) -> Option<CongestionBand> {
        self.band
            .filter(|(_, at)| now.saturating_duration_since(*at) < self.settings.state_ttl)
            .map(|(band, _)| band)
    }

    fn grow(&mut self, now: Instant) {
        let step = if self.starting {
            // Its effect is to be seen before the next.
            self.since = Some(now);
            self.limit
        } else {
            self.settings.step
        };
        self.limit = self.limit.saturating_add(step).min(self.ceiling);
        if self.limit == self.ceiling {
            self.narrowed = None;
        }
    }

    fn new_round(&mut self) {
        self.round.clear();
        self.answers = 0;
        self.used = false;
    }

    /// Narrows to what fits into the best answer time, with a fifth to spare: no queue of ours stands at the carrier then.
    fn start_probe(&mut self, now: Instant, best: Duration, median: Duration) {
        let limit = u128::try_from(self.limit).unwrap_or(u128::MAX);
        let narrow = limit
            .saturating_mul(best.as_micros())
            .saturating_mul(4)
            .checked_div(median.as_micros().saturating_mul(5))
            .and_then(|narrow| usize::try_from(narrow).ok())
            .unwrap_or(1);
        self.probe = Some(Probe { after: self.limit });
        self.limit = narrow.clamp(self.floor(), self.limit);
        self.since = Some(now);
    }

    fn shrink_patiently(&mut self, now: Instant, keep: u32, why: Narrowed) {
        let recent = self
            .cut
            .is_some_and(|cut| now.saturating_duration_since(cut) < PATIENCE);
        if !recent {
            self.cut = Some(now);
            self.shrink(now, keep, why);
        }
    }

    fn shrink(&mut self, now: Instant, keep: u32, why: Narrowed) {
        self.starting = false;
        let from = self.probe.take().map_or(self.limit, |probe| probe.after);
        let kept = usize::try_from(keep)
            .ok()
            .and_then(|keep| from.saturating_mul(keep).checked_div(100))
            .unwrap_or(0);
        self.limit = kept.max(self.floor());
        self.narrowed = (self.limit < self.ceiling).then_some(why);
        self.since = Some(now);
        self.new_round();
    }

    fn floor(&self) -> usize {
        self.settings.floor.min(self.ceiling)
    }
}

fn percent(time: Duration, percent: u32) -> Duration {
    time.saturating_mul(percent).checked_div(100).unwrap_or(time)
}

/// The middle one; the upper of two.
fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len().checked_div(2).unwrap_or(0);
    if times.is_empty() {
        return Duration::ZERO;
    }
    *times.select_nth_unstable(middle).1
}
