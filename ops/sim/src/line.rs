//! Lines of ledgers, written by hand: one JSON object each, as fast as copying.
//!
//! Invariant: a line is valid JSON whatever the values hold; `serde_json` reads back what was written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::io::Write;

/// 64 bits that stand for octets: two different texts share them once in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sum(pub u64);

/// The sum of octets.
#[must_use]
pub fn sum(octets: &[u8]) -> Sum {
    const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(PRIME);
        mixed ^ mixed.wrapping_shr(29)
    };
    let (words, rest) = octets.as_chunks::<8>();
    let mut state = u64::try_from(octets.len()).unwrap_or(u64::MAX);
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    for octet in rest {
        state = mix(state, u64::from(*octet));
    }
    Sum(mix(state, PRIME))
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Sum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 hex digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Sum, E> {
                u64::from_str_radix(text, 16).map(Sum).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0')
}

/// Hex digits, as ledgers write octets.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    let mut text = Vec::new();
    put_hex(&mut text, octets);
    String::from_utf8(text).unwrap_or_default()
}

/// Reads hex digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(value(*high)?.wrapping_shl(4) | value(*low)?))
        .collect()
}

pub(crate) fn put_hex(out: &mut Vec<u8>, octets: &[u8]) {
    out.reserve(octets.len().saturating_mul(2));
    out.extend(
        octets
            .iter()
            .flat_map(|octet| [digit(octet.wrapping_shr(4)), digit(*octet)]),
    );
}

/// One line being written; `end` closes it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Line<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn number(&mut self, name: &str, value: impl Into<i128>) -> &mut Self {
        self.name(name);
        let value: i128 = value.into();
        match u64::try_from(value) {
            Ok(value) => put_number(self.out, value),
            Err(_) => write!(self.out, "{value}").expect("memory takes all text"),
        }
        self
    }

    /// Octets as text; what is no UTF-8 becomes U+FFFD.
    pub(crate) fn text(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        let plain = |octet: &u8| (0x20..0x7F).contains(octet) && *octet != b'"' && *octet != b'\\';
        if value.iter().all(plain) {
            self.out.push(b'"');
            self.out.extend_from_slice(value);
            self.out.push(b'"');
        } else {
            let text = String::from_utf8_lossy(value);
            serde_json::to_writer(&mut *self.out, &text).expect("memory takes all text");
        }
        self
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => {
                self.name(name);
                self.out.extend_from_slice(b"null");
                self
            }
        }
    }

    pub(crate) fn hex(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        self.out.push(b'"');
        put_hex(self.out, value);
        self.out.push(b'"');
        self
    }

    pub(crate) fn sum(&mut self, name: &str, value: Sum) -> &mut Self {
        self.name(name);
        self.out.push(b'"');
        put_hex(self.out, &value.0.to_be_bytes());
        self.out.push(b'"');
        self
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    pub(crate) fn texts(&mut self, name: &str, values: &[&[u8]]) -> &mut Self {
        self.name(name);
        let texts: Vec<_> = values
            .iter()
            .map(|value| String::from_utf8_lossy(value))
            .collect();
        serde_json::to_writer(&mut *self.out, &texts).expect("memory takes all text");
        self
    }

    pub(crate) fn array(&mut self, name: &str, values: &[u16]) -> &mut Self {
        self.name(name);
        for (at, value) in values.iter().enumerate() {
            self.out.push(if at == 0 { b'[' } else { b',' });
            put_number(self.out, u64::from(*value));
        }
        self.out.push(b']');
        self
    }

    pub(crate) fn end(&mut self) {
        self.out.extend_from_slice(b"}\n");
    }
}

/// Decimal digits.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut length = 0_usize;
    for place in digits.iter_mut().rev() {
        *place = b'0'.wrapping_add(u8::try_from(value % 10).unwrap_or(0));
        length = length.saturating_add(1);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20_usize.saturating_sub(length)..).unwrap_or(&[]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let mut out = Vec::new();
        Line::new(&mut out)
            .number("a", -5_i64)
            .number("b", u64::MAX)
            .number("zero", 0)
            .text("plain", b"4917")
            .text("odd", b"a\"\\\n\xff")
            .optional("none", None)
            .hex("octets", &[0, 0x0f, 0xa5])
            .flag("flag", true)
            .array("array", &[1, 20])
            .sum("sum", Sum(0xAB))
            .end();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "a": -5, "b": u64::MAX, "zero": 0, "plain": "4917", "odd": "a\"\\\n\u{fffd}", "none": null,
            "octets": "000fa5", "flag": true, "array": [1, 20], "sum": "00000000000000ab",
        });
        assert_eq!(value, expected);
        assert_eq!(
            serde_json::from_str::<Sum>("\"00000000000000ab\"").unwrap(),
            Sum(0xAB)
        );
    }

    #[test]
    fn octets_are_two_digits_each() {
        assert_eq!(
            (hex(&[0, 0x0f, 0xa5]).as_str(), unhex("000fA5")),
            ("000fa5", Some(vec![0, 0x0f, 0xa5]))
        );
        assert_eq!((unhex("0"), unhex("0g")), (None, None));
    }

    #[test]
    fn sums_tell_apart_what_differs_a_little() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..64_usize {
            for octet in [b'a', b'b', 0] {
                assert!(seen.insert(sum(&vec![octet; length])) || length == 0);
            }
        }
        assert_ne!(sum(b"12345678"), sum(b"12345679"));
        assert_ne!(sum(b"ab"), sum(b"ba"));
    }
}
