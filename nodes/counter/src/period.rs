//! Spans of time that have totals: hours and days of UTC, and all of it.
//!
//! Pure. A period is written as its digits in keys: `2026112117` an hour, `20261121` a day, `ever`.

use jiff::tz::TimeZone;
use smsgw_message::Timestamp;
use std::fmt;
use std::time::Duration;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// How long the totals of an hour are kept.
const HOURS_KEPT: Duration = Duration::from_secs(8 * 86_400);
/// How long the totals of a day are kept, and those of all time after their last change.
const DAYS_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// An hour of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

/// A day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Hour {
    /// The hour a point in time lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(HOUR))
    }

    /// Its first moment.
    pub fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(HOUR))
    }

    /// The day it belongs to.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(24))
    }

    /// The hour after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// When its totals go away.
    pub fn expires_at(self) -> Timestamp {
        self.next().begin().after(HOURS_KEPT)
    }
}

impl Day {
    /// The day a point in time lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(DAY))
    }

    /// Its first moment.
    pub fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(DAY))
    }

    /// The day after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// When its totals go away.
    pub fn expires_at(self) -> Timestamp {
        self.next().begin().after(DAYS_KEPT)
    }
}

/// `yyyymmddhh`; an hour beyond the calendar (a damaged clock) by its number.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.begin().as_millis()) {
            Ok(start) => write!(f, "{}", start.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H")),
            Err(_) => write!(f, "hour{}", self.0),
        }
    }
}

/// `yyyymmdd`; a day beyond the calendar (a damaged clock) by its number.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.begin().as_millis()) {
            Ok(start) => write!(f, "{}", start.to_zoned(TimeZone::UTC).strftime("%Y%m%d")),
            Err(_) => write!(f, "day{}", self.0),
        }
    }
}

/// A span that has totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// An hour of UTC.
    Hour(Hour),
    /// A day of UTC.
    Day(Day),
    /// All of it: the ledger.
    Ever,
}

impl Period {
    /// When its totals go away, if `last` is when they changed last.
    pub fn expires_at(self, last: Timestamp) -> Timestamp {
        match self {
            Self::Hour(hour) => hour.expires_at(),
            Self::Day(day) => day.expires_at(),
            Self::Ever => Day::of(last).expires_at(),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour(hour) => hour.fmt(f),
            Self::Day(day) => day.fmt(f),
            Self::Ever => f.write_str("ever"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc_and_is_kept_400_days_an_hour_8_days() {
        let at = Timestamp::from_millis;
        assert_eq!(Day::of(at(0)).to_string(), "19700101");
        assert_eq!(Day::of(at(-1)).to_string(), "19691231");
        // 2024-02-29T23:59:59.999Z and a millisecond later.
        let leap = at(1_709_251_199_999);
        assert_eq!(Day::of(leap).to_string(), "20240229");
        assert_eq!(Hour::of(leap).to_string(), "2024022923");
        assert_eq!(Hour::of(leap).day(), Day::of(leap));
        let next = leap.after(Duration::from_millis(1));
        assert_eq!(Day::of(next).to_string(), "20240301");
        assert_eq!(Hour::of(next), Hour::of(leap).next());
        assert_eq!(Day::of(at(0)).expires_at().as_millis(), 401 * DAY);
        assert_eq!(Hour::of(at(0)).expires_at().as_millis(), 8 * DAY + HOUR);
        for far in [i64::MAX, i64::MIN] {
            assert!(Day::of(at(far)).to_string().starts_with("day"));
            assert!(Hour::of(at(far)).to_string().starts_with("hour"));
        }
    }
}
