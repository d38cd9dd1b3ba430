//! Times in receipts (SMPP 3.4 Appendix B): `YYMMDDhhmm`, in the local time of the carrier. Those of validity_period and
//! schedule_delivery_time are the message model's (`smsgw_message::validity::SmppTime`).
//!
//! Counts days itself: the calendar of the two-digit years is all that is needed, and no clock is read.

const DAY: u64 = 86_400;

/// Date and time of day, from `YYMMDDhhmm` as receipts use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// With century.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; 0 when the text has none.
    pub second: u8,
}

impl LocalTime {
    /// Reads `YYMMDDhhmm`, `YYMMDDhhmmss`, `YYYYMMDDhhmm` or `YYYYMMDDhhmmss`. Of twelve digits the year has four when
    /// they are no valid time otherwise: so for every year from 2013 on, whose last two digits are no month.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.len() {
            10 => Self::of(text, 2),
            12 => Self::of(text, 2).or_else(|| Self::of(text, 4)),
            14 => Self::of(text, 4),
            _ => None,
        }
    }

    /// The time of a point, in UTC.
    #[must_use]
    pub fn from_unix(unix_seconds: u64) -> Option<Self> {
        let (year, month, day) = date_of(unix_seconds.checked_div(DAY)?)?;
        let (hour, minute, second) = clock_of(unix_seconds.checked_rem(DAY)?);
        let small = |value: u64| u8::try_from(value).ok();
        Some(Self {
            year: u16::try_from(year).ok()?,
            month: small(month)?,
            day: small(day)?,
            hour: small(hour)?,
            minute: small(minute)?,
            second: small(second)?,
        })
    }

    /// Seconds since 1970 if it were UTC. `None` before 1970, and for a day that its month does not have.
    #[must_use]
    pub fn to_unix(self) -> Option<u64> {
        let (year, month, day) = (u64::from(self.year), u64::from(self.month), u64::from(self.day));
        // Days to the first of the year, then by month; checked against the way back.
        let before = year.checked_sub(1)?;
        let leaps = |year: u64| (year / 4).saturating_sub(year / 100).saturating_add(year / 400);
        let years = year.checked_sub(1970)?.checked_mul(365)?;
        let leap_days = leaps(before).checked_sub(leaps(1969))?;
        let first = years.checked_add(leap_days)?;
        // At most 31 days a month: the day is found within the year by looking.
        let from = first.checked_add(month.checked_sub(1)?.checked_mul(28)?)?;
        let days = (from..from.checked_add(64)?).find(|days| date_of(*days) == Some((year, month, day)))?;
        let clock = u64::from(self.hour)
            .checked_mul(3600)?
            .checked_add(u64::from(self.minute).checked_mul(60)?)?
            .checked_add(u64::from(self.second))?;
        days.checked_mul(DAY)?.checked_add(clock)
    }

    /// `YYMMDDhhmm`, as Appendix B has it.
    #[must_use]
    pub fn to_minutes(self) -> String {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second: _,
        } = self;
        format!(
            "{:02}{month:02}{day:02}{hour:02}{minute:02}",
            year.checked_rem(100).unwrap_or(0)
        )
    }

    fn of(text: &str, year_digits: usize) -> Option<Self> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = text.split_at_checked(year_digits)?;
        let year: u16 = year.parse().ok()?;
        let part = |at: usize| rest.get(at..at.saturating_add(2)).map(str::parse::<u8>);
        let second = match part(8) {
            Some(second) => second.ok()?,
            None => 0,
        };
        let time = Self {
            year: if year_digits == 2 {
                year.saturating_add(2000)
            } else {
                year
            },
            month: part(0)?.ok()?,
            day: part(2)?.ok()?,
            hour: part(4)?.ok()?,
            minute: part(6)?.ok()?,
            second,
        };
        let fits = (1..=12).contains(&time.month)
            && (1..=31).contains(&time.day)
            && time.hour < 24
            && time.minute < 60
            && time.second < 60;
        fits.then_some(time)
    }
}

fn clock_of(seconds: u64) -> (u64, u64, u64) {
    let part = |by: u64, of: u64| {
        seconds
            .checked_div(by)
            .and_then(|whole| whole.checked_rem(of))
            .unwrap_or(0)
    };
    (part(3600, 24), part(60, 60), part(1, 60))
}

/// Year, month and day of a day counted from 1970-01-01, by walking years and months: at most a few hundred steps.
fn date_of(mut days: u64) -> Option<(u64, u64, u64)> {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970_u64;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        match days.checked_sub(length) {
            Some(rest) if year < 2200 => (days, year) = (rest, year.checked_add(1)?),
            Some(_) => return None,
            None => break,
        }
    }
    let mut month = 1_u64;
    for length in [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ] {
        match days.checked_sub(length) {
            Some(rest) => (days, month) = (rest, month.checked_add(1)?),
            None => break,
        }
    }
    Some((year, month, days.checked_add(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_have_10_12_or_14_digits() {
        let time = |year, month, day, hour, minute, second| {
            Some(LocalTime {
                year,
                month,
                day,
                hour,
                minute,
                second,
            })
        };
        for (text, expected) in [
            ("1809031208", time(2018, 9, 3, 12, 8, 0)),
            ("180903120816", time(2018, 9, 3, 12, 8, 16)),
            ("201809031208", time(2018, 9, 3, 12, 8, 0)),
            ("20180903120816", time(2018, 9, 3, 12, 8, 16)),
            ("1813031208", None),
            ("18090312", None),
            ("18090312é", None),
            ("", None),
        ] {
            assert_eq!(LocalTime::parse(text), expected, "{text}");
        }
        let point = LocalTime::from_unix(1_795_248_000).expect("in range");
        assert_eq!(point.to_minutes(), "2611210800");
        assert_eq!(LocalTime::parse(&point.to_minutes()), Some(point));
    }
}
