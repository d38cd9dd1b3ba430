//! The query of a request: each parameter known, there at most once, and within its range.
//!
//! `application/x-www-form-urlencoded` as the URL Standard describes it (percent-encoding, `+` for a space). Pure.
//! Invariant: a parameter that is not known is refused, so that a filter with a typing error never selects everything.

use crate::http::problem::Problem;
use smsgw_telemetry::ApiCode;
use std::ops::RangeInclusive;

/// Parameters as they were sent.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// Reads a query, of which these parameters are known.
    pub(crate) fn parse(query: &str, known: &[&'static str]) -> Result<Self, Problem> {
        let mut params = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unreadable = || {
                Problem::new(
                    ApiCode::InvalidField,
                    "the query is not UTF-8 in percent-encoding",
                )
            };
            let name = decode(name).ok_or_else(unreadable)?;
            let value = decode(value).ok_or_else(unreadable)?;
            let Some(known) = known.iter().find(|known| **known == name) else {
                let name: String = name.chars().take(40).collect();
                let why = format!("there is no parameter {name:?}; known are {known:?}");
                return Err(Problem::new(ApiCode::UnknownField, why));
            };
            if params.get(known).is_some() {
                return Err(Problem::field(
                    ApiCode::InvalidField,
                    known,
                    "stands there more than once",
                ));
            }
            params.0.push((known, value));
        }
        Ok(params)
    }

    /// A parameter, when it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(there, _)| *there == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A whole number within a range, or what stands for an absent one.
    pub(crate) fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<usize>,
        absent: usize,
    ) -> Result<usize, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(absent);
        };
        // Digits only: a sign, or a number in another form, has no other meaning that could be meant.
        let number = text
            .parse()
            .ok()
            .filter(|number| range.contains(number) && text.bytes().all(|octet| octet.is_ascii_digit()));
        number.ok_or_else(|| {
            let why = format!("is a number from {} to {}", range.start(), range.end());
            Problem::field(ApiCode::InvalidField, name, why)
        })
    }
}

fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whole_or_refused() {
        let params = Params::parse("limit=10&cursor=a%2Bb+c", &["cursor", "limit"]).unwrap();
        assert_eq!(params.get("cursor"), Some("a+b c"));
        assert_eq!(params.number("limit", 1..=100, 50).unwrap(), 10);
        assert_eq!(params.number("wait", 0..=1, 1).unwrap(), 1);
        for (query, code) in [
            ("x=1", ApiCode::UnknownField),
            ("limit=1&limit=1", ApiCode::InvalidField),
            ("limit=%ff", ApiCode::InvalidField),
            ("limit=%f", ApiCode::InvalidField),
        ] {
            assert_eq!(
                Params::parse(query, &["limit"]).unwrap_err().code,
                code,
                "{query}"
            );
        }
        for wrong in ["", "0", "101", "+5", "1e1", "-1", "99999999999999999999999"] {
            let params = Params::parse(&format!("limit={}", wrong.replace('+', "%2B")), &["limit"]).unwrap();
            assert!(params.number("limit", 1..=100, 50).is_err(), "{wrong:?}");
        }
        assert!(Params::parse("", &[]).unwrap().0.is_empty());
    }
}
