//! Times of SMPP: validity_period, schedule_delivery_time, final_date (SMPP 3.4 §7.1.1, 5.0 §4.7.23.4 and §4.7.23.5).
//!
//! Knows no PDU. Invariant: what is written has 16 characters and is read back exactly.

use super::{MAX_QUARTERS, TimeError, ZoneOffset, instant, local, pairs};
use crate::Timestamp;
use jiff::tz::TimeZone;
use jiff::{Span, Unit};

/// A relative time: years and months of the calendar, the rest exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RelativeTime {
    /// 0 to 99.
    pub years: u8,
    /// 0 to 99, as all that follow; written 0 to 11.
    pub months: u8,
    /// Written 0 to 31.
    pub days: u8,
    /// Written 0 to 23.
    pub hours: u8,
    /// Written 0 to 59.
    pub minutes: u8,
    /// Written 0 to 59.
    pub seconds: u8,
}

impl RelativeTime {
    /// The time from `now` to `until`, rounded up to seconds; nothing when that is past. `None` from a hundred years on.
    #[must_use]
    pub fn between(now: Timestamp, until: Timestamp) -> Option<Self> {
        let millis = i64::try_from(until.since(now).as_millis()).ok()?;
        let seconds = millis.checked_add(999)?.checked_div(1000)?;
        let days = seconds.checked_div(86_400)?;
        if days > 31 {
            return Self::on_calendar(now, seconds);
        }
        let part = |by: i64, of: i64| small(seconds.checked_div(by)?.checked_rem(of)?);
        Some(Self {
            years: 0,
            months: 0,
            days: small(days)?,
            hours: part(3600, 24)?,
            minutes: part(60, 60)?,
            seconds: part(1, 60)?,
        })
    }

    /// In years, months and days of the calendar, as [`RelativeTime::due`] adds them.
    fn on_calendar(now: Timestamp, seconds: i64) -> Option<Self> {
        let start = utc(now)?;
        let end = start.checked_add(Span::new().try_seconds(seconds).ok()?).ok()?;
        let span = start.until((Unit::Year, &end)).ok()?;
        let time = Self {
            years: small(i64::from(span.get_years()))?,
            months: small(i64::from(span.get_months()))?,
            days: small(i64::from(span.get_days()))?,
            hours: small(i64::from(span.get_hours()))?,
            minutes: small(span.get_minutes())?,
            seconds: small(span.get_seconds())?,
        };
        (time.years <= 99).then_some(time)
    }

    /// When it is over, counted from `now` on the calendar of UTC; the end of the calendar when that is beyond it.
    #[must_use]
    pub fn due(self, now: Timestamp) -> Timestamp {
        let span = Span::new()
            .years(self.years)
            .months(self.months)
            .days(self.days)
            .hours(self.hours)
            .minutes(self.minutes)
            .seconds(self.seconds);
        utc(now)
            .and_then(|now| now.checked_add(span).ok())
            .map_or(Timestamp::from_millis(i64::MAX), |due| {
                Timestamp::from_millis(due.timestamp().as_millisecond())
            })
    }
}

fn small(number: i64) -> Option<u8> {
    u8::try_from(number).ok()
}

fn utc(at: Timestamp) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(at.to_zoned(TimeZone::UTC))
}

/// A time in a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmppTime {
    /// A point in time, to tenths of a second, and the zone it was or will be written in.
    Absolute {
        /// The point.
        at: Timestamp,
        /// The zone.
        zone: ZoneOffset,
    },
    /// From the receiver's now.
    Relative(RelativeTime),
}

/// A time as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadTime {
    /// The time.
    pub time: SmppTime,
    /// The text has the form of the standard; else it was understood all the same.
    pub exact: bool,
}

impl SmppTime {
    /// Reads a field, without its final NUL. `None` for an empty one: at once, or the receiver's default.
    ///
    /// Beyond the standard it takes: spaces and NULs around; a small `r`; tenths and quarters behind a relative time that are
    /// not 0; a missing zone (12 digits, or 15 with tenths and quarters) or also missing seconds (10 digits), then in
    /// `assumed`; and a year of four digits (14 digits that start with 20).
    ///
    /// # Errors
    /// What is no time in any of these forms.
    pub fn read(text: &[u8], assumed: ZoneOffset) -> Result<Option<ReadTime>, TimeError> {
        let trimmed = text.trim_ascii().strip_suffix(b"\0").unwrap_or(text).trim_ascii();
        if trimmed.is_empty() || trimmed.iter().all(|octet| *octet == 0) {
            return Ok(None);
        }
        let absolute = |digits: [u8; 6], tenth, zone| {
            instant(digits, tenth, zone).map(|at| SmppTime::Absolute { at, zone })
        };
        let (time, exact) = match trimmed {
            [date @ .., sign] if date.len() == 15 => {
                let (date, rest) = date.split_at_checked(12).ok_or(TimeError::Length(date.len()))?;
                let numbers = pairs::<6>(date)?;
                let ([tenth], [quarters]) = match rest {
                    [tenth, quarters @ ..] => (
                        pairs::<1>(&[*tenth]).map_err(|_| TimeError::NotADigit(12))?,
                        pairs::<1>(quarters).map_err(|error| behind(error, 13))?,
                    ),
                    [] => return Err(TimeError::Length(12)),
                };
                match sign {
                    b'R' | b'r' => (
                        SmppTime::Relative(relative(numbers)),
                        *sign == b'R' && tenth == 0 && quarters == 0,
                    ),
                    b'+' | b'-' => {
                        let quarters = i16::from(quarters);
                        if quarters > MAX_QUARTERS {
                            return Err(TimeError::Zone);
                        }
                        let minutes = quarters.saturating_mul(if *sign == b'+' { 15 } else { -15 });
                        let zone = ZoneOffset { minutes };
                        (absolute(numbers, tenth, zone)?, true)
                    }
                    _ => return Err(TimeError::Form),
                }
            }
            // Tenths stand, quarters without a sign say nothing.
            [date @ .., tenth, _, _] if date.len() == 12 => {
                let [tenth] = pairs::<1>(&[*tenth]).map_err(|_| TimeError::NotADigit(12))?;
                pairs::<8>(trimmed)?;
                (absolute(pairs(date)?, tenth, assumed)?, false)
            }
            date if date.len() == 12 => (absolute(pairs(date)?, 0, assumed)?, false),
            date if date.len() == 10 => {
                let [year, month, day, hour, minute] = pairs(date)?;
                (absolute([year, month, day, hour, minute, 0], 0, assumed)?, false)
            }
            [b'2', b'0', date @ ..] if date.len() == 12 => {
                let digits = pairs(date).map_err(|error| behind(error, 2))?;
                (absolute(digits, 0, assumed)?, false)
            }
            other => return Err(TimeError::Length(other.len())),
        };
        Ok(Some(ReadTime {
            time,
            exact: exact && trimmed.len() == text.len(),
        }))
    }

    /// Writes it. An absolute time in a zone that the form cannot say is written in UTC, which is the same time; tenths of a
    /// second are kept, what is finer is cut. `None` for an absolute time outside 2000 to 2099 and for a relative one with a
    /// number above 99.
    #[must_use]
    pub fn write(self) -> Option<String> {
        match self {
            Self::Absolute { at, zone } => {
                let (quarters, zone) = match zone.quarters() {
                    Some(quarters) => (quarters, zone),
                    None => (0, ZoneOffset::UTC),
                };
                let time = local(at, zone)?;
                let of = |number: i8| u8::try_from(number).ok();
                let date = [
                    u8::try_from(time.year().saturating_sub(2000)).ok()?,
                    of(time.month())?,
                    of(time.day())?,
                    of(time.hour())?,
                    of(time.minute())?,
                    of(time.second())?,
                ];
                let tenth = u8::try_from(time.millisecond().checked_div(100)?).ok()?;
                let sign = if quarters < 0 { '-' } else { '+' };
                form(date, tenth, u8::try_from(quarters.abs()).ok()?, sign)
            }
            Self::Relative(RelativeTime {
                years,
                months,
                days,
                hours,
                minutes,
                seconds,
            }) => form([years, months, days, hours, minutes, seconds], 0, 0, 'R'),
        }
    }

    /// When it is, seen from `now`.
    #[must_use]
    pub fn due(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Absolute { at, .. } => at,
            Self::Relative(relative) => relative.due(now),
        }
    }
}

/// The 16 characters; `None` where a number has too many digits. Not by `format!`, which takes 2,500 instructions for them.
fn form(date: [u8; 6], tenth: u8, quarters: u8, sign: char) -> Option<String> {
    let digit = |number: u8| char::from_digit(number.into(), 10);
    let two = |text: &mut String, number: u8| {
        text.push(digit(number / 10)?);
        text.push(digit(number % 10)?);
        Some(())
    };
    let mut text = String::with_capacity(16);
    date.into_iter().try_for_each(|number| two(&mut text, number))?;
    text.push(digit(tenth)?);
    two(&mut text, quarters)?;
    text.push(sign);
    Some(text)
}

const fn relative([years, months, days, hours, minutes, seconds]: [u8; 6]) -> RelativeTime {
    RelativeTime {
        years,
        months,
        days,
        hours,
        minutes,
        seconds,
    }
}

/// The error of a piece, with its place in the whole.
fn behind(error: TimeError, before: usize) -> TimeError {
    match error {
        TimeError::NotADigit(at) => TimeError::NotADigit(at.saturating_add(before)),
        TimeError::Length(_) | TimeError::NoSuchTime | TimeError::Zone | TimeError::Form => error,
    }
}
