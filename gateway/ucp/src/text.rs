//! A field as it stands in a frame, and the two ways octets are written in one.
//!
//! Invariant TX-1: a [`Text`] holds printable ASCII without `/`, so no field can end a field, a frame or its checksum.

use std::fmt;

/// One field. The default is the empty one: not given.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Box<str>);

impl Text {
    /// `None` where a character cannot stand in a field.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |octet: u8| matches!(octet, b' '..=b'~') && octet != b'/';
        text.bytes().all(allowed).then(|| Self(text.into()))
    }

    /// Octets as hexadecimal digits, two each.
    #[must_use]
    pub fn hex(octets: &[u8]) -> Self {
        let digit = |nibble: u8| {
            char::from_digit(u32::from(nibble), 16)
                .unwrap_or('0')
                .to_ascii_uppercase()
        };
        let digits = octets
            .iter()
            .flat_map(|octet| [digit(octet >> 4), digit(octet & 0x0F)]);
        Self(digits.collect::<String>().into())
    }

    /// A number, in decimal digits, with zeros in front up to the width.
    #[must_use]
    pub fn number(number: u64, width: usize) -> Self {
        Self(format!("{number:0width$}").into())
    }

    /// What stands in the field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is not given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets of hexadecimal digits, of either case; `None` where it is something else.
    #[must_use]
    pub fn octets(&self) -> Option<Vec<u8>> {
        from_hex(self.0.as_bytes())
    }

    /// The number of decimal digits; `None` where it is none, or is not given.
    #[must_use]
    pub fn to_number(&self) -> Option<u64> {
        let digits = self.0.bytes().all(|octet| octet.is_ascii_digit());
        digits.then(|| self.0.parse().ok()).flatten()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let octet = |pair: &[u8]| match *pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    };
    digits.chunks(2).map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_ends_a_field_gets_into_one() {
        for text in ["a/b", "\x02", "\x03", "é", "a\n"] {
            assert_eq!(Text::new(text), None, "{text:?}");
        }
        assert_eq!(Text::new("A b~").unwrap().as_str(), "A b~");
    }

    #[test]
    fn numbers_are_digits_only() {
        let read = |text| Text::new(text).unwrap().to_number();
        assert_eq!(
            ["007", "", "+7", "-7", "7a", "99999999999999999999"].map(read),
            [Some(7), None, None, None, None, None]
        );
        assert_eq!(Text::number(7, 3).as_str(), "007");
    }

    proptest! {
        #[test]
        fn octets_come_back_from_hex(octets in prop::collection::vec(any::<u8>(), 0..50)) {
            let text = Text::hex(&octets);
            prop_assert!(Text::new(text.as_str()).is_some());
            prop_assert_eq!(text.octets(), Some(octets.clone()));
            prop_assert_eq!(Text::new(&text.as_str().to_lowercase()).unwrap().octets(), Some(octets));
        }

        #[test]
        fn half_an_octet_is_none(octets in prop::collection::vec(any::<u8>(), 0..5)) {
            let text = Text::hex(&octets);
            let odd = Text::new(&format!("{text}F")).unwrap();
            prop_assert_eq!(odd.octets(), None);
        }
    }
}
