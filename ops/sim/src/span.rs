//! Times on the command line and in option files: `0`, `50ms`, `1.5s`, `2m`.
//!
//! Knows no clock. Invariant: what `show` writes, `parse` reads as the same time.

use std::time::Duration;
use thiserror::Error;

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no time such as `50ms`, `1.5s` or `2m`")]
pub struct SpanError(pub String);

/// Reads a time.
///
/// # Errors
/// When there is no known unit, or the number is negative or too large.
pub fn parse(text: &str) -> Result<Duration, SpanError> {
    let wrong = || SpanError(text.to_owned());
    let text_of = text.trim();
    if text_of == "0" {
        return Ok(Duration::ZERO);
    }
    let units = [
        ("ms", 0.001),
        ("us", 0.000_001),
        ("m", 60.0),
        ("h", 3600.0),
        ("s", 1.0),
    ];
    let (number, unit) = units
        .into_iter()
        .find_map(|(unit, seconds)| Some((text_of.strip_suffix(unit)?, seconds)))
        .ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// Writes a time so that [`parse`] reads it.
#[must_use]
pub fn show(span: Duration) -> String {
    if span.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{}ms", span.as_millis())
    } else {
        format!("{}us", span.as_micros())
    }
}

/// Reads a number such as `88` or `0x58`.
///
/// # Errors
/// When it is none, or too large.
pub fn number(text: &str) -> Result<u32, String> {
    let read = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    read.map_err(|error| format!("`{text}`: {error}"))
}

/// Reads an octet such as `4` or `0x44`.
///
/// # Errors
/// When it is none.
pub fn octet(text: &str) -> Result<u8, String> {
    u8::try_from(number(text)?).map_err(|_| format!("`{text}` is more than one octet"))
}

/// For `#[serde(with = "span::text")]`.
pub mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Writes a time as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::show(*span))
    }

    /// Reads a time from text.
    ///
    /// # Errors
    /// When the text is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("0", 0),
            ("50ms", 50),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("250us"), Ok(Duration::from_micros(250)));
        for wrong in ["", "5", "-1s", "ms", "5 days", "1e400s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for span in [
            Duration::ZERO,
            Duration::from_millis(1500),
            Duration::from_micros(1_000_250),
        ] {
            assert_eq!(parse(&show(span)), Ok(span));
        }
    }
}
