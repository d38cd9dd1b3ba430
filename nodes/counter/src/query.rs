//! Asks for totals. Reads what `reader` writes.
//!
//! Invariant QU-1: a span is cut into whole days and the hours at its ends, none of them twice: sums are exact.
//!
//! # Limits
//! Hours are kept for 8 days: a span that begins or ends within a day is exact for that long, and then has what days have.

use crate::dimension::Dimension;
use crate::period::{Day, Hour, Period};
use crate::row::Row;
use crate::sheet::{ReadError, listing, row_key, rows};
use smsgw_message::Timestamp;
use smsgw_queue::Engine;
use std::collections::BTreeMap;

/// Rows that are read at once.
const CHUNK: usize = 512;
/// Most periods of one question: 400 days and the hours at both ends.
const MOST_PERIODS: usize = 450;

/// Totals by value.
pub type Totals = BTreeMap<String, Row>;

/// The periods of a span, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(Vec<Period>);

impl Span {
    /// The periods.
    pub fn periods(&self) -> &[Period] {
        &self.0
    }
}

/// The periods from `from` until before `to`, whole hours; `None` when they are too many or run backwards.
pub fn between(from: Timestamp, to: Timestamp) -> Option<Span> {
    let mut hour = Hour::of(from);
    // An hour that has begun counts.
    let last = Hour::of(Timestamp::from_millis(to.as_millis().saturating_sub(1)));
    let mut periods = Vec::new();
    while hour <= last {
        if periods.len() >= MOST_PERIODS {
            return None;
        }
        let day = hour.day();
        let next = Hour::of(day.next().begin());
        let is_whole = Hour::of(day.begin()) == hour && next <= last.next();
        if is_whole {
            periods.push(Period::Day(day));
            hour = next;
        } else {
            periods.push(Period::Hour(hour));
            hour = hour.next();
        }
    }
    (to > from).then_some(Span(periods))
}

/// The totals of one period, by value.
pub async fn totals(engine: &dyn Engine, period: Period, dimension: Dimension) -> Result<Totals, ReadError> {
    let values = listing(engine, period, dimension).await?.values;
    let mut all = Totals::new();
    for values in values.chunks(CHUNK) {
        let keys = values.iter().map(|value| row_key(period, dimension, value));
        let found = rows(engine, keys.collect()).await?;
        all.extend(
            values
                .iter()
                .cloned()
                .zip(found)
                .filter(|(_, row)| !row.is_empty()),
        );
    }
    Ok(all)
}

impl Span {
    /// The totals of the whole span, by value.
    pub async fn totals(&self, engine: &dyn Engine, dimension: Dimension) -> Result<Totals, ReadError> {
        let mut all = Totals::new();
        for period in &self.0 {
            for (value, row) in totals(engine, *period, dimension).await? {
                all.entry(value).or_default().merge(&row);
            }
        }
        Ok(all)
    }

    /// The first day and the last, for what is told of a span.
    pub fn days(&self) -> Option<(Day, Day)> {
        let day = |period: &Period| match period {
            Period::Hour(hour) => Some(hour.day()),
            Period::Day(day) => Some(*day),
            Period::Ever => None,
        };
        Some((day(self.0.first()?)?, day(self.0.last()?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_into_whole_days_and_the_hours_at_its_ends() {
        let at = |text| Timestamp::from_rfc3339(text).unwrap();
        let words = |from, to| {
            let span = between(at(from), at(to)).unwrap();
            span.periods().iter().map(Period::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            words("2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"),
            ["20261120", "20261121"]
        );
        assert_eq!(
            words("2026-11-20T22:30:00Z", "2026-11-22T01:00:01Z"),
            ["2026112022", "2026112023", "20261121", "2026112200", "2026112201"]
        );
        assert_eq!(
            words("2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"),
            ["2026112010"]
        );
        assert_eq!(
            between(at("2026-11-20T10:00:00Z"), at("2026-11-20T10:00:00Z")),
            None
        );
        assert_eq!(
            between(at("1926-11-20T10:00:00Z"), at("2026-11-20T10:00:00Z")),
            None
        );
        let (first, last) = between(at("2026-11-20T22:30:00Z"), at("2026-11-22T01:00:01Z"))
            .unwrap()
            .days()
            .unwrap();
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("20261120".to_owned(), "20261122".to_owned())
        );
    }
}
