//! How long things took: counts in buckets that grow with the time, so that one set fits a millisecond and a month.
//!
//! ```text
//! bucket  0 1 2 3 | 4  5  6  7 | 8   9   10  11 | …      4 buckets for each doubling
//! from ms 0 1 2 3 | 4  5  6  7 | 8   10  12  14 | …      the last one (127) has no end: 49 days and more
//! ```
//! Pure. Invariant SP-1: adding spreads is adding their buckets, so totals of hours and totals of a day agree.
//!
//! # Limits
//! A quantile is told as the end of its bucket: up to a quarter above what was measured.

/// Buckets of a spread.
pub const BUCKETS: usize = 128;

/// The bucket of a time in milliseconds.
pub(crate) fn bucket_of(millis: u64) -> usize {
    if millis < 4 {
        return usize::try_from(millis).unwrap_or(0);
    }
    let octave = millis.ilog2();
    let quarter = (millis >> octave.saturating_sub(2)) & 3;
    let bucket = (u64::from(octave) - 1) * 4 + quarter;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The first time in milliseconds that is above a bucket; `None` for the last one.
pub fn end_of(bucket: usize) -> Option<u64> {
    (bucket + 1 < BUCKETS).then(|| begin_of(bucket + 1))
}

fn begin_of(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    if bucket < 4 {
        return bucket;
    }
    let (octave, quarter) = (bucket / 4 + 1, bucket % 4);
    (4 + quarter) << (octave - 2)
}

/// Counts by bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread(Box<[u64; BUCKETS]>);

impl Default for Spread {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl Spread {
    /// Counts one time.
    pub fn add(&mut self, millis: u64) {
        if let Some(count) = self.0.get_mut(bucket_of(millis)) {
            *count += 1;
        }
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, more: &Self) {
        for (count, more) in self.0.iter_mut().zip(more.0.iter()) {
            *count = count.saturating_add(*more);
        }
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// A time in milliseconds that at least `percent` of a hundred are not above; `None` when nothing was counted, or
    /// when that time lies in the last bucket, which has no end.
    pub fn quantile(&self, percent: u64) -> Option<u64> {
        let all = self.count();
        let rank = all.saturating_mul(percent.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end_of(bucket).map(|end| end - 1);
            }
        }
        None
    }

    /// The buckets that counted something.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let all = self.0.iter().copied().enumerate();
        all.filter(|(_, count)| *count > 0)
    }

    /// From [`Spread::filled`]; a bucket that does not exist is refused.
    pub(crate) fn from_filled(filled: impl IntoIterator<Item = (usize, u64)>) -> Option<Self> {
        let mut spread = Self::default();
        for (bucket, count) in filled {
            *spread.0.get_mut(bucket)? = count;
        }
        Some(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap_and_are_at_most_a_quarter_wide() {
        assert_eq!(
            [0, 3, 4, 7, 8, 9, 10, 16].map(bucket_of),
            [0, 3, 4, 7, 8, 8, 9, 12]
        );
        for bucket in 0..BUCKETS - 1 {
            let (begin, end) = (begin_of(bucket), end_of(bucket).unwrap());
            assert!(begin < end, "{bucket}");
            assert_eq!(bucket_of(begin), bucket);
            assert_eq!(bucket_of(end - 1), bucket);
            assert_eq!(bucket_of(end), bucket + 1);
            assert!(4 * (end - begin) <= begin.max(4), "{bucket}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(end_of(BUCKETS - 1), None);
    }

    #[test]
    fn quantiles_are_told_at_the_end_of_their_bucket() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(50), None);
        (0..100).for_each(|millis| spread.add(millis));
        assert_eq!(spread.quantile(50), Some(55), "of 48..=55");
        assert_eq!(spread.quantile(100), Some(111), "of 96..=111");
        assert_eq!(spread.count(), 100);
    }

    proptest! {
        #[test]
        fn a_spread_comes_back_from_its_filled_buckets(times in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut spread = Spread::default();
            times.iter().for_each(|time| spread.add(*time));
            prop_assert_eq!(Spread::from_filled(spread.filled()), Some(spread));
        }
    }
}
