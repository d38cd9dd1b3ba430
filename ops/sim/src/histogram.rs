//! Latencies in buckets that grow with them: 64 per power of two, so a quantile is off by 1.6 % at most.
//!
//! Knows no clock. Invariant: every recorded value is counted; those above 64 s count as 64 s (the maximum is kept
//! exactly).

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;
/// Microseconds up to 2^26: 67 s.
const BUCKETS: usize = (26 - SUB_BITS as usize + 1) << SUB_BITS;

/// Recorded latencies.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// None recorded.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: Duration::ZERO,
        }
    }

    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let at = bucket(micros).min(BUCKETS.saturating_sub(1));
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
        self.max = self.max.max(latency);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
    }

    /// How many were recorded.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The largest.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// The latency that `per_mille` of a thousand do not exceed; zero when nothing was recorded.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let wanted = self.total.saturating_mul(per_mille).div_ceil(1000).max(1);
        let mut seen = 0_u64;
        for (at, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return Duration::from_micros(upper(at)).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(micros: u64) -> usize {
    let shift = micros.checked_ilog2().unwrap_or(0).saturating_sub(SUB_BITS);
    // Values below 2 * SUB stand for themselves; above, the top bits after the first choose the bucket.
    let at = u64::from(shift)
        .saturating_mul(SUB)
        .saturating_add(micros.wrapping_shr(shift));
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let shift = (at / SUB).saturating_sub(1);
    let top = at.saturating_sub(shift.saturating_mul(SUB));
    let shift = u32::try_from(shift).unwrap_or(0);
    top.saturating_add(1).wrapping_shl(shift).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket_and_the_bucket_is_narrow() {
        let mut micros = 1_u64;
        while micros < 60_000_000 {
            let top = upper(bucket(micros));
            assert!(top >= micros, "{micros} above {top}");
            assert!((top - micros) * 64 <= micros, "{micros} in a bucket up to {top}");
            if micros > 1 {
                assert!(upper(bucket(micros) - 1) < micros, "{micros} belongs lower");
            }
            micros = micros * 17 / 16 + 1;
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(500), Duration::ZERO);
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (per_mille, millis) in [(500, 500.0), (990, 990.0), (999, 999.0)] {
            let found = histogram.quantile(per_mille).as_secs_f64() * 1000.0;
            assert!((found - millis).abs() < millis * 0.016, "{per_mille}: {found}");
        }
        let mut other = Histogram::new();
        other.record(Duration::from_secs(1000));
        histogram.merge(&other);
        assert_eq!(
            (histogram.len(), histogram.max()),
            (1001, Duration::from_secs(1000))
        );
        assert_eq!(other.quantile(500), Duration::from_micros(upper(BUCKETS - 1)));
    }
}
