//! Times of UCP: VP and DDT (`DDMMYYhhmm`), SCTS and DSCTS (`DDMMYYhhmmss`) (EMI-UCP 4.0 §5.2).
//!
//! They are local to the carrier and say no zone, so that it is an argument. Knows no operation. Invariant: a time is read
//! back as it was written, to its minute or second.

use super::{TimeError, ZoneOffset, instant, local, pairs};
use crate::Timestamp;
use jiff::civil::DateTime;
use std::time::Duration;

const MINUTE: i64 = 60_000;

/// Reads VP or DDT. Spaces around it are passed over, and so are seconds behind it, which some carriers send.
///
/// # Errors
/// What is no date and time of day.
pub fn read_ucp_minutes(text: &[u8], zone: ZoneOffset) -> Result<Timestamp, TimeError> {
    read(text.trim_ascii(), &[10, 12], zone)
}

/// Reads SCTS or DSCTS. Spaces around it are passed over; missing seconds are 0.
///
/// # Errors
/// What is no date and time of day.
pub fn read_ucp_seconds(text: &[u8], zone: ZoneOffset) -> Result<Timestamp, TimeError> {
    read(text.trim_ascii(), &[12, 10], zone)
}

/// Writes VP or DDT, rounded up to the minute. `None` outside 2000 to 2099.
#[must_use]
pub fn write_ucp_minutes(at: Timestamp, zone: ZoneOffset) -> Option<String> {
    let over = at.as_millis().rem_euclid(MINUTE);
    let missing = if over == 0 { 0 } else { MINUTE.saturating_sub(over) };
    let time = local(
        at.after(Duration::from_millis(u64::try_from(missing).ok()?)),
        zone,
    )?;
    Some(minutes(time))
}

/// Writes SCTS or DSCTS, cut to the second. `None` outside 2000 to 2099.
#[must_use]
pub fn write_ucp_seconds(at: Timestamp, zone: ZoneOffset) -> Option<String> {
    let time = local(at, zone)?;
    Some(format!("{}{:02}", minutes(time), time.second()))
}

fn minutes(time: DateTime) -> String {
    format!(
        "{:02}{:02}{:02}{:02}{:02}",
        time.day(),
        time.month(),
        time.year().saturating_sub(2000),
        time.hour(),
        time.minute()
    )
}

fn read(digits: &[u8], lengths: &[usize], zone: ZoneOffset) -> Result<Timestamp, TimeError> {
    if !lengths.contains(&digits.len()) {
        return Err(TimeError::Length(digits.len()));
    }
    // Ten digits leave the seconds 0.
    let [day, month, year, hour, minute, second] = pairs(digits)?;
    instant([year, month, day, hour, minute, second], 0, zone)
}
