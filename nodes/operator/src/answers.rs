//! How long a carrier took for its last answers, and what it last complained about: for status pages.
//!
//! Pure; time is an argument. Counts in classes of equal ratio, so it holds the same memory whatever comes. Invariant AN-1:
//! a percentile is of the last 30 to 60 seconds and at most an eighth above what was measured.

use smsgw_message::Timestamp;
use std::time::{Duration, Instant};

/// How long one half of the times is gathered.
const HALF: Duration = Duration::from_secs(30);
/// Classes for each doubling.
const STEPS: u64 = 8;
/// Classes: below 8 µs one for each, then eight for each doubling up to twelve days.
const CLASSES: usize = 8 * 38;

/// Something that went wrong on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// When.
    pub at: Timestamp,
    /// A status by name, or why the link went down.
    pub text: String,
}

/// Times of answers, in two halves: the one that grows and the one before it.
#[derive(Debug, Default)]
pub(crate) struct AnswerTimes {
    began: Option<Instant>,
    now: Vec<u32>,
    before: Vec<u32>,
}

impl AnswerTimes {
    /// One answer took so long.
    pub(crate) fn add(&mut self, now: Instant, took: Duration) {
        self.turn(now);
        if self.now.is_empty() {
            self.now = vec![0; CLASSES];
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.now.get_mut(class(micros)) {
            *count = count.saturating_add(1);
        }
    }

    /// The time that so many hundredths of the answers stayed within; `None` when there were none.
    pub(crate) fn percentile(&mut self, now: Instant, hundredths: u64) -> Option<Duration> {
        self.turn(now);
        let count = |class: usize| {
            let of = |half: &[u32]| u64::from(half.get(class).copied().unwrap_or(0));
            of(&self.now).saturating_add(of(&self.before))
        };
        let all: u64 = (0..CLASSES).map(count).sum();
        if all == 0 {
            return None;
        }
        let wanted = all.saturating_mul(hundredths).div_ceil(100).max(1);
        let mut seen = 0_u64;
        let class = (0..CLASSES).find(|class| {
            seen = seen.saturating_add(count(*class));
            seen >= wanted
        })?;
        Some(Duration::from_micros(upper(class)))
    }

    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age >= HALF {
            self.before = std::mem::take(&mut self.now);
            self.began = Some(now);
        }
        if age >= HALF.saturating_mul(2) {
            self.before = Vec::new();
        }
    }
}

fn class(micros: u64) -> usize {
    let class = if micros < STEPS {
        micros
    } else {
        let doublings = u64::from(micros.ilog2()) - 3;
        STEPS + doublings * STEPS + ((micros >> doublings) - STEPS)
    };
    usize::try_from(class).unwrap_or(usize::MAX).min(CLASSES - 1)
}

/// The longest time of a class, in microseconds.
fn upper(class: usize) -> u64 {
    let class = u64::try_from(class).unwrap_or(u64::MAX);
    if class < STEPS {
        return class;
    }
    let (doublings, step) = ((class - STEPS) / STEPS, (class - STEPS) % STEPS);
    ((STEPS + step + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn percentiles_are_near_and_of_the_last_minute() {
        let start = Instant::now();
        let mut times = AnswerTimes::default();
        assert_eq!(times.percentile(start, 50), None);
        for millis in 1..=1000 {
            times.add(start, Duration::from_millis(millis));
        }
        let near = |times: &mut AnswerTimes, at, hundredths, millis: u128| {
            let said = times.percentile(at, hundredths).unwrap().as_millis();
            assert!(
                (millis..=millis + millis / 8 + 1).contains(&said),
                "{said} for {millis}"
            );
        };
        near(&mut times, start, 50, 500);
        near(&mut times, start, 99, 990);
        let later = start + HALF;
        for _ in 0..3000 {
            times.add(later, Duration::from_millis(7));
        }
        near(&mut times, later, 50, 7);
        near(&mut times, later, 99, 960);
        near(&mut times, later + HALF, 99, 7);
        assert_eq!(
            times.percentile(later + HALF * 3, 50),
            None,
            "nothing is for ever"
        );
    }

    #[test]
    fn classes_cover_every_time_and_are_an_eighth_wide() {
        let mut last = 0;
        for micros in (0..100_000).chain([1_000_000, 30_000_000, 3_600_000_000]) {
            let class = class(micros);
            assert!(class >= last && class < CLASSES - 1, "{micros}");
            last = class;
            assert!((micros..=micros + micros / 8).contains(&upper(class)), "{micros}");
        }
        assert_eq!(super::class(u64::MAX), CLASSES - 1);
    }
}
