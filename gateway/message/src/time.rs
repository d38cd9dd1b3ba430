//! Wall time as a value, and the trait through which it is asked for.
//!
//! This crate does not read the clock: `smsgw-runtime` implements [`Clock`], tests bring their own.

use minicbor::{Decode, Encode};
use std::fmt;
use std::time::{Duration, Instant};

/// A point in wall time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads a date and time of RFC 3339 section 5.6 (`2026-11-21T08:20:00Z`, `2026-11-21T09:20:00.5+01:00`): the offset is
    /// required, fractions beyond milliseconds are cut off.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        // The library reads more than the standard writes: spaces, zone names, dates without dashes.
        let is_plain = |octet: u8| octet.is_ascii_digit() || b"Tt:.Zz+-".contains(&octet);
        let dashed = matches!(
            text.as_bytes(),
            [
                _,
                _,
                _,
                _,
                b'-',
                _,
                _,
                b'-',
                _,
                _,
                b'T' | b't',
                _,
                _,
                b':',
                _,
                _,
                b':',
                ..
            ]
        );
        if text.len() > 40 || !dashed || !text.bytes().all(is_plain) {
            return None;
        }
        let at: jiff::Timestamp = text.parse().ok()?;
        Some(Self(at.as_millisecond()))
    }

    /// Later by `span`; stays at the end of time instead of wrapping.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// Earlier by `span`; stays at the beginning of time instead of wrapping.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero when it lies ahead (clocks step back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T08:20:00.123Z`. A time outside the calendar (before the year -9999 or
/// after 9999) is shown in milliseconds since the epoch.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Where wall time and monotonic time come from. Implemented by `smsgw-runtime`; a test has its own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall time: for records, expiry and people.
    fn now(&self) -> Timestamp;
    /// Monotonic time: for deadlines inside this process.
    fn instant(&self) -> Instant;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_rfc_3339_times_are_read() {
        let read = |text: &str| Timestamp::from_rfc3339(text).map(Timestamp::as_millis);
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(read("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(read("1970-01-01t00:00:00.0019z"), Some(1));
        for wrong in [
            "",
            "now",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "19700101T000000Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00Z",
            "1970-01-01T25:00:00Z",
            "1970-01-01T00:00:00Z[UTC]",
            "+1970-01-01T00:00:00Z",
            "1970-02-30T00:00:00Z",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_in_rfc_3339_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_795_248_000_007).to_string(),
            "2026-11-21T08:00:00.007Z"
        );
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "9223372036854775807ms"
        );
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Timestamp::from_millis(i64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(
            Timestamp::from_millis(5).since(Timestamp::from_millis(9)),
            Duration::ZERO
        );
        assert_eq!(
            Timestamp::from_millis(9).since(Timestamp::from_millis(5)),
            Duration::from_millis(4)
        );
        assert_eq!(
            Timestamp::from_millis(0)
                .before(Duration::from_millis(3))
                .as_millis(),
            -3
        );
    }
}
