//! Times as protocols write them: validity, scheduled delivery, and the time the carrier stamps.
//!
//! ```text
//! SMPP absolute   YYMMDDhhmmsstnnp    p + or -: local time, nn quarter hours ahead of (+) or behind (-) UTC, t tenths
//! SMPP relative   YYMMDDhhmmss000R    years, months, days, hours, minutes, seconds from the carrier's now
//! UCP VP, DDT     DDMMYYhhmm          local time of the carrier, zone unstated
//! UCP SCTS        DDMMYYhhmmss        the same
//! GSM TP-VP       one octet           5 minutes to 63 weeks from the carrier's now
//! ```
//! Reads no clock: `now` and the carrier's zone are arguments. Two digits of a year are 2000 to 2099: what is planned lies
//! ahead, and "991231…" is what clients write for "never". There is no pivot to the past century.
//!
//! Invariants: what is written is read back as the same time, to the grain of its form; a time that a form cannot say is
//! never cut to one it can, except that a coarser form is rounded up, so that a message does not expire too early.
//!
//! # Limits
//! Months and years of a relative time are those of the calendar in UTC; a carrier counts them in its own zone, or takes 30
//! and 365 days. We write them only beyond 31 days.

mod gsm;
mod smpp;
#[cfg(test)]
mod tests;
mod ucp;

pub use gsm::{read_tp_vp, write_tp_vp};
pub use smpp::{ReadTime, RelativeTime, SmppTime};
pub use ucp::{read_ucp_minutes, read_ucp_seconds, write_ucp_minutes, write_ucp_seconds};

use crate::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use std::time::Duration;
use thiserror::Error;

/// Minutes from UTC to local time, ahead is positive: -1440 to 1440.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ZoneOffset {
    minutes: i16,
}

/// Quarter hours that fit SMPP's `nn`.
const MAX_QUARTERS: i16 = 48;

impl ZoneOffset {
    /// UTC itself.
    pub const UTC: Self = Self { minutes: 0 };

    /// So many minutes ahead of UTC; `None` beyond a day.
    #[must_use]
    pub const fn from_minutes(minutes: i16) -> Option<Self> {
        if minutes >= -1440 && minutes <= 1440 {
            Some(Self { minutes })
        } else {
            None
        }
    }

    /// Minutes ahead of UTC.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.minutes
    }

    /// Quarter hours as SMPP writes them, -48 to 48; `None` for what it cannot say: zones of odd minutes, and those more
    /// than 12 hours ahead.
    #[must_use]
    pub fn quarters(self) -> Option<i16> {
        (self.minutes.checked_rem(15) == Some(0))
            .then(|| self.minutes.checked_div(15))
            .flatten()
            .filter(|quarters| quarters.abs() <= MAX_QUARTERS)
    }

    fn seconds(self) -> i32 {
        i32::from(self.minutes).saturating_mul(60)
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    /// Not as long as any form.
    #[error("a time of {0} characters")]
    Length(usize),
    /// Something other than digits where digits belong.
    #[error("character {0} is no digit")]
    NotADigit(usize),
    /// A month, day, hour, minute or second that does not exist.
    #[error("no such date or time of day")]
    NoSuchTime,
    /// More quarter hours than 48.
    #[error("the zone is more than 48 quarter hours away")]
    Zone,
    /// Neither `+`, `-` nor `R` at the end.
    #[error("the last character is neither +, - nor R")]
    Form,
}

/// A validity with a carrier's bounds applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamped {
    /// The end of the validity to tell the carrier.
    pub until: Timestamp,
    /// The carrier's most made it earlier.
    pub shortened: bool,
    /// The carrier's least made it later: our own timer must hold the earlier one.
    pub lengthened: bool,
}

/// What a carrier takes as validity; it refuses the rest (RINVEXPIRY) or ignores it without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValidityBounds {
    /// The shortest.
    pub least: Option<Duration>,
    /// The longest. Where it is below `least`, it wins.
    pub most: Option<Duration>,
}

impl ValidityBounds {
    /// Brings the end of a validity within the bounds, counted from `now`.
    #[must_use]
    pub fn clamp(self, now: Timestamp, until: Timestamp) -> Clamped {
        let earliest = self.least.map_or(until, |least| until.max(now.after(least)));
        let clamped = self.most.map_or(earliest, |most| earliest.min(now.after(most)));
        Clamped {
            until: clamped,
            shortened: clamped < until,
            lengthened: clamped > until,
        }
    }
}

/// Numbers of two digits, with the place of the first character that is none.
fn pairs<const N: usize>(digits: &[u8]) -> Result<[u8; N], TimeError> {
    if let Some(at) = digits.iter().position(|octet| !octet.is_ascii_digit()) {
        return Err(TimeError::NotADigit(at));
    }
    let mut numbers = [0; N];
    for (number, pair) in numbers.iter_mut().zip(digits.chunks(2)) {
        *number = pair.iter().fold(0, |number: u8, octet| {
            number.saturating_mul(10).saturating_add(octet & 0x0F)
        });
    }
    Ok(numbers)
}

/// The instant of a local date and time in this century.
fn instant(
    [year, month, day, hour, minute, second]: [u8; 6],
    tenth: u8,
    zone: ZoneOffset,
) -> Result<Timestamp, TimeError> {
    let signed = |number: u8| i8::try_from(number).map_err(|_| TimeError::NoSuchTime);
    let local = DateTime::new(
        2000_i16.saturating_add(i16::from(year)),
        signed(month)?,
        signed(day)?,
        signed(hour)?,
        signed(minute)?,
        signed(second)?,
        i32::from(tenth).saturating_mul(100_000_000),
    )
    .map_err(|_| TimeError::NoSuchTime)?;
    let utc = local
        .to_zoned(TimeZone::UTC)
        .map_err(|_| TimeError::NoSuchTime)?
        .timestamp()
        .as_millisecond();
    let ahead = i64::from(zone.seconds()).saturating_mul(1000);
    Ok(Timestamp::from_millis(utc.saturating_sub(ahead)))
}

/// Local date and time of an instant; `None` outside this century.
fn local(at: Timestamp, zone: ZoneOffset) -> Option<DateTime> {
    let offset = Offset::from_seconds(zone.seconds()).ok()?;
    let local = offset.to_datetime(jiff::Timestamp::from_millisecond(at.as_millis()).ok()?);
    (2000..2100).contains(&local.year()).then_some(local)
}
