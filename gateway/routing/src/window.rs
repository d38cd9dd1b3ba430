//! Times of day and week at which a route holds.
//!
//! ```text
//! mon-fri 08:00-18:00     on these days, between these times
//! sat,sun                 all day
//! 22:00-06:00             every night; the hours behind midnight belong to the day on which the night began
//! ```
//! Days and times are those of a clock on the wall: the caller says in which zone. Reads no clock.
//!
//! # Limits
//! Where a clock is set forward, the hour that is left out does not occur; where it is set back, the hour occurs twice.

use std::fmt;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EVERY_DAY: u8 = 0x7F;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A moment as a clock on the wall shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// 0 for Monday to 6 for Sunday.
    pub day: u8,
    /// Minutes since midnight.
    pub minute: u16,
}

/// A time of day, of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeWindow {
    /// Bit 0 is Monday.
    days: u8,
    from: u16,
    /// Up to 24:00; before `from` where it runs over midnight.
    until: u16,
    text: String,
}

impl TimeWindow {
    /// Reads days, a time, or both: `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00`.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next()?, words.next());
        if words.next().is_some() {
            return None;
        }
        let (days, times) = match (days(first), second) {
            (Some(days), Some(times)) => (days, Some(times)),
            (Some(days), None) => (days, None),
            (None, None) => (EVERY_DAY, Some(first)),
            (None, Some(_)) => return None,
        };
        let (from, until) = times.map_or(Some((0, DAY)), span)?;
        Some(Self {
            days,
            from,
            until,
            text: text.to_owned(),
        })
    }

    /// Whether the moment is in it: its beginning is, its end is not.
    pub fn contains(&self, at: WallTime) -> bool {
        let on = |day: u8| self.days >> day & 1 == 1;
        if self.from < self.until {
            return on(at.day) && (self.from..self.until).contains(&at.minute);
        }
        let yesterday = (at.day + 6) % 7;
        (on(at.day) && at.minute >= self.from) || (on(yesterday) && at.minute < self.until)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn day(text: &str) -> Option<u8> {
    let index = DAYS.iter().position(|day| text.eq_ignore_ascii_case(day))?;
    u8::try_from(index).ok()
}

/// `mon-fri`, `sat,sun`, `fri-mon,wed`.
fn days(text: &str) -> Option<u8> {
    text.split(',').try_fold(0_u8, |days, piece| {
        let (first, last) = match piece.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(piece)?, day(piece)?),
        };
        let many = (last + 7 - first) % 7;
        Some((0..=many).fold(days, |days, n| days | 1 << ((first + n) % 7)))
    })
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from != until && from < DAY).then_some((from, until))
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let right = digits.len() == 2 && digits.bytes().all(|octet| octet.is_ascii_digit());
        right.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(window: &str, day_name: &str, time: &str) -> bool {
        TimeWindow::from_text(window).unwrap().contains(WallTime {
            day: day(day_name).unwrap(),
            minute: minute(time).unwrap(),
        })
    }

    #[test]
    fn days_and_times_as_a_table() {
        for (window, day, time, expected) in [
            ("mon-fri 08:00-18:00", "mon", "08:00", true),
            ("mon-fri 08:00-18:00", "fri", "17:59", true),
            ("mon-fri 08:00-18:00", "fri", "18:00", false),
            ("mon-fri 08:00-18:00", "sat", "12:00", false),
            ("SAT,sun", "sun", "23:59", true),
            ("sat,sun", "mon", "00:00", false),
            ("fri-mon", "sun", "12:00", true),
            ("fri-mon", "tue", "12:00", false),
            ("00:00-24:00", "wed", "23:59", true),
            ("22:00-06:00", "wed", "21:59", false),
            ("22:00-06:00", "wed", "05:59", true),
            // The night of Friday ends on Saturday morning, that of Thursday on Friday.
            ("fri 22:00-06:00", "fri", "23:00", true),
            ("fri 22:00-06:00", "sat", "05:59", true),
            ("fri 22:00-06:00", "fri", "05:59", false),
            ("sun 22:00-06:00", "mon", "03:00", true),
        ] {
            assert_eq!(is_in(window, day, time), expected, "{window}: {day} {time}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for wrong in [
            "",
            "noon",
            "8:00-18:00",
            "08:00",
            "08:00-08:00",
            "24:00-06:00",
            "08:00-24:01",
            "08:60-09:00",
            "mon 08:00-09:00 x",
            "08:00-09:00 mon",
            "mon-",
            "mon,,tue",
            "+8:00-09:00",
        ] {
            assert_eq!(TimeWindow::from_text(wrong), None, "{wrong}");
        }
    }
}
