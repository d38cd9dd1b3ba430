//! The data_coding octet: SMPP 3.4 §5.2.19 where it speaks for itself (0x00 to 0x0F), 3GPP TS
//! 23.038 §4 elsewhere.
//!
//! Knows what an octet means by the standards; what one carrier means by it (0 as Latin-1, 0 as
//! UTF-8, 241 for GSM 7-bit) is the business of that carrier's profile.
//!
//! Invariant DC-1: every octet has a meaning here, and one we cannot read as text is binary, so
//! that its body is kept as it came.

use super::Encoding;

/// The message class of 23.038: what a phone does with the message. Not to be confused with the
/// class of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GsmClass {
    /// Shown at once and not stored ("flash").
    Class0,
    /// Stored in the phone.
    Class1,
    /// Stored on the SIM.
    Class2,
    /// Passed to the terminal equipment.
    Class3,
}

impl GsmClass {
    /// The two lowest bits of the octet.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Class0 => 0,
            Self::Class1 => 1,
            Self::Class2 => 2,
            Self::Class3 => 3,
        }
    }

    const fn from_bits(octet: u8) -> Self {
        match octet & 0b11 {
            0 => Self::Class0,
            1 => Self::Class1,
            2 => Self::Class2,
            _ => Self::Class3,
        }
    }
}

/// What a data_coding octet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataCoding {
    /// How to read the body.
    pub encoding: Encoding,
    /// The message class, where the octet gives one.
    pub class: Option<GsmClass>,
    /// False when `encoding` is a stand-in: a reserved octet (GSM 7-bit, as 23.038 asks), or a
    /// compressed body or a character set we do not have (binary).
    pub exact: bool,
}

impl DataCoding {
    const fn plain(encoding: Encoding) -> Self {
        Self {
            encoding,
            class: None,
            exact: true,
        }
    }

    const fn stand_in(encoding: Encoding) -> Self {
        Self {
            encoding,
            class: None,
            exact: false,
        }
    }

    /// The meaning of an octet from the wire.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            0x00 => Self::plain(Encoding::Gsm7),
            // IA5 is ASCII, the lower half of Latin-1.
            0x01 | 0x03 => Self::plain(Encoding::Latin1),
            0x02 | 0x04 => Self::plain(Encoding::Binary),
            0x08 => Self::plain(Encoding::Ucs2),
            // JIS, Cyrillic, Hebrew, pictograms, ISO-2022-JP, Kanji, KS C 5601; the rest reserved.
            0x05..=0x07 | 0x09..=0x0F => Self::stand_in(Encoding::Binary),
            // General groups; 01xx asks the phone to delete the message after reading.
            0x10..=0x7F => Self::from_general_group(octet),
            // Reserved groups: "shall be assumed to be the GSM 7 bit default alphabet".
            0x80..=0xBF => Self::stand_in(Encoding::Gsm7),
            // Message waiting: discard, store, store in UCS-2.
            0xC0..=0xDF => Self::plain(Encoding::Gsm7),
            0xE0..=0xEF => Self::plain(Encoding::Ucs2),
            0xF0..=0xFF => Self {
                encoding: if octet & 0b0100 == 0 {
                    Encoding::Gsm7
                } else {
                    Encoding::Binary
                },
                class: Some(GsmClass::from_bits(octet)),
                // Bit 3 is reserved and 0.
                exact: octet & 0b1000 == 0,
            },
        }
    }

    const fn from_general_group(octet: u8) -> Self {
        let class = if octet & 0x10 == 0 {
            None
        } else {
            Some(GsmClass::from_bits(octet))
        };
        let compressed = octet & 0x20 != 0;
        let (encoding, known) = match (octet >> 2) & 0b11 {
            0 => (Encoding::Gsm7, true),
            1 => (Encoding::Binary, true),
            2 => (Encoding::Ucs2, true),
            _ => (Encoding::Gsm7, false),
        };
        if compressed {
            return Self {
                encoding: Encoding::Binary,
                class,
                exact: false,
            };
        }
        Self {
            encoding,
            class,
            exact: known,
        }
    }
}

impl Encoding {
    /// The data_coding octet we send: 0x00, 0x03, 0x08 or 0x04.
    #[must_use]
    pub const fn data_coding(self) -> u8 {
        match self {
            Self::Gsm7 => 0x00,
            Self::Latin1 => 0x03,
            Self::Ucs2 => 0x08,
            Self::Binary => 0x04,
        }
    }

    /// The octet of the general group with a message class; Latin-1 has none.
    #[must_use]
    pub const fn data_coding_with_class(self, class: GsmClass) -> Option<u8> {
        match self {
            Self::Gsm7 => Some(0x10 | class.bits()),
            Self::Binary => Some(0x14 | class.bits()),
            Self::Ucs2 => Some(0x18 | class.bits()),
            Self::Latin1 => None,
        }
    }

    /// The encoding an octet from the wire stands for; see [`DataCoding::from_octet`].
    #[must_use]
    pub const fn from_data_coding(octet: u8) -> Self {
        DataCoding::from_octet(octet).encoding
    }
}
