//! Days of UTC: the partitions of history.
//!
//! Pure. The day of a message is the one its id was made in, so that everybody computes the same partition from the id alone.

use jiff::civil::Date;
use smsgw_message::{MessageId, Timestamp};
use std::fmt;

const MILLIS: i64 = 86_400_000;
/// 9999-12-30, the last day that the calendar of the library has whole.
const LAST: i64 = 2_932_895;

/// A day of UTC, from 1970-01-01 to 9999-12-30; times outside count to the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day a point in time lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(MILLIS).clamp(0, LAST))
    }

    /// The day an id was made in: a UUIDv7 begins with its time in milliseconds, 48 bits.
    pub fn of_id(id: MessageId) -> Self {
        Self::of(made_at(id))
    }

    /// The first moment of the day.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(MILLIS))
    }

    /// The day so many days before.
    pub fn minus(self, days: i64) -> Self {
        Self(self.0.saturating_sub(days).clamp(0, LAST))
    }

    /// The next day.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(LAST))
    }

    /// The smallest id that can be made on this day.
    pub fn first_id(self) -> MessageId {
        lowest_id(self.start())
    }

    /// Reads `yyyymmdd`.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.len() != 8 || !name.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let number = |from: usize, to: usize| name.get(from..to)?.parse::<i16>().ok();
        let (month, day) = (
            i8::try_from(number(4, 6)?).ok()?,
            i8::try_from(number(6, 8)?).ok()?,
        );
        let date = Date::new(number(0, 4)?, month, day).ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Self::of(Timestamp::from_millis(start.as_millisecond())))
    }
}

/// `yyyymmdd`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = jiff::Timestamp::from_millisecond(self.start().as_millis()).unwrap_or_default();
        write!(
            f,
            "{}",
            start.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d")
        )
    }
}

/// When an id was made.
pub(crate) fn made_at(id: MessageId) -> Timestamp {
    let millis = id
        .as_bytes()
        .iter()
        .take(6)
        .fold(0_i64, |sum, octet| (sum << 8) | i64::from(*octet));
    Timestamp::from_millis(millis)
}

/// The id that sorts before all that are made from `at` on: its time, and zeros. No message has it (a UUIDv7 has its version
/// in it), so it also stands for "no message" in the row of an event that has none.
pub(crate) fn lowest_id(at: Timestamp) -> MessageId {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0).min(0xFFFF_FFFF_FFFF);
    let mut bytes = [0; 16];
    let (head, _) = bytes.split_at_mut(6);
    head.copy_from_slice(millis.to_be_bytes().split_at(2).1);
    MessageId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_an_id_is_the_day_it_was_made() {
        let at = Timestamp::from_rfc3339("2026-11-21T23:59:59.999Z").unwrap();
        let id = MessageId::from_parts(at, [0xFF; 10]);
        let day = Day::of_id(id);
        assert_eq!(day, Day::of(at));
        assert_eq!(day.to_string(), "20261121");
        assert_eq!(Day::from_name("20261121"), Some(day));
        assert!(day.first_id() < id && id < day.next().first_id());
        assert_eq!(made_at(id), at);
        for wrong in ["2026112", "20261321", "20260230", "2026-1-1", "abcdefgh", ""] {
            assert_eq!(Day::from_name(wrong), None, "{wrong}");
        }
        for far in [i64::MIN, -1, i64::MAX] {
            let day = Day::of(Timestamp::from_millis(far));
            assert_eq!(Day::from_name(&day.to_string()), Some(day), "{far}");
        }
    }
}
