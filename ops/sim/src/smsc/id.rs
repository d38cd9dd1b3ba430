//! Message ids in the forms carriers use, and in the other form that some use in their receipts (quirks 1 to 4).
//!
//! Invariant: no two messages of one run get the same id.

use rand::Rng;
use serde::{Deserialize, Serialize};

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
    /// 23 digits: more than 64 bits.
    Long,
    /// Hex in the answer, decimal in the receipt.
    HexThenDecimal,
    /// Decimal in the answer, hex in the receipt.
    DecimalThenHex,
    /// Hex in the answer, ten decimal digits with leading zeros in the receipt.
    HexThenPadded,
    /// More than 64 bits: hex in the answer, decimal in the receipt.
    LongHexThenDecimal,
    /// More than 64 bits: decimal in the answer, hex in the receipt.
    LongDecimalThenHex,
    /// Lower-case hex in the answer, upper case in the receipt.
    HexThenUpper,
    /// Upper-case hex in the answer, lower case in the receipt.
    UpperThenHex,
    /// With leading zeros in the answer, without in the receipt.
    PaddedThenDecimal,
    /// Without leading zeros in the answer, with them in the receipt.
    DecimalThenPadded,
    /// 23 digits that begin with a zero, lost in the receipt.
    LongZeroLost,
    /// A UUID that begins with a zero; the receipt has it in upper case and without the zero.
    UuidZeroLost,
}

/// The id of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    /// In the answer.
    pub(super) answer: String,
    /// In the receipt, where it differs.
    other: Option<String>,
}

/// Added to numbers to make them longer than 64 bits: 22 digits.
const LONG: u128 = 4_062_581_000_000_000_000_000;

impl Id {
    pub(super) fn new(format: IdFormat, number: u64, rng: &mut impl Rng) -> Self {
        let long = LONG.wrapping_add(u128::from(number));
        let (answer, other) = match format {
            IdFormat::Decimal => (format!("{number}"), None),
            IdFormat::Padded => (format!("{number:020}"), None),
            IdFormat::Hex => (format!("{number:x}"), None),
            IdFormat::HexUpper => (format!("{number:X}"), None),
            IdFormat::Uuid => (uuid(rng.random()), None),
            IdFormat::Long => (format!("1{long}"), None),
            IdFormat::HexThenDecimal => (format!("{number:x}"), Some(format!("{number}"))),
            IdFormat::DecimalThenHex => (format!("{number}"), Some(format!("{number:x}"))),
            IdFormat::HexThenPadded => (format!("{number:x}"), Some(format!("{number:010}"))),
            IdFormat::LongHexThenDecimal => (format!("{long:x}"), Some(format!("{long}"))),
            IdFormat::LongDecimalThenHex => (format!("{long}"), Some(format!("{long:x}"))),
            IdFormat::HexThenUpper => (format!("{number:x}"), Some(format!("{number:X}"))),
            IdFormat::UpperThenHex => (format!("{number:X}"), Some(format!("{number:x}"))),
            IdFormat::PaddedThenDecimal => (format!("{number:020}"), Some(format!("{number}"))),
            IdFormat::DecimalThenPadded => (format!("{number}"), Some(format!("{number:020}"))),
            IdFormat::LongZeroLost => (format!("0{long}"), Some(format!("{long}"))),
            IdFormat::UuidZeroLost => {
                let uuid = uuid(rng.random::<u128>() & (u128::MAX >> 8) | (0xE << 120));
                let upper = uuid.trim_start_matches('0').to_ascii_uppercase();
                (uuid, Some(upper))
            }
        };
        Self { answer, other }
    }

    /// As the receipt has it.
    pub(super) fn receipt(&self) -> &str {
        self.other.as_deref().unwrap_or(&self.answer)
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
            (
                IdFormat::Long,
                "14062581000000000048879",
                "14062581000000000048879",
            ),
            (IdFormat::HexThenDecimal, "beef", "48879"),
            (IdFormat::DecimalThenHex, "48879", "beef"),
            (IdFormat::HexThenPadded, "beef", "0000048879"),
            (
                IdFormat::LongHexThenDecimal,
                "dc3ba31705fb393eef",
                "4062581000000000048879",
            ),
            (
                IdFormat::LongDecimalThenHex,
                "4062581000000000048879",
                "dc3ba31705fb393eef",
            ),
            (IdFormat::HexThenUpper, "beef", "BEEF"),
            (IdFormat::UpperThenHex, "BEEF", "beef"),
            (IdFormat::PaddedThenDecimal, "00000000000000048879", "48879"),
            (IdFormat::DecimalThenPadded, "48879", "00000000000000048879"),
            (
                IdFormat::LongZeroLost,
                "04062581000000000048879",
                "4062581000000000048879",
            ),
        ] {
            let id = Id::new(format, 0xbeef, rng);
            assert_eq!(
                (id.answer.as_str(), id.receipt()),
                (answer, receipt),
                "{format:?}"
            );
        }
        let id = Id::new(IdFormat::Uuid, 1, rng).answer;
        assert_eq!((id.len(), id.get(14..15)), (36, Some("4")));
        assert_ne!(Id::new(IdFormat::Uuid, 1, rng).answer, id);
        let id = Id::new(IdFormat::UuidZeroLost, 1, rng);
        assert_eq!(
            (id.answer.get(..2), id.receipt().get(..1)),
            (Some("0e"), Some("E"))
        );
        assert_eq!(
            id.answer.get(1..).map(str::to_ascii_uppercase).as_deref(),
            Some(id.receipt())
        );
    }
}
