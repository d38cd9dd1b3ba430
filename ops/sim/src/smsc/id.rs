//! Message ids in the forms carriers use, and in the other form that some use in their receipts.
//!
//! Invariant: no two messages of one run get the same id.

use rand::Rng;
use serde::{Deserialize, Serialize};
use smsgw_smpp::COctets;

/// Form of message ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdFormat {
    /// Digits.
    #[default]
    Decimal,
    /// Digits, 20 of them with leading zeros.
    Padded,
    /// Hex digits in lower case.
    Hex,
    /// Hex digits in upper case.
    HexUpper,
    /// A random UUID.
    Uuid,
    /// Hex in the answer, decimal in the receipt.
    HexThenDecimal,
    /// Decimal in the answer, hex in the receipt.
    DecimalThenHex,
    /// Lower-case hex in the answer, upper case in the receipt.
    HexThenUpper,
    /// With leading zeros in the answer, without in the receipt.
    PaddedThenDecimal,
}

/// The id of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    /// In the answer.
    pub(super) answer: COctets,
    /// In the receipt, where it differs.
    other: Option<COctets>,
}

impl Id {
    pub(super) fn new(format: IdFormat, number: u64, rng: &mut impl Rng) -> Self {
        let octets = |text: String| COctets::until_nul(text.as_bytes());
        let (answer, other) = match format {
            IdFormat::Decimal => (format!("{number}"), None),
            IdFormat::Padded => (format!("{number:020}"), None),
            IdFormat::Hex => (format!("{number:x}"), None),
            IdFormat::HexUpper => (format!("{number:X}"), None),
            IdFormat::Uuid => (uuid(rng.random()), None),
            IdFormat::HexThenDecimal => (format!("{number:x}"), Some(format!("{number}"))),
            IdFormat::DecimalThenHex => (format!("{number}"), Some(format!("{number:x}"))),
            IdFormat::HexThenUpper => (format!("{number:x}"), Some(format!("{number:X}"))),
            IdFormat::PaddedThenDecimal => (format!("{number:020}"), Some(format!("{number}"))),
        };
        Self {
            answer: octets(answer),
            other: other.map(octets),
        }
    }

    /// As the receipt has it.
    pub(super) fn into_receipt(self) -> COctets {
        self.other.unwrap_or(self.answer)
    }
}

/// Version 4, from random bits (RFC 9562 §5.4).
fn uuid(bits: u128) -> String {
    let bits = (bits & !((0xf << 76) | (0b11 << 62))) | (0x4 << 76) | (0b10 << 62);
    let mut text = format!("{bits:032x}");
    for at in [8, 13, 18, 23] {
        text.insert(at, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn each_format_has_its_form_in_answer_and_receipt() {
        let rng = &mut StdRng::seed_from_u64(7);
        for (format, answer, receipt) in [
            (IdFormat::Decimal, "48879", "48879"),
            (IdFormat::Padded, "00000000000000048879", "00000000000000048879"),
            (IdFormat::Hex, "beef", "beef"),
            (IdFormat::HexUpper, "BEEF", "BEEF"),
            (IdFormat::HexThenDecimal, "beef", "48879"),
            (IdFormat::DecimalThenHex, "48879", "beef"),
            (IdFormat::HexThenUpper, "beef", "BEEF"),
            (IdFormat::PaddedThenDecimal, "00000000000000048879", "48879"),
        ] {
            let id = Id::new(format, 0xbeef, rng);
            assert_eq!(id.answer.to_str(), Some(answer), "{format:?}");
            assert_eq!(id.into_receipt().to_str(), Some(receipt), "{format:?}");
        }
        let id = Id::new(IdFormat::Uuid, 1, rng).answer.to_string_lossy();
        assert_eq!((id.len(), id.get(14..15)), (36, Some("4")));
        assert_ne!(Id::new(IdFormat::Uuid, 1, rng).answer.to_string_lossy(), id);
    }
}
